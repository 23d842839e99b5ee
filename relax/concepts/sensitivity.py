"""What a layer says of pictures as one row of numbers each, and how a score changes along such rows.

A row is the mean over the cells of the layer, D numbers, or all cells, D x gh x gw. The derivative of the score along
a direction in these rows is that of adding it to the layer's output: to every cell alike, or to each its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.trace import recording
from relax.concepts.reading import LayerMaps
from relax.io.errors import ImageError
from relax.io.images import ImageSource, name_of

CELLS = {"mean": "the mean over the cells, D numbers", "all": "every cell, as published"}
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Rows:
    """Activations of pictures.

    Attributes:
        names: Of those that could be used.
        values: (n, P) float64.
        embeddings: (n, E) float32.
        failed: Why others could not, by name.
        pictures: Those that could be used, as they were given.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    embeddings: Tensor
    failed: dict[str, str]
    pictures: tuple[ImageSource, ...]


def rows_of(pictures: Sequence[ImageSource], reader: LayerMaps, cells: str, report: Report) -> Rows:
    """The activations of pictures, one forward pass each.

    Raises:
        ValueError: If none can be used.
    """
    names, values, embeddings, failed, used = [], [], [], {}, []
    for place, picture in enumerate(pictures):
        report(place, len(pictures))
        name = name_of(picture)
        try:
            view, _ = reader.view(picture)
        except ImageError as error:
            failed[name] = str(error)
            continue
        with recording(reader.encoder, [reader.layer.name]) as outputs:
            embeddings.append(reader.encoder.embed(view).cpu())
        values.append(_row(reader.layer.feature_map(outputs[reader.layer.name]), cells))
        names.append(name)
        used.append(picture)
    if not used:
        raise ValueError(f"no picture can be used: {next(iter(failed.values()), 'there is none')}")
    report(len(pictures), len(pictures))
    return Rows(tuple(names), np.concatenate(values), torch.cat(embeddings), failed, tuple(used))


def gradients_of(
    pictures: Sequence[ImageSource], reader: LayerMaps, score: Callable[[Tensor], Tensor], cells: str, report: Report
) -> NDArray[np.float64]:
    """(N, P) float64: the gradient of a score of embeddings (B, E) to (B,) along the rows; a forward and backward pass.

    Raises:
        ValueError: If the score does not depend on the layer at all.
    """
    rows = []
    for place, picture in enumerate(pictures):
        report(place, len(pictures))
        view, _ = reader.view(picture)
        with torch.inference_mode(False), torch.enable_grad():
            with recording(reader.encoder, [reader.layer.name], gradients=True) as outputs:
                value = score(reader.encoder.embed_with_gradients(view.clone())).sum()
            output = outputs[reader.layer.name]
            depends = value.requires_grad
            gradient = torch.autograd.grad(value, output, allow_unused=True)[0] if depends else None
        if gradient is None:
            gradient = torch.zeros_like(output)
        # The mean of the rows moves by one where every cell does: the derivatives of all cells add up.
        cells_of = reader.layer.feature_map(gradient.detach()).double()
        rows.append((cells_of.sum((2, 3)) if cells == "mean" else cells_of.flatten(1)).cpu().numpy())
    gradients = np.concatenate(rows)
    report(len(pictures), len(pictures))
    if not np.any(gradients):
        raise ValueError(
            f"layer must be one that the score depends on; the cells of {reader.layer.name!r} do not move it: choose "
            "an earlier one (behind the last attention only the class token counts)"
        )
    return gradients


def _row(maps: Tensor, cells: str) -> NDArray[np.float64]:
    with torch.inference_mode():
        flat = maps.double().mean((2, 3)) if cells == "mean" else maps.double().flatten(1)
        return flat.cpu().numpy().copy()
