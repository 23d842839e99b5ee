"""Pictures of a slide: where its tissue was found, and which tiles were laid on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import contourpy
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.panels import draw_image, draw_outlines
from relax.plotting.sheet import Panel, Row, Sheet
from relax.plotting.themes import THEMES

TILE_COLOUR = "#1f6fb4"


def tissue_figure(
    picture: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    tiles: NDArray[np.float64],
    name: str,
    caption: Sequence[str],
    theme: str = "light",
) -> Figure:
    """The slide, with the outline of its tissue, and with its tiles.

    Args:
        picture: (H, W, 3) the whole slide.
        mask: (H, W) where tissue was found.
        tiles: (N, 4) left, top, right and bottom of each tile, in pixels of the picture.
        name: Heading.
        caption: How tissue and tiles were found, in short phrases.
        theme: "light" or "dark".
    """
    outline = partial(_draw_tissue, picture=picture, mask=mask)
    squares = partial(_draw_tiles, picture=picture, tiles=tiles)
    panels = [
        Panel("tissue", picture.shape[:2], outline),
        Panel(f"{len(tiles):,} tiles", picture.shape[:2], squares),
    ]
    return Sheet([Row(panels, name)], [caption], THEMES[theme]).draw()


def mask_outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Lines (N, 2) around the parts of a mask, as x and y in pixels from the centre of the first."""
    padded = np.pad(mask.astype(np.float64), 1)
    return [np.asarray(line) - 1 for line in contourpy.contour_generator(z=padded).lines(0.5)]


def squares_of(tiles: NDArray[np.float64], **look: Any) -> PolyCollection:
    """Tiles (N, 4) as squares to add to axes that show the picture."""
    left, top, right, bottom = (tiles - 0.5).T  # the first pixel begins at -0.5
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], 1).reshape(-1, 4, 2)
    return PolyCollection(list(corners), **look)


def _draw_tissue(axes: Axes, picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    draw_image(axes, picture)
    draw_outlines(axes, mask_outlines(mask))


def _draw_tiles(axes: Axes, picture: NDArray[np.uint8], tiles: NDArray[np.float64]) -> None:
    draw_image(axes, picture)
    axes.add_collection(squares_of(tiles, facecolors=f"{TILE_COLOUR}40", edgecolors=TILE_COLOUR, linewidths=0.3))
