"""Draw how the error of a map fell while its masks came in, and how many more a smaller error takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from encoders.values import is_number
from relax.maps import map_unit
from relax.plotting.caption import recipe
from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN
from relax.plotting.themes import THEMES, Theme
from relax.text import number, one_of, shortened

LARGEST, MEDIAN = "#c0469b", "#5b7fd6"  # readable on light and dark, told apart in grey by their markers
APART = 1.7  # ratio of two numbers of masks whose labels do not touch


def convergence_figure(
    curve: Mapping[str, Sequence[Any]], provenance: dict[str, Any], *, theme: str = "light"
) -> Drawing:
    """The curve of an explanation as a figure of its own, 3.3 inches wide as the column of a journal.

    Args:
        curve: What `Explanation.convergence` gives.
        provenance: Of the explanation.
        theme: "light" or "dark".

    Raises:
        ValueError: As `draw_convergence`.
    """
    colours = THEMES[theme]
    drawing = Drawing(figsize=(3.3, 2.6), layout="constrained", facecolor=colours.paper)
    axes = drawing.subplots()
    draw_convergence(axes, curve, unit=map_unit(provenance), tolerance=provenance.get("tolerance"), theme=colours)
    title = f"{shortened(str(provenance.get('image')), 36)} · {recipe(provenance)[0]}"
    axes.set_title(title, size=7, color=colours.ink, loc="left", **PLAIN)
    return drawing


def convergence_plot(
    curve: Mapping[str, Sequence[Any]], provenance: dict[str, Any], ax: Axes | None = None, *, theme: str = "light"
) -> Figure:
    """`convergence_figure`, or the curve in axes of a caller's own figure, which is returned.

    Raises:
        ValueError: As `draw_convergence`, or if the theme is unknown.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    if ax is None:
        return convergence_figure(curve, provenance, theme=theme)
    draw_convergence(ax, curve, unit=map_unit(provenance), tolerance=provenance.get("tolerance"), theme=colours)
    drawing: Any = ax.figure
    return cast(Figure, drawing)


def draw_convergence(
    axes: Axes,
    curve: Mapping[str, Sequence[Any]],
    *,
    unit: str = "similarity",
    tolerance: float | None = None,
    theme: Theme = THEMES["light"],
) -> None:
    """Draw the largest and the median standard error against the number of masks, both on logarithmic axes.

    A dotted line through the last, largest error falls with the root of the number of masks, as the error of a mean
    does: where it meets the error that is wanted, it says how many masks that takes.

    Args:
        axes: The panel.
        curve: What `Explanation.convergence` gives.
        unit: Of the importance.
        tolerance: The largest error that was asked for, a dashed line.
        theme: Colours of what is not data.

    Raises:
        ValueError: If the curve has no points, or some that are no numbers above 0.
    """
    masks, largest, median = (np.array(_numbers(name, curve.get(name))) for name in ("masks", "largest", "median"))
    if not len(masks) == len(largest) == len(median):
        raise ValueError("curve must have as many errors as masks")
    axes.set(xscale="log", yscale="log", xlim=(masks[0] / 1.15, 5 * masks[-1]), facecolor=theme.paper)
    ahead = np.array([masks[-1], 4 * masks[-1]])
    axes.plot(ahead, largest[-1] * np.sqrt(masks[-1] / ahead), ":", color=theme.pale, linewidth=1, zorder=1)
    for name, values, colour, marker, side in (
        ("largest", largest, LARGEST, "o", "bottom"),
        ("median", median, MEDIAN, "s", "top"),
    ):
        axes.plot(masks, values, color=colour, marker=marker, markersize=3.5, linewidth=1.4)
        label = axes.annotate(f"{name} {number(values[-1])}", (1.08 * masks[-1], values[-1]), size=7, va=side, **PLAIN)
        label.set(color=colour, bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 0.6})
    if tolerance is not None:
        axes.axhline(tolerance, color=theme.ink, linewidth=0.8, linestyle="--", zorder=1)
        place = (5 * masks[-1], tolerance)
        axes.annotate(f"tolerance {tolerance:g}", place, size=7, color=theme.ink, ha="right", va="bottom", **PLAIN)
    _scales(axes, masks, unit, theme)


def _scales(axes: Axes, masks: np.ndarray[Any, Any], unit: str, theme: Theme) -> None:
    shown = [int(masks[-1]), int(4 * masks[-1])]
    for count in masks[-2::-1]:
        if shown[0] / count >= APART:
            shown.insert(0, int(count))
    axes.set_xticks(shown, [f"{count:,}" for count in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("masks", size=7, color=theme.ink)
    axes.set_ylabel(f"standard error of the {unit}", size=7, color=theme.ink, **PLAIN)
    axes.tick_params(labelsize=6.5, colors=theme.pale)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=theme.pale, linewidth=0.6)


def _numbers(name: str, values: Sequence[Any] | None) -> list[float]:
    if not values or not all(is_number(value) and value > 0 for value in values):
        raise ValueError(f"curve must have {name} above 0; got {shortened(str(values), 60)}")
    return [float(value) for value in values]
