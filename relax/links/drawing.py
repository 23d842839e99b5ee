"""The figure of links: both sides with the strongest links as lines, and below each side what it alone shows."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from encoders.values import described, is_whole
from relax.links.linked import LinkedPicture, LinkedText
from relax.plotting.drawing import Drawing
from relax.plotting.scales import SIGNED
from relax.plotting.themes import THEMES, Theme
from relax.text import number, one_of, shortened

if TYPE_CHECKING:
    from relax.links.explanation import Link, LinksExplanation

WIDTHS = (4.0, 40.0)
MOST_LINES = 64
GAP, TOP, BOTTOM = 0.5, 0.45, 1.05  # inches
COLOURS = ("#e8a33d", "#4aa3a2", "#c4679b", "#7f9c3b", "#5b7fc7", "#d0603f", "#8f6bb5", "#3f8f5f")


def links_figure(explained: LinksExplanation, lines: int = 8, *, theme: str = "light", width: float = 8.0) -> Figure:
    """Both sides with the strongest links as lines between their parts, and below them what only each side shows.

    Args:
        explained: The links.
        lines: How many links at most, 1 to 64; those that are more than two standard errors above 0.
        theme: "light" or "dark".
        width: In inches, from 4 to 40.

    Raises:
        ValueError: If one of them is out of range, or the theme is unknown.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    if not is_whole(lines, 1) or lines > MOST_LINES:
        raise ValueError(f"lines must be how many links are drawn, 1 to {MOST_LINES}; got {described(lines)}")
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise ValueError(f"width must be from {WIDTHS[0]:g} to {WIDTHS[1]:g} inches; got {width}")
    side = (width - 0.4 - GAP) / 2
    heights = [side * _aspect(linked) for linked in (explained.a, explained.b)]
    row = max(heights)
    height = TOP + 2 * row + 0.45 + BOTTOM
    figure = Drawing(figsize=(width, height), facecolor=colours.paper)
    limit = max(
        float(np.abs(np.concatenate([of.only.ravel() for of in (explained.of_a, explained.of_b)])).max()), 1e-12
    )
    panels: dict[str, tuple[Axes, Axes]] = {}
    for place, name in enumerate("ab"):
        linked, own = getattr(explained, name), getattr(explained, f"of_{name}")
        left = 0.2 + place * (side + GAP)
        boxes = [
            (left / width, (height - TOP - line * (row + 0.45) - heights[place]) / height, side / width)
            for line in (0, 1)
        ]
        axes = [figure.add_axes((x, y, wide, heights[place] / height)) for x, y, wide in boxes]
        _shown(axes[0], linked, colours)
        axes[0].set_title(shortened(title_of(linked), 44).replace("$", r"\$"), size=9, color=colours.ink, loc="left")
        _only(axes[1], linked, own.only, limit, colours)
        axes[1].set_title("what only this one shows", size=9, color=colours.ink, loc="left")
        panels[name] = (axes[0], axes[1])
    for rank, link in enumerate(explained.strongest(lines)):
        _line(figure, panels["a"][0], panels["b"][0], explained, link, rank)
    _bar(figure, limit, colours)
    caption = textwrap.wrap(_caption(explained), int(width * 19))
    figure.text(0.2 / width, 0.1 / height, "\n".join(caption), size=6.5, color=colours.pale, va="bottom")
    return figure


def title_of(linked: LinkedPicture | LinkedText) -> str:
    """A text, or the name of a picture without its folders."""
    return linked.name if isinstance(linked, LinkedText) else Path(linked.name).name


def _aspect(linked: LinkedPicture | LinkedText) -> float:
    """Height over width of a panel."""
    if isinstance(linked, LinkedText):
        return max(0.3, 0.11 * len(linked.words))
    height, width = linked.image.shape[:2]
    return float(height / width)


