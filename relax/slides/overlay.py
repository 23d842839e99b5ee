"""The map of a slide as pyramid TIFFs that lie over it: in colours for any viewer, and as values.

The colours are those of the importance in figures (viridis), opaque on tiles and transparent elsewhere; viewers have an
opacity of their own. The values are float32, one channel per number, NaN where no tile lies: OME-TIFF, which QuPath,
Fiji and napari read with the names of the channels. Both say how many micrometres a pixel spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from relax.files import written_aside
from relax.plotting.scales import Scale
from relax.slides.geojson import MEASUREMENTS
from relax.slides.map import SlideMap

SIDE = 256  # of a tile in the file
PER_TILE = 16  # pixels along a tile of the slide, about
SMALLEST = 512  # no further levels below
Levels = list[NDArray[Any]]


def default_downsample(slide_map: SlideMap) -> int:
    """Pixels of level 0 under one pixel of an overlay: a power of two that leaves at least 16 pixels to a tile."""
    return 1 << max(0, (slide_map.span // PER_TILE).bit_length() - 1)


def write_overlay(slide_map: SlideMap, path: str | Path, *, downsample: int | None = None) -> Path:
    """Write the importance in colours, RGBA, as openslide and QuPath read it. Returns its path.

    Args:
        slide_map: The map.
        path: Of the TIFF.
        downsample: Pixels of level 0 that one pixel spans; None as `default_downsample`.
    """
    downsample = downsample or default_downsample(slide_map)
    values = _raster(slide_map, slide_map.effect, downsample)
    scale = Scale.of("importance", values)
    known = np.isfinite(values)
    colours = np.dstack([scale.rgb(values), np.where(known, 255, 0).astype(np.uint8)])
    colours[~known] = 0
    with written_aside(path) as aside, tifffile.TiffWriter(aside, bigtiff=True, shaped=False) as tiff:
        for number, level in enumerate(_halved(colours)):
            tiff.write(
                _cut(level),
                shape=level.shape,
                dtype=np.uint8,
                tile=(SIDE, SIDE),
                photometric="rgb",
                extrasamples=["unassalpha"],
                compression="adobe_deflate",
                subfiletype=int(number > 0),
                software="relax-explainer",
                metadata=None,
                **_resolution(slide_map, downsample * 2**number),
            )
    return Path(path)


def write_values(slide_map: SlideMap, path: str | Path, *, downsample: int | None = None) -> Path:
    """Write every number of the map as a channel of a float32 OME-TIFF, as `write_overlay`. Returns its path."""
    downsample = downsample or default_downsample(slide_map)
    stack = np.stack([_raster(slide_map, getattr(slide_map, name), downsample) for name in MEASUREMENTS])
    mpp = _mpp(slide_map)
    size = {"PhysicalSizeX": mpp * downsample, "PhysicalSizeY": mpp * downsample} if mpp else {}
    about = {"axes": "CYX", "Channel": {"Name": list(MEASUREMENTS.values())}, **size}
    levels = _halved(stack)
    with written_aside(path) as aside, tifffile.TiffWriter(aside, bigtiff=True, ome=True) as tiff:
        for number, level in enumerate(levels):
            tiff.write(
                level,
                tile=(SIDE, SIDE),
                photometric="minisblack",
                compression="adobe_deflate",
                subfiletype=int(number > 0),
                metadata=about if number == 0 else None,
                subifds=len(levels) - 1 if number == 0 else None,
                **_resolution(slide_map, downsample * 2**number),
            )
    return Path(path)


def _raster(slide_map: SlideMap, values: NDArray[np.float64], downsample: int) -> NDArray[np.float32]:
    width, height = slide_map.known_size
    return slide_map.raster(values, (-(-height // downsample), -(-width // downsample)), downsample)


def _halved(pixels: NDArray[Any]) -> Levels:
    """The picture (H, W, 4) or (C, H, W), and every second pixel of it again and again: values stay values."""
    levels = [pixels]
    rows = 0 if pixels.dtype == np.uint8 else 1
    while max(levels[-1].shape[rows : rows + 2]) > SMALLEST:
        last = levels[-1]
        levels.append(np.ascontiguousarray(last[::2, ::2] if rows == 0 else last[:, ::2, ::2]))
    return levels


def _cut(level: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The tiles of a level in reading order, those at the edge filled up."""
    for top in range(0, level.shape[0], SIDE):
        for left in range(0, level.shape[1], SIDE):
            tile = np.zeros((SIDE, SIDE, level.shape[2]), level.dtype)
            inside = level[top : top + SIDE, left : left + SIDE]
            tile[: inside.shape[0], : inside.shape[1]] = inside
            yield tile


def _mpp(slide_map: SlideMap) -> float | None:
    """Micrometres per pixel of level 0, where known."""
    mpp = (slide_map.provenance.get("slide") or {}).get("mpp")
    return float(mpp) if isinstance(mpp, int | float) and mpp > 0 else None


def _resolution(slide_map: SlideMap, downsample: float) -> dict[str, Any]:
    mpp = _mpp(slide_map)
    return {"resolution": (1e4 / (mpp * downsample),) * 2, "resolutionunit": "CENTIMETER"} if mpp else {}
