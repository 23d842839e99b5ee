"""Pictures of a slide: where its tissue was found, and which tiles were laid on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import contourpy
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from relax.maps import ExplanationLike
from relax.plotting.kinds import Look
from relax.plotting.panels import draw_image, draw_outlines
from relax.plotting.scales import Scale
from relax.plotting.sheet import Panel, Row, Sheet
from relax.plotting.themes import THEMES

TILE_COLOUR = "#1f6fb4"
MARGIN = 0.04  # of the tiles' extent, around them


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


def slide_map_figure(
    picture: NDArray[np.uint8],
    tiles: NDArray[np.float64],
    maps: Mapping[str, NDArray[np.float64]],
    labels: Mapping[str, str],
    top: NDArray[np.int64],
    inside: Sequence[ExplanationLike],
    name: str,
    caption: Sequence[str],
    theme: str = "light",
) -> Figure:
    """The slide where it holds tiles, its maps, and the most important tiles with their own maps.

    Args:
        picture: (H, W, 3) the whole slide.
        tiles: (N, 4) left, top, right and bottom of each tile, in pixels of the picture.
        maps: Values (N,) by the name of a map.
        labels: By name of a map, what its colour bar says.
        top: Numbers of the tiles that are numbered on the slide, the most important first.
        inside: Explanations of some of them, in that order.
        name: Heading.
        caption: How the map was made, in short phrases.
        theme: "light" or "dark".
    """
    cut = _around(tiles, picture.shape)
    numbered = partial(_draw_numbered, picture=picture, tiles=tiles[top], cut=cut)
    panels = [Panel("slide, most important tiles numbered", _size(cut), numbered)]
    for key, values in maps.items():
        scale = Scale.of(key, values)
        draw = partial(_draw_values, picture=picture, tiles=tiles, values=values, scale=scale, cut=cut)
        panels.append(Panel(key.replace("_", " "), _size(cut), draw, scale, labels[key]))
    look = Look(theme=theme)
    rows = [Row(panels, name)]
    for number, explanation in enumerate(inside):
        heading = f"{number + 1}: {explanation.provenance.get('image')}"
        rows.append(Row(look.panels(explanation, ("image", "overlay", "uncertainty")), heading))
    return Sheet(rows, [caption], look.colours).draw()


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


def _around(tiles: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the part of a picture that holds the tiles, with a margin."""
    (left, top), (right, bottom) = tiles[:, :2].min(0), tiles[:, 2:].max(0)
    margin = MARGIN * max(right - left, bottom - top)
    return max(left - margin, 0), max(top - margin, 0), min(right + margin, shape[1]), min(bottom + margin, shape[0])


def _size(cut: tuple[float, float, float, float]) -> tuple[int, int]:
    return max(1, round(cut[3] - cut[1])), max(1, round(cut[2] - cut[0]))


def _show(axes: Axes, picture: NDArray[np.uint8], cut: tuple[float, float, float, float]) -> None:
    draw_image(axes, picture)
    axes.set(xlim=(cut[0] - 0.5, cut[2] - 0.5), ylim=(cut[3] - 0.5, cut[1] - 0.5))


def _draw_values(
    axes: Axes,
    picture: NDArray[np.uint8],
    tiles: NDArray[np.float64],
    values: NDArray[np.float64],
    scale: Scale,
    cut: tuple[float, float, float, float],
) -> None:
    """Tiles in the colours of their values, over the slide in grey."""
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    _show(axes, np.dstack([grey, grey, grey]), cut)
    axes.add_collection(squares_of(tiles, facecolors=scale.rgb(values[None])[0] / 255, edgecolors="none"))


def _draw_numbered(
    axes: Axes, picture: NDArray[np.uint8], tiles: NDArray[np.float64], cut: tuple[float, float, float, float]
) -> None:
    """The slide, with some tiles framed and numbered: beside a corner, towards the middle, where there is room."""
    _show(axes, picture, cut)
    middle = (cut[0] + cut[2]) / 2, (cut[1] + cut[3]) / 2
    axes.add_collection(squares_of(tiles, facecolors="none", edgecolors="black", linewidths=1.2))
    effects = [withStroke(linewidth=1.6, foreground="black")]
    for number, (left, top, right, bottom) in enumerate(tiles):
        x, ha = (right, "left") if left + right < 2 * middle[0] else (left, "right")
        y, va = (bottom, "top") if top + bottom < 2 * middle[1] else (top, "bottom")
        axes.text(x, y, str(number + 1), size=6, color="white", ha=ha, va=va, path_effects=effects, clip_on=True)
