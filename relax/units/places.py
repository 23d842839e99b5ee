"""Where in a picture a unit answers: the enlarged map where it is high, and the box around all that moves the value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from encoders import Encoder, EncoderError
from relax.units.asked import Asked, features_of
from relax.units.colours import enlarged

HALF = 0.5  # of the largest value of a picture, from which on a place is marked


def high_places(map: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) bool: where a map (gh, gw), enlarged bilinearly, has half of its largest value or more.

    Where no value is above 0, the cells of the largest value.
    """
    top = float(map.max())
    if top <= 0:
        return enlarged((map == map.max())[None].float(), size)[0] >= HALF
    return enlarged(map[None].clamp(min=0), size)[0] >= HALF * top


def moving_boxes(encoder: Encoder, asked: Asked, views: Sequence[Tensor], cells: Sequence[tuple[int, int]]) -> Tensor:
    """(N, 4) float64: top, left, bottom, right, in pixels, around all whose gradient of the value at a cell is not 0.

    It lies inside the receptive field, and fills it where all of the units on the way answer.

    Args:
        encoder: The encoder.
        asked: The unit, of a layer with places.
        views: (1, C, h, w) each.
        cells: (row, column) of each.

    Returns:
        NaN where there is no gradient.
    """
    boxes = torch.full((len(views), 4), torch.nan, dtype=torch.float64)
    with torch.inference_mode(False), torch.enable_grad():
        for place, (view, (row, column)) in enumerate(zip(views, cells, strict=True)):
            leaf = view.clone().requires_grad_()
            try:
                value = asked.map(features_of(encoder, asked.layer, leaf, gradients=True))[0, row, column]
            except EncoderError:  # of a network without gradients
                return boxes
            if not value.requires_grad:
                return boxes
            (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
            if gradient is not None and gradient.any():
                boxes[place] = box_around(gradient[0].abs().sum(0) > 0)
    return boxes


def box_around(mask: Tensor) -> Tensor:
    """(4,) float64 top, left, bottom, right of what is in a mask (h, w); the ends lie behind the last pixel."""
    rows, columns = (torch.nonzero(mask.any(axis)).flatten() for axis in (1, 0))
    edges = [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]
    return torch.tensor(edges, dtype=torch.float64)
