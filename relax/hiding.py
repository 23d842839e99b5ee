"""From the settings of hiding to the masks of one view and the fill of its hidden pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from encoders import Encoder
from masking import FILLS, REGIONS, GivenMasks, GridSurrogate, MaskRequest, MaskSource, RandomGrid, Region, make_fill
from relax.io.images import ImageSource, read_named
from relax.io.regions.within import Within
from relax.settings import Hiding


def region_of(within: Within | None, hiding: Hiding, view: Tensor, encoder: Encoder, *, resized: bool) -> Region | None:
    """The part of a view (1, C, h, w) that masks vary in, in the box that they are drawn for; None for all of it.

    Each pixel of the view may be hidden as far as the region covers it, so what lies outside stays as it is.

    Raises:
        ValueError: If the view shows nothing of it.
    """
    if within is None or within.inside.all():
        return None
    share = torch.from_numpy(within.inside).float()[None, None]
    if resized:
        share = encoder.preprocess.view_of_mask(share)
    if not share.any():
        raise ValueError(
            f"within must lie where the encoder looks; {within.named} is in the border that it crops away: "
            'view="pad" or view="squash" shows it the whole picture'
        )
    region = Region.of(share.to(view.device))
    if hiding.given is not None:
        return region.whole()
    return region.snapped(encoder.patch_grid(view)) if REGIONS[hiding.regions].patches else region


def mask_source(hiding: Hiding, view: Tensor, encoder: Encoder, region: Region | None = None) -> MaskSource:
    """The masks for a view (1, C, h, w), or for the box of a region in it.

    Raises:
        ValueError: If the regions do not fit the view, or are patches and the encoder has none.
    """
    if hiding.given is not None:
        return GivenMasks(hiding.given)
    regions = REGIONS[hiding.regions]
    if view.ndim == 5 and not regions.volumes:
        known = " or ".join(repr(row.name) for row in REGIONS.values() if row.volumes)
        raise ValueError(f"regions must be {known} for an encoder of volumes; got {hiding.regions!r}")
    patches = encoder.patch_grid(view) if regions.patches else (0, 0)
    if region is not None:
        patches = region.patches(patches) if regions.patches else patches
        view = region.cut(view)
        if not regions.patches and hiding.cells > (least := min(region.size)):
            raise ValueError(
                f"cells must be at most {least} here, as within is {region.size[1]} x {region.size[0]} px where the "
                f"encoder sees {region.view_size[1]} x {region.view_size[0]}; got {hiding.cells}"
            )
    request = MaskRequest(view, hiding.cells, hiding.keep, hiding.seed, hiding.design, patches)
    source: MaskSource = regions.load().of(request)
    return source


def grid_surrogate(hiding: Hiding, estimator: str, source: MaskSource, device: torch.device) -> GridSurrogate | None:
    """What is known exactly about these masks, for control variates; None for plain averages."""
    if estimator == "plain" or not hiding.controllable or not isinstance(source, RandomGrid):
        return None
    regions, most = source.cells**source.axes, REGIONS[hiding.regions].controlled_cells ** 2
    if regions > most:  # of a volume
        if estimator == "controlled":
            cells = int(most ** (1 / source.axes))
            raise ValueError(f'estimator "controlled" takes at most {cells} cells for volumes; got {source.cells}')
        return None
    return _surrogate(source, device)


_surrogate = lru_cache(maxsize=2)(GridSurrogate)  # what it keeps serves all pictures whose masks are the same


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
    if view.ndim == 5:
        raise ValueError(f"fill must be {', '.join(FILLS)} or a value for an encoder of volumes; got a picture")
    image = read_named(cast(ImageSource, fill), "fill", channels=view.shape[1])
    return make_fill((encoder.view(image) if resized else image).to(view.device), view)
