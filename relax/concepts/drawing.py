"""Pictures of units and concepts: what excites a unit, its area lit and outlined, the concept outlined beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.panels import draw_image
from relax.plotting.sheet import WIDTH, Panel, Row, Sheet
from relax.plotting.themes import THEMES
from relax.text import number, one_of, shortened

if TYPE_CHECKING:
    from relax.concepts.dissection import Dissection, Example

AREA, CONCEPT = (255, 214, 0), (0, 214, 255)  # yellow and cyan, apart also for readers who see no red or green
DIMMED = 0.45  # of the brightness of what lies outside the area
LEGEND = (
    "yellow: area of the unit; cyan: the concept's mask; the rest is darkened; numbers: the unit's largest activation"
)


def outlined(
    pixels: NDArray[np.uint8], area: NDArray[np.bool_], mask: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """(h, w, 3) a picture with an area outlined in yellow and darkened around it, and a mask outlined in cyan."""
    drawn = np.where(area[..., None], pixels, pixels * DIMMED)
    width = max(1, round(max(area.shape) / 110))
    for outline, colour in ((mask, CONCEPT), (area, AREA)):
        if outline is not None:
            drawn[_edge(outline, width)] = colour
    return drawn.astype(np.uint8)


def dissection_figure(dissection: Dissection, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A row of pictures for each of the best detectors, in the order of `dissection.examples`.

    Args:
        dissection: With examples.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".

    Raises:
        ValueError: If there are no examples, or width or theme are impossible.
    """
    if not dissection.examples:
        raise ValueError("dissection has no examples to draw: let show be 1 or more")
    colours = THEMES[one_of("theme", theme, THEMES)]
    units = dissection.units()
    rows = []
    for unit, group in groupby(dissection.examples, key=lambda example: example.unit):
        detector = units[unit]
        measures = f"IoU {detector.iou:.3f}{_chance(detector.p)}, AUC {number(detector.auc, 0.1)}"
        heading = f"unit {unit}: {detector.concept}, {measures}"
        rows.append(Row([_panel(example) for example in group], heading))
    caption = [f"layer {dissection.layer} of {shortened(str(dissection.record['encoder']['name']), 80)}", LEGEND]
    return Sheet(rows, [caption], colours, width).draw()


def crops_figure(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], caption: Sequence[str], width: float, theme: str
) -> Figure:
    """A row of small pictures under each heading."""
    colours = THEMES[one_of("theme", theme, THEMES)]
    laid = [
        Row([Panel("", crop.shape[:2], partial(draw_image, image=crop)) for crop in crops], heading)
        for heading, crops in rows
    ]
    return Sheet(laid, [caption], colours, width).draw()


def _panel(example: Example) -> Panel:
    pixels = outlined(example.pixels, example.area, example.mask)
    return Panel(f"{example.peak:.3g}", pixels.shape[:2], partial(draw_image, image=pixels))


def _chance(p: float) -> str:
    return f" (p {p:.2g})" if np.isfinite(p) else ""


def _edge(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels of a mask that are within `width` of what is outside it, as the frame of the picture is."""
    padded = np.pad(mask, width)
    inner = mask.copy()
    for down in range(2 * width + 1):
        for across in range(2 * width + 1):
            inner &= padded[down : down + mask.shape[0], across : across + mask.shape[1]]
    edge: NDArray[np.bool_] = mask & ~inner
    return edge