def box_of(linked: LinkedPicture | LinkedText, part: tuple[int, ...]) -> tuple[float, float, float, float]:
    """(left, top, width, height) of a part: a cell in pixels of its picture, a word in a list of words 1 high."""
    if isinstance(linked, LinkedText):
        return 0.0, float(part[0]), 1.0, 1.0
    top, left, bottom, right = linked.seen
    rows, columns = linked.shape
    height, width = (bottom - top) / rows, (right - left) / columns
    return left + part[1] * width, top + part[0] * height, width, height


def _shown(axes: Axes, linked: LinkedPicture | LinkedText, theme: Theme, *, grey: bool = False) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if isinstance(linked, LinkedPicture):
        height, width = linked.image.shape[:2]
        pixels = np.repeat(linked.image.mean(2, keepdims=True), 3, 2).astype(np.uint8) if grey else linked.image
        axes.imshow(pixels, extent=(0, width, height, 0))
        axes.set(xlim=(0, width), ylim=(height, 0))
        return
    axes.set(xlim=(0, 1), ylim=(len(linked.words), 0), facecolor=theme.paper)
    for place, word in enumerate(linked.words):
        text = shortened(word, 40).replace("$", r"\$")
        axes.text(0.08, place + 0.5, text, size=11, color=theme.ink, va="center")


def _only(axes: Axes, linked: LinkedPicture | LinkedText, values: Any, limit: float, theme: Theme) -> None:
    """The map over a grey picture, in cells as they are; words in their colours."""
    colour = matplotlib.colormaps[SIGNED]
    scale = Normalize(-limit, limit)
    _shown(axes, linked, theme, grey=True)
    for part in np.ndindex(*linked.shape):
        left, top, width, height = box_of(linked, part)
        face = colour(scale(values[part]))
        axes.add_patch(Rectangle((left, top), width, height, facecolor=face, alpha=0.72, linewidth=0))


def _line(figure: Figure, axes_a: Axes, axes_b: Axes, explained: LinksExplanation, link: Link, rank: int) -> None:
    """A link, with the frames of both parts in its colour; the first is the widest."""
    colour, wide = COLOURS[rank % len(COLOURS)], 2.2 if rank == 0 else 1.4
    ends = []
    for axes, linked, part in ((axes_a, explained.a, link.a), (axes_b, explained.b, link.b)):
        left, top, width, height = box_of(linked, part)
        frame = Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=wide)
        axes.add_patch(frame)
        ends.append((left + width / 2, top + height / 2) if isinstance(linked, LinkedPicture) else (0.04, top + 0.5))
    figure.add_artist(
        ConnectionPatch(ends[0], ends[1], "data", "data", axesA=axes_a, axesB=axes_b, color=colour, linewidth=wide)
    )


def _bar(figure: Figure, limit: float, theme: Theme) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.5 / width, 0.72 / height, min(2.6, width / 2 - 0.8) / width, 0.1 / height))
    axes.imshow(np.linspace(-1, 1, 256)[None], cmap=SIGNED, aspect="auto", extent=(-limit, limit, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([-limit, 0, limit], [number(-limit, limit / 10), "0", number(limit, limit / 10)])
    axes.tick_params(labelsize=6.5, colors=theme.pale, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    words = "above 0: brings its side closer to itself than to the other"
    figure.text(0.2 / width, 0.88 / height, words, size=7, color=theme.ink, va="bottom")


def _caption(explained: LinksExplanation) -> str:
    record = explained.provenance
    lines = explained.strongest(1)
    step = max(lines[0].standard_error, lines[0].value / 1000) if lines else 0.0
    strongest = f"strongest link {number(lines[0].value, step)}" if lines else "no link is certain"
    parts = [
        f"{record['similarity']} of the whole {number(explained.similarity, 1e-3)}",
        strongest,
        f"encoder {shortened(str(record['encoder']['name']), 40)}",
        f"masks {record['a']['masks']['count']:,} + {record['b']['masks']['count']:,}",
        f"keep {record['a']['masks']['keep']:g}",
        f"fill {record['fill']}",
        f"seed {record['seed']}",
    ]
    return " · ".join(parts).replace("$", r"\$")
