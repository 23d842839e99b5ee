"""Synthetic slides of any size, whose tissue is known exactly: three textures on glass, as a pyramid TIFF.

A slide is a layout of squares of 512 pixels, each of them glass or one picture of a texture. Every picture is packed
once, and its bytes are written wherever it stands, so that 50,000 x 50,000 pixels take about a second. The coarser
levels (4, 16 and 64 times) are put together from the reduced pictures.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.draw import disk, line_aa

SIDE = 512  # pixels of a square, and of a tile in the file
MPP = 0.25
GLASS = (243, 242, 244)
TEXTURES = ("glands", "nuclei", "fibres")
VARIANTS = 4  # pictures of each texture
STEPS = (1, 4, 16, 64)  # of the levels

Pixels = NDArray[np.uint8]
Layout = NDArray[np.int8]


def blobs(rows: int, columns: int, seed: int = 0, share: float = 0.03) -> Layout:
    """(rows, columns) a layout: about this share of the squares is tissue, in round pieces of one texture each.

    -1 is glass; else the number of the picture, of which every texture has `VARIANTS`.
    """
    rng = np.random.default_rng(seed)
    layout = np.full((rows, columns), -1, np.int8)
    y, x = np.mgrid[:rows, :columns]
    while (layout >= 0).mean() < share:
        centre, radius = rng.uniform(0.1, 0.9, 2) * (rows, columns), rng.uniform(0.03, 0.08) * min(rows, columns) + 0.8
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        texture = rng.integers(len(TEXTURES))
        layout[inside] = texture * VARIANTS + rng.integers(VARIANTS, size=int(inside.sum()))
    return layout


def texture_of(layout: Layout) -> NDArray[np.int8]:
    """Number of the texture of every square, as in `TEXTURES`; -1 is glass."""
    return np.where(layout < 0, -1, layout // VARIANTS).astype(np.int8)


def write_slide(path: Path, layout: Layout, *, mpp: float | None = MPP, levels: int = 4, ome: bool = False) -> Path:
    """Write the slide of a layout: deflated tiles of 512 pixels, RGB.

    Args:
        path: Of the TIFF.
        layout: Its squares, as `blobs` gives them.
        mpp: Micrometres per pixel in its tags, or in OME-XML; None says nothing.
        levels: 1 to 4.
        ome: As OME-TIFF, whose levels stand in SubIFDs, where openslide does not look for them.
    """
    height, width = (side * SIDE for side in layout.shape)
    resolution = {} if mpp is None or ome else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    about = {"axes": "YXS", **({"PhysicalSizeX": mpp, "PhysicalSizeY": mpp} if mpp else {})} if ome else None
    with tifffile.TiffWriter(path, bigtiff=True, ome=ome) as tiff:
        for number, step in enumerate(STEPS[:levels]):
            tiff.write(
                _tiles(layout, step),
                shape=(-(-height // step), -(-width // step), 3),
                dtype=np.uint8,
                tile=(SIDE, SIDE),
                photometric="rgb",
                compression="adobe_deflate",
                subfiletype=int(number > 0),
                metadata=about if number == 0 else None,
                **({"subifds": levels - 1} if ome and number == 0 else {}),
                **(resolution if number == 0 else {}),
            )
    return path


def pixels_of(layout: Layout, step: int = 1) -> Pixels:
    """(H, W, 3) a small slide as pixels, every so many of them reduced to one."""
    return np.block([[[_square(int(number), step)] for number in row] for row in layout])


@cache
def picture(number: int) -> Pixels:
    """(512, 512, 3) a picture of a texture; -1 is glass."""
    rng = np.random.default_rng(number + 1)
    canvas = np.empty((SIDE, SIDE, 3))
    if number < 0:
        canvas[:] = GLASS
        return canvas.astype(np.uint8)
    texture = TEXTURES[number // VARIANTS]
    canvas[:] = {"glands": (226, 170, 200), "nuclei": (196, 150, 205), "fibres": (232, 150, 178)}[texture]
    if texture == "fibres":
        for start in rng.uniform(-200, SIDE, 140):
            rows, columns, strength = line_aa(int(start), 0, int(start + rng.uniform(60, 200)), SIDE - 1)
            inside = (rows >= 0) & (rows < SIDE)
            for shift in range(3):
                place = ((rows[inside] + shift) % SIDE, columns[inside])
                canvas[place] += strength[inside, None] * (np.array((205, 95, 140)) - canvas[place])
    if texture == "glands":
        for centre in rng.uniform(0, SIDE, (14, 2)):
            radius = rng.uniform(34, 52)
            canvas[disk(tuple(centre), radius, shape=(SIDE, SIDE))] = (150, 84, 158)
            canvas[disk(tuple(centre), radius * 0.6, shape=(SIDE, SIDE))] = (240, 226, 236)
    for centre in rng.uniform(0, SIDE, ({"glands": 60, "nuclei": 420, "fibres": 40}[texture], 2)):
        canvas[disk(tuple(centre), rng.uniform(6, 10), shape=(SIDE, SIDE))] = (92, 52, 130)
    grain = rng.normal(0, 4, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)  # of 4 pixels, which packs well
    return np.clip(canvas + grain, 0, 255).astype(np.uint8)


@cache
def _square(number: int, step: int) -> Pixels:
    """A picture reduced by whole steps: means of step x step pixels, rounded."""
    side = SIDE // step
    return picture(number).reshape(side, step, side, step, 3).mean((1, 3)).round().astype(np.uint8)


def _tiles(layout: Layout, step: int) -> Iterator[bytes]:
    """The packed tiles of one level, in reading order."""
    packed: dict[bytes, bytes] = {}
    for row in range(0, layout.shape[0], step):
        for column in range(0, layout.shape[1], step):
            part = np.full((step, step), -1, np.int8)  # beyond the slide lies glass
            inside = layout[row : row + step, column : column + step]
            part[: inside.shape[0], : inside.shape[1]] = inside
            key = part.tobytes()
            if key not in packed:
                packed[key] = zlib.compress(pixels_of(part, step).tobytes(), 6)
            yield packed[key]
