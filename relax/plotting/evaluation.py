"""Draw an evaluation: ranks of the methods family by family, every metric with its interval, the curves.

Methods keep their colour, marker and line through the figure, so that they can be told apart in grey as well. The
controls, which see nothing, are grey. All intervals are 95 % bootstrap intervals over pictures.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN
from relax.plotting.themes import INK, PALE
from relax.text import one_of, shortened

if TYPE_CHECKING:  # these lie above
    from relax.metrics import Band, Evaluation, Mean, Standing

PARTS = ("ranks", "metrics", "curves")
WIDTH, COLUMNS = 9.6, 3  # inches; panels in a row
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe & Ito, 2008
LINES, MARKERS = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1))), "osD^vP*X"
ARROWS = {"higher": "↑", "lower": "↓"}
CONTROLS = ("random", "centre")
CONTROL = "#8a8a8a"
NAME = 22  # characters of a method's name


@dataclass(frozen=True)
class Style:
    """How a method is drawn."""

    colour: str
    marker: str
    line: Any


def evaluation_figure(evaluation: Evaluation, parts: Sequence[str] = ()) -> Figure:
    """Draw some of `PARTS`, one below the other; all of them if none is named. What has no values is left out.

    Raises:
        ValueError: If a part is unknown, or there is nothing to draw.
    """
    chosen = [one_of("parts", part, PARTS) for part in parts] or [*PARTS]
    means = [mean for mean in evaluation.summary() if mean.images]
    styles = _styles(list(dict.fromkeys(mean.method for mean in means)))
    standings, bands = evaluation.standings(), evaluation.bands()
    panels = _metrics(means)
    heights = {
        "ranks": _rows(standings) * (0.95 + 0.23 * max((len(s.means) for s in standings), default=0)) + 0.35,
        "metrics": _rows(panels) * (0.72 + 0.2 * len(styles)) + 0.35,
        "curves": _rows(bands) * 2.5 + 0.5,
    }
    content: dict[str, Any] = {"ranks": standings, "metrics": panels, "curves": bands}
    drawn = [part for part in chosen if content[part]]
    if not drawn:
        raise ValueError(f"nothing to draw: no {' or '.join(chosen)} of this evaluation have values")
    figure = Drawing(figsize=(WIDTH, sum(heights[part] for part in drawn)), layout="constrained", facecolor="white")
    places = figure.subfigures(len(drawn), 1, height_ratios=[heights[part] for part in drawn], squeeze=False)[:, 0]
    draw: dict[str, Any] = {"ranks": _draw_ranks, "metrics": _draw_metrics, "curves": _draw_curves}
    for place, part in zip(places, drawn, strict=True):
        draw[part](place, content[part], styles)
    return figure


def _draw_ranks(figure: SubFigure, standings: Sequence[Standing], styles: Mapping[str, Style]) -> None:
    _headline(figure, "Mean rank over pictures and metrics, 1 = best; filled: cannot be told from the best")
    for axes, standing in zip(_grid(figure, len(standings)), standings, strict=False):
        for place, (method, mean) in enumerate(standing.means.items()):
            _dot(axes, place, mean, standing.intervals[method], styles[method], filled=standing.level[method])
        _name_rows(axes, list(standing.means))
        axes.set_xlim(0.6, len(standing.means) + 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        pictures = f"{standing.pictures} picture{'s' * (standing.pictures != 1)}"
        _title(axes, f"{standing.family}, {pictures}", standing.score)


def _draw_metrics(
    figure: SubFigure, panels: Mapping[tuple[str, str], Sequence[Mean]], styles: Mapping[str, Style]
) -> None:
    _headline(figure, "Metrics: mean over pictures with its 95 % interval; ↑ higher is better, ↓ lower is better")
    several = len({score for _, score in panels if score}) > 1
    for axes, ((metric, score), means) in zip(_grid(figure, len(panels)), panels.items(), strict=False):
        for place, mean in enumerate(means):
            _dot(axes, place, mean.mean, (mean.low, mean.high), styles[mean.method])
        _name_rows(axes, [mean.method for mean in means])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _title(axes, f"{metric} {ARROWS[means[0].direction]}", score if several else "")


def _draw_curves(
    figure: SubFigure, panels: Mapping[tuple[str, str], Mapping[str, Band]], styles: Mapping[str, Style]
) -> None:
    _headline(figure, "Curves: mean over pictures, band: 95 % interval")
    for axes, ((metric, score), bands) in zip(_grid(figure, len(panels)), panels.items(), strict=False):
        for method, band in bands.items():
            style = styles[method]
            axes.fill_between(band.shares, band.low, band.high, color=style.colour, alpha=0.14, linewidth=0)
            axes.plot(band.shares, band.mean, color=style.colour, linestyle=style.line, linewidth=1.4,
                      marker=style.marker, markersize=3.4, markevery=5)  # fmt: skip
        axes.set_xlim(0, 1)
        verb = "hidden" if "deletion" in metric else "shown"
        axes.set_xlabel(f"share of the pixels {verb}", fontsize=8, color=INK)
        _quiet(axes)
        _title(axes, metric, score)
    drawn = dict.fromkeys(method for bands in panels.values() for method in bands)
    handles = [
        Line2D([], [], color=styles[name].colour, linestyle=styles[name].line, marker=styles[name].marker, markersize=4)
        for name in drawn
    ]
    legend = figure.legend(
        handles, [shortened(name, NAME) for name in drawn], loc="outside lower center", ncols=min(5, len(drawn)),
        fontsize=8, frameon=False, handlelength=3.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set(parse_math=False, color=INK)


def _metrics(means: Sequence[Mean]) -> dict[tuple[str, str], list[Mean]]:
    """The means by metric and what is scored: a probability and a similarity have no common scale."""
    panels: dict[tuple[str, str], list[Mean]] = {}
    for mean in means:
        panels.setdefault((mean.metric, mean.score), []).append(mean)
    return panels


def _styles(methods: Sequence[str]) -> dict[str, Style]:
    """A colour, a marker and a line for each method."""
    own = [method for method in methods if method not in CONTROLS]
    styles = {
        method: Style(COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)], LINES[n % len(LINES)])
        for n, method in enumerate(own)
    }
    controls = [method for method in methods if method in CONTROLS]
    return styles | {method: Style(CONTROL, "x+"[n], (0, (1, 1.6))) for n, method in enumerate(controls)}


def _dot(
    axes: Axes, place: int, mean: float, interval: tuple[float, float], style: Style, *, filled: bool = True
) -> None:
    low, high = interval
    if math.isfinite(low):
        axes.plot([low, high], [place, place], color=style.colour, linewidth=1.6, solid_capstyle="butt")
    face = style.colour if filled else "white"
    axes.plot([mean], [place], marker=style.marker, markersize=6, color=style.colour, markerfacecolor=face)


def _grid(figure: SubFigure, count: int) -> list[Axes]:
    """Panels in rows; those left over are empty."""
    columns = _columns(count)
    grid = list(figure.subplots(math.ceil(count / columns), columns, squeeze=False).ravel())
    for axes in grid[count:]:
        axes.set_axis_off()
    return grid


def _columns(count: int) -> int:
    return 2 if count in (2, 4) else min(COLUMNS, count)


def _rows(panels: Sized) -> int:
    return math.ceil(len(panels) / max(1, _columns(len(panels))))


def _name_rows(axes: Axes, methods: Sequence[str]) -> None:
    """Names of methods along the side, the first on top."""
    axes.set_yticks(range(len(methods)), [shortened(name, NAME) for name in methods], fontsize=8, color=INK)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    _quiet(axes)
    axes.tick_params(axis="y", length=0)


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=PALE, labelcolor=INK)


def _title(axes: Axes, title: str, score: str = "") -> None:
    lines = [title, *textwrap.wrap(shortened(score, 80), 44)]
    axes.set_title("\n".join(lines), fontsize=8.5, color=INK, loc="left", **PLAIN)


def _headline(figure: SubFigure, text: str) -> None:
    figure.suptitle(text, x=0.005, ha="left", fontsize=9.5, fontweight="bold", color=INK)
