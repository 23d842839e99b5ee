"""Tiles of whole slides as pictures, with the extra `[pathology]`.

    biopsy.svs#x=4480&y=448                      224 pixels at 0.5 micrometres per pixel, from this corner
    biopsy.svs#x=4480&y=448&mpp=1&size=256       256 pixels at 1 micrometre per pixel
    biopsy.svs#x=4480&y=448&span=448&size=224    448 pixels of the finest level as 224, whatever their micrometres
    biopsy.svs#tiles=biopsy.h5                   all the tiles that a .h5 of `relax slide embed`, TRIDENT or CLAM lists

Corners and spans are in pixels of the finest level. A tile is read as `relax slide embed` reads it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from relax.io.errors import ImageError
from relax.io.limits import check_size
from relax.io.picture import Picture
from relax.slides.defaults import TILE_MPP, TILE_SIZE
from relax.slides.slide import TILE_SIDES, Slide

BYTES = 7  # of a pixel while it is read, beside the result
_ANY_MPP = 1.0  # for files that do not say it, where it does not matter


def read_tile(path: Path, values: dict[str, Any]) -> Picture:
    """Read one tile of a slide.

    Args:
        path: The slide.
        values: x and y, and as they are given span, size and mpp; see the module's first lines.

    Raises:
        ImageError: If the file is no slide, a value is impossible, or the tile lies outside of the slide.
        ImportError: If the extra is not installed.
    """
    left, top, size = values.get("x"), values.get("y"), values.get("size", TILE_SIZE)
    if left is None or top is None or ("span" in values and "mpp" in values):
        raise ImageError("a tile is named by x and y, and by span or mpp, as in slide.svs#x=4480&y=448&mpp=0.5")
    least, most = TILE_SIDES
    if not least <= size <= most:
        raise ImageError(f"size is pixels, from {least} to {most}; got {size}")
    state = path.stat()
    slide = _opened(path, state.st_size, state.st_mtime_ns, _ANY_MPP if "span" in values else None)
    span = values["span"] if "span" in values else _span(slide, values.get("mpp", TILE_MPP), size)
    if not (0 <= left < slide.width and 0 <= top < slide.height and 1 <= span <= max(slide.width, slide.height)):
        raise ImageError(
            f"x {left}, y {top} with a span of {span} is no tile of this slide of {slide.width} x {slide.height} pixels"
        )
    side = math.ceil(span / slide.levels[slide.level_for(span / size)].downsample) + 2
    check_size(max(side, size), max(side, size), BYTES)
    pixels = slide.read(left, top, (span, span), (size, size)).astype(np.float32) / np.float32(255)
    return Picture(pixels, {"asked": values, "slide": slide.name, "reader": slide.reader, "corner": [left, top],
                            "span": span, "size": size})  # fmt: skip


def tile_addresses(path: Path, values: dict[str, Any]) -> list[str]:
    """The addresses of the tiles that the .h5 file in `values` lists, in its order.

    Raises:
        ImageError: If it is no such file, or does not say how many pixels were embedded.
        ImportError: If the extra is not installed.
    """
    from relax.slides.store import read_tiles

    if further := [name for name in values if name not in ("tiles", "size", "span")]:
        raise ImageError(f"tiles names all of them; leave out {', '.join(further)}")
    try:
        tiles = read_tiles(values["tiles"], span=values.get("span"))
        size = values.get("size") or tiles.size
    except (OSError, ValueError) as error:
        raise ImageError(str(error)) from error
    return [tile_address(path, left, top, tiles.span, size) for left, top in tiles.corners.tolist()]


def tile_address(path: Path, left: int, top: int, span: int, size: int) -> str:
    """The address of one tile."""
    return f"{path}#x={left}&y={top}&span={span}&size={size}"


def _span(slide: Slide, mpp: float, size: int) -> int:
    """Side in pixels of the finest level."""
    if not (math.isfinite(mpp) and mpp > 0):
        raise ImageError(f"mpp is micrometres per pixel of the tile; got {mpp:g}")
    return max(1, round(size * mpp / slide.mpp))


@lru_cache(maxsize=4)
def _opened(path: Path, size: int, modified: int, mpp: float | None) -> Slide:
    """The slide in this state of its file, which stays open for the next tile."""
    from relax.slides.opening import open_slide

    return open_slide(path, mpp=mpp)
