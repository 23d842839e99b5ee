"""Draw a picture in the layers of an encoder: a row for each layer, with some of its channels and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.panels import draw_image, draw_map
from relax.plotting.scales import COLOURS, SIGNED, Scale
from relax.plotting.sheet import WIDTH, Panel, Row, Sheet
from relax.plotting.themes import THEMES, Theme
from relax.text import one_of

PARTS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8c8c8c")  # Okabe & Ito, 2008
Map = NDArray[np.float32]


@dataclass(frozen=True)
class LayerRow:
    """What is drawn of one layer.

    Attributes:
        heading: Its name and shape.
        maps: (gh, gw) with a title and a line under it, each.
        parts: (F, gh, gw) maps of its parts; None for none.
        parts_title, parts_note: Words about them.
        signed_parts: Whether they are components of both signs, drawn as red, green and blue.
    """

    heading: str
    maps: Sequence[tuple[str, str, Map]]
    parts: Map | None = None
    parts_title: str = ""
    parts_note: str = ""
    signed_parts: bool = False


def layers_figure(
    view: NDArray[np.uint8],
    rows: Sequence[LayerRow],
    name: str,
    caption: Sequence[str],
    *,
    width: float = WIDTH,
    theme: str = "light",
) -> Figure:
    """The view, then a row for each layer.

    Args:
        view: (h, w, 3) the picture as the encoder sees it.
        rows: The layers.
        name: Of the picture.
        caption: How it was made, in short phrases.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    picture = Panel("what the encoder sees", view.shape[:2], partial(draw_image, image=view))
    drawn = [Row([picture], name)]
    for row in rows:
        panels = [_map_panel(title, note, values, view.shape[:2], colours) for title, note, values in row.maps]
        if row.parts is not None:
            image = blended(row.parts) if row.signed_parts else coloured(row.parts)
            draw = partial(_draw_cells, image=image)
            panels.append(Panel(row.parts_title, view.shape[:2], draw, label=row.parts_note))
        drawn.append(Row(panels, row.heading))
    return Sheet(drawn, [caption], colours, width).draw()


def coloured(parts: Map) -> NDArray[np.uint8]:
    """(gh, gw, 3): each cell in the colour of its strongest part, towards white the weaker that is."""
    strongest = parts.argmax(0)
    strength = np.sqrt(parts.max(0) / (parts.max() or 1)).clip(0, 1)[..., None]
    table = np.array([to_rgb(colour) for colour in PARTS])
    mixed: NDArray[np.float64] = table[strongest % len(PARTS)] * strength + (1 - strength)
    return (mixed * 255).round().astype(np.uint8)


def blended(components: Map) -> NDArray[np.uint8]:
    """(gh, gw, 3): the first three components, each over its own range, as red, green and blue."""
    image = np.full((*components.shape[1:], 3), 128, np.uint8)
    for place, values in enumerate(components[:3]):
        span = float(np.ptp(values))
        image[..., place] = np.rint(255 * (values - values.min()) / (span or 1))
    return image


def _map_panel(title: str, note: str, values: Map, shape: tuple[int, ...], theme: Theme) -> Panel:
    scale = Scale.of("importance", values, cmap=SIGNED if values.min() < 0 else COLOURS["importance"])
    return Panel(title, shape, partial(_draw_values, values=values, scale=scale, shape=shape, theme=theme), scale, note)


def _draw_values(axes: Axes, values: Map, scale: Scale, shape: tuple[int, ...], theme: Theme) -> None:
    """The cells stretched over the view, each a rectangle of one colour."""
    draw_map(axes, values, scale, theme)
    _stretch(axes, values.shape, shape)


def _draw_cells(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, aspect="auto", interpolation="nearest")


def _stretch(axes: Axes, cells: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Cells in the proportions of the view."""
    axes.set_aspect((shape[0] / cells[0]) / (shape[1] / cells[1]))
