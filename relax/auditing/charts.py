"""The charts of the audit, as PNG files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from relax.auditing.clusters import Clusters
from relax.auditing.duplicates import Duplicates
from relax.auditing.hubs import Hubness
from relax.auditing.layout import Layout
from relax.auditing.predictability import MAX_GROUPS, Predictability, Value
from relax.auditing.shortcuts import Shortcuts
from relax.plotting.drawing import boxes_for_missing_glyphs
from relax.plotting.lettering import PLAIN
from relax.plotting.themes import INK, PALE
from relax.report.packing import GROUP_COLOURS

DPI = 150
DOT, MANY = 14.0, 5000  # area of a dot in square points, and images from which on it is smaller
COLOURED_GROUPS = len(GROUP_COLOURS)
OTHER = "#dddddd"
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def space_chart(layouts: Sequence[Layout], values: Sequence[Value], legend: str) -> bytes:
    """The maps of the space side by side, coloured by a value per image: groups by name, numbers by a scale."""
    figure = Figure(figsize=(4.6 * len(layouts) + 1.3, 4.4), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(layouts), squeeze=False)[0]
    numbers = _numbers(values)
    for panel, layout in zip(axes, layouts, strict=True):
        share = "" if layout.explained is None else f", {layout.explained:.0%} of the variance"
        _titled(panel, f"{TITLES[layout.method]}{share}")
        panel.set(xticks=[], yticks=[])
        panel.set_aspect("equal", adjustable="datalim")
        if numbers is None:
            _scatter_groups(panel, layout.points, values)
        else:
            unknown = np.isnan(numbers)
            panel.scatter(*layout.points[unknown].T, s=_dot(layout.points), color=OTHER, linewidths=0)
            dots = panel.scatter(
                *layout.points[~unknown].T, s=_dot(layout.points), c=numbers[~unknown], cmap="viridis", linewidths=0
            )
    if numbers is None:
        handles, labels = axes[-1].get_legend_handles_labels()
        larger = (DOT / _dot(layouts[-1].points)) ** 0.5  # dots of very many images are too small for a legend
        box = figure.legend(
            *(handles, labels),
            loc="outside right upper",
            title=_safe(legend),
            frameon=False,
            fontsize=8,
            markerscale=larger,
        )
        for text in (box.get_title(), *box.get_texts()):
            text.set(parse_math=False, color=INK)
    else:
        figure.colorbar(dots, ax=list(axes), shrink=0.7).set_label(_safe(legend), fontsize=8, **PLAIN)
    return _png(figure)


def neighbours_chart(duplicates: Duplicates, hubs: Hubness) -> bytes:
    """How close each image is to its nearest neighbour, and how often it is a neighbour."""
    figure, (left, right) = _panels(2)
    left.hist(1 - duplicates.similarity, bins=40, color=GROUP_COLOURS[0])
    left.axvline(1 - duplicates.threshold, color=GROUP_COLOURS[5], linewidth=1.2, label="near-duplicates: to the left")
    left.set(xlabel="cosine distance to the nearest image", ylabel="images")
    left.legend(frameon=False, fontsize=8)
    _titled(left, "Nearest neighbours")
    largest = int(hubs.occurrence.max())
    bins = (np.arange(largest + 2) - 0.5).tolist() if largest < 60 else 60
    right.hist(hubs.occurrence, bins=bins, color=GROUP_COLOURS[0])
    right.axvline(hubs.k, color=PALE, linewidth=1.2, linestyle=":", label=f"mean: {hubs.k}")
    right.set(xlabel=f"times among the {hubs.k} nearest of another image", ylabel="images")
    right.legend(frameon=False, fontsize=8)
    _titled(right, f"Hubness: skewness {hubs.skewness:.2f}")
    return _png(figure)


def clusters_chart(clusters: Clusters) -> bytes:
    """The silhouette by number of clusters, and the sizes of the clusters."""
    figure, (left, right) = _panels(2)
    numbers = list(clusters.silhouettes)
    left.plot(numbers, list(clusters.silhouettes.values()), color=PALE, marker="o", markersize=4)
    left.plot([clusters.count], [clusters.silhouette], color=GROUP_COLOURS[5], marker="o", markersize=8)
    left.set(xlabel="clusters", ylabel="mean silhouette", xticks=numbers)
    left.set_ylim(min(0.0, min(clusters.silhouettes.values())) - 0.02, max(1.0, clusters.silhouette))
    _titled(left, f"{clusters.count} clusters chosen")
    right.bar(range(clusters.count), clusters.sizes, color=[_colour(place) for place in range(clusters.count)])
    right.set(xlabel="cluster", ylabel="images", xticks=range(clusters.count))
    _titled(right, "Sizes")
    return _png(figure)


def importance_chart(maps: dict[int, NDArray[np.float64]], counts: dict[int, int]) -> bytes:
    """The mean standardised importance map of each cluster, on one colour scale."""
    columns = min(5, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(2.1 * columns + 0.9, 2.3 * rows + 0.2), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False)
    ends = max(float(np.abs(values).max()) for values in maps.values())
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, (number, values) in zip(axes.flat, maps.items(), strict=False):
        drawn = panel.imshow(values, cmap="RdBu_r", vmin=-ends, vmax=ends)
        pictures = f"{counts[number]} picture{'s' * (counts[number] != 1)}"
        _titled(panel, f"cluster {number} ({pictures})")
    bar = figure.colorbar(drawn, ax=list(axes.flat), shrink=0.8)
    bar.set_label("importance, in standard\ndeviations within a picture", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return _png(figure)


def shortcuts_chart(shortcuts: Shortcuts) -> bytes:
    """The mean difference by question, and how often hiding a cell changes the cluster; regions are outlined."""
    titles = {
        "importance": "importance,\nagainst mirrored",
        "hiding": "hiding,\nagainst mirrored",
        "recurrence": "hiding,\nin one direction",
    }
    units = {"importance": "standard deviations in a map", "hiding": "cosine", "recurrence": "agreement"}
    panels = [(titles[name], test.difference, units[name]) for name, test in shortcuts.tests.items()]
    if np.isfinite(shortcuts.moved).all():
        panels.append(("hiding changes\nthe cluster", 100 * shortcuts.moved, "% of the pictures"))
    figure, axes = _panels(len(panels), height=2.2, width=8.6 / len(panels))
    for panel, (title, values, unit) in zip(axes, panels, strict=True):
        signed = "%" not in unit
        ends = max(float(np.abs(values).max()), 1e-9 if signed else 1.0)
        colours, low = ("RdBu_r", -ends) if signed else ("viridis", 0.0)
        drawn = panel.imshow(values, cmap=colours, vmin=low, vmax=ends)
        for region in shortcuts.regions:
            for row, column in region.cells:
                corner = column - 0.46, row - 0.46
                panel.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="black", linewidth=1.6))
        panel.set(xticks=[], yticks=[])
        _titled(panel, title)
        bar = figure.colorbar(drawn, ax=panel, fraction=0.046)  # as high as the square beside it
        bar.set_label(unit, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return _png(figure)


def predictability_chart(columns: Sequence[Predictability]) -> bytes:
    """Score of every column, beside the score of shuffled ones."""
    figure = Figure(figsize=(7.5, 1.1 + 0.34 * len(columns)), layout="constrained", facecolor="white")
    panel = figure.subplots()
    places = np.arange(len(columns))[::-1]
    panel.barh(places, [max(0.0, column.score) for column in columns], height=0.6, color=GROUP_COLOURS[0])
    chances = [max(0.0, column.chance) for column in columns]
    panel.scatter(chances, places, marker="|", s=160, linewidths=2, color=GROUP_COLOURS[5], label="shuffled", zorder=3)
    measures = {"numbers": "R²", "groups": "balanced accuracy"}
    labels = [f"{_safe(column.column)} ({measures[column.kind]})" for column in columns]
    panel.set_yticks(places, labels=labels, parse_math=False)
    panel.set_xlim(0, 1)
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    _titled(panel, "How well the neighbours predict each column")
    return _png(figure)


def _scatter_groups(panel: Axes, points: NDArray[np.float64], values: Sequence[Value]) -> None:
    """The largest groups in a colour each, other groups and unknown values in grey."""
    names = [_name(value) for value in values]
    counts = Counter(name for name in names if name)
    known = sorted(counts, key=lambda name: (-counts[name], name))[:COLOURED_GROUPS]
    order = sorted(known, key=lambda name: (len(name), name))
    others = np.array([name not in known for name in names])
    if others.any():
        panel.scatter(
            points[others, 0], points[others, 1], s=_dot(points), color=OTHER, linewidths=0, label="other or unknown"
        )
    for place, name in enumerate(order):
        chosen = np.array([other == name for other in names])
        panel.scatter(
            points[chosen, 0], points[chosen, 1], s=_dot(points), color=_colour(place), linewidths=0, label=_safe(name)
        )


def _dot(points: NDArray[np.float64]) -> float:
    """The area of a dot in square points: smaller where there are very many."""
    return DOT * min(1.0, max(MANY / len(points), 0.1))


def _numbers(values: Sequence[Value]) -> NDArray[np.float64] | None:
    """(N,) the values as numbers if there are many distinct ones, NaN where unknown; else None."""
    known = {value for value in values if value is not None}
    if len(known) <= MAX_GROUPS or not all(isinstance(value, int | float) for value in known):
        return None
    return np.array([np.nan if value is None else float(value) for value in values])


def _name(value: Value) -> str:
    return "" if value is None else str(value)


def _colour(place: int) -> str:
    return GROUP_COLOURS[place % COLOURED_GROUPS]


def _safe(text: str) -> str:
    """Shortened, and safe for matplotlib, which hides labels that begin with _."""
    short = text if len(text) <= 28 else text[:27] + "…"
    return f"\u200b{short}" if short.startswith("_") else short


def _panels(count: int, height: float = 3.1, width: float = 4.2) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count, height), layout="constrained", facecolor="white")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _titled(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=9, color=INK, loc="left", **PLAIN)
    panel.tick_params(labelsize=8, colors=INK)
    panel.xaxis.label.set_fontsize(8)
    panel.yaxis.label.set_fontsize(8)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with boxes_for_missing_glyphs():
        figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
