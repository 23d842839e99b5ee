"""From the settings of hiding to the masks of one view and the fill of its hidden pixels."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from encoders import Encoder
from masking import FILLS, REGIONS, GivenMasks, GridSurrogate, MaskRequest, MaskSource, RandomGrid, make_fill
from relax.io.images import ImageSource, read_named
from relax.settings import Hiding


def mask_source(hiding: Hiding, view: Tensor, encoder: Encoder) -> MaskSource:
    """The masks for a view (1, C, h, w).

    Raises:
        ValueError: If the regions do not fit the view, or are patches and the encoder has none.
    """
    if hiding.given is not None:
        return GivenMasks(hiding.given)
    regions = REGIONS[hiding.regions]
    patches = encoder.patch_grid(view) if regions.patches else (0, 0)
    request = MaskRequest(view, hiding.cells, hiding.keep, hiding.seed, hiding.design, patches)
    source: MaskSource = regions.load().of(request)
    return source


def grid_surrogate(hiding: Hiding, estimator: str, source: MaskSource, device: torch.device) -> GridSurrogate | None:
    """What is known exactly about these masks, for control variates; None for plain averages."""
    if estimator == "plain" or not hiding.controllable or not isinstance(source, RandomGrid):
        return None
    return GridSurrogate(source, device)


def fill_pixels(hiding: Hiding, view: Tensor, encoder: Encoder, *, resized: bool) -> Tensor:
    """(1, C, 1, 1) or (1, C, h, w): what hidden pixels of a view show.

    Args:
        hiding: Gives the fill and the seed.
        view: (1, C, h, w).
        encoder: Gives the mean pixel, and brings an image used as fill to its input size.
        resized: Whether the view has the encoder's input size, so that an image used as fill must be brought to it.

    Raises:
        ValueError: If the fill does not fit the view.
    """
    fill = hiding.fill
    if isinstance(fill, int | float | list | tuple) or (isinstance(fill, str) and fill in FILLS):
        return make_fill(fill, view, mean=encoder.mean, seed=hiding.seed)
    image = read_named(cast(ImageSource, fill), "fill", channels=view.shape[1])
    return make_fill((encoder.view(image) if resized else image).to(view.device), view)
