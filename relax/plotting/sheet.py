"""Sheets: rows of an image and its maps, each map with a title and a colour bar, and one caption under all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from relax.plotting.panels import HATCH, INK, PALE, PLAIN, SIGNED, Scale, draw_image, draw_map
from relax.text import number

PANEL_WIDTH = 2.3  # inches
MAX_TITLE = 34  # characters


def panel_height(shape: tuple[int, ...]) -> float:
    """Height in inches of a panel for a map of shape (H, W)."""
    return min(max(PANEL_WIDTH * shape[0] / shape[1], 0.6), 4.0)


def empty_sheet(heights: Sequence[float], columns: int, size: tuple[float, float]) -> tuple[Figure, NDArray[Any]]:
    """A figure of this size in inches and its frameless axes (rows, columns); `heights` are relative, one per row."""
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
    drawing = Figure(figsize=size, facecolor="white", layout=layout)
    axes = drawing.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for panel in axes.flat:
        panel.set_axis_off()
    return drawing, axes


def draw_titled_image(drawing: Figure, axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    """An image (H, W, 3), as large as the maps beside it."""
    draw_image(axes, image)
    # As much room as a colour bar takes:
    drawing.colorbar(ScalarMappable(), ax=axes, location="bottom", pad=0.03).ax.set_visible(False)
    _write_title(axes, title)


def draw_titled_map(
    drawing: Figure, axes: Axes, values: NDArray[np.float32], scale: Scale, title: str, unit: str
) -> None:
    """A map (H, W) with its colour bar; hatched where it has no value."""
    draw_map(axes, values, values, scale)
    _write_title(axes, title)
    _draw_bar(drawing, axes, scale, unit)


def write_caption(drawing: Figure, lines: Sequence[str]) -> None:
    """Small print under the panels."""
    drawing.supxlabel("\n".join(lines), size=6.5, color=PALE, x=0.01, ha="left", **PLAIN)


def _write_title(axes: Axes, title: str) -> None:
    axes.set_title(title, size=8, color=INK, loc="left", **PLAIN)


def _draw_bar(drawing: Figure, axes: Axes, scale: Scale, unit: str) -> None:
    """The colour bar of a map, labelled with its unit, the ends of the scale, and 0 if the scale is signed."""
    bar = drawing.colorbar(ScalarMappable(scale.norm, scale.colours), ax=axes, location="bottom", pad=0.03)
    bar.outline.set(color=HATCH, linewidth=0.5)
    span = scale.high - scale.low
    middle = [0.0] if scale.colours == SIGNED else []
    ends = [scale.low, *middle, scale.high] if span > 0 else [scale.low]
    bar.set_ticks(ends, labels=[number(value, span) for value in ends])
    bar.ax.tick_params(labelsize=6.5, length=2, labelcolor=INK)
    sides = ("left", "center", "right") if middle else ("left", "right")
    for tick, side in zip(bar.ax.get_xticklabels(), sides, strict=False):
        tick.set(ha=side if span > 0 else "center", parse_math=False)
    bar.set_label(unit, size=6.5, color=PALE, **PLAIN)
