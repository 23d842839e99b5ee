"""Figures of texts: words coloured by their effect with their errors below, and how close texts are."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from relax.plotting.drawing import Drawing
from relax.plotting.scales import SIGNED
from relax.plotting.themes import THEMES, Theme
from relax.text import number, one_of, shortened

if TYPE_CHECKING:
    from relax.words.explanation import TextExplanation
    from relax.words.similar import SimilarTexts

POINTS = 72  # per inch
SIZE, SMALL = 12.0, 7.5  # points of a word and of its number
LINE = 0.66  # inches from line to line
GAP, PAD = 0.09, 0.05  # inches between words and inside their boxes
LONGEST = 40  # characters of a word that is drawn
NUMBERED = 120  # words up to which each has its number
MATRIX = 40  # texts up to which each row of a matrix has its name
WIDTHS = (3.0, 40.0)


def text_figure(explained: TextExplanation, *, theme: str = "light", width: float = 7.0) -> Figure:
    """The words of a text in boxes of their colours, with effect and error below each.

    Args:
        explained: The explanation.
        theme: "light" or "dark".
        width: In inches, from 3 to 40.

    Raises:
        ValueError: If the theme is unknown or the width is out of range.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise ValueError(f"width must be from {WIDTHS[0]:g} to {WIDTHS[1]:g} inches; got {width}")
    numbers = numbers_below(explained) if len(explained) <= NUMBERED else [("", "")] * len(explained)
    line = LINE if any(error for _, error in numbers) else LINE - 0.14 if numbers[0][0] else LINE - 0.26
    places, lines = _flow(explained, numbers, width - 0.4)
    caption = _caption(explained, width)
    top, bottom = 0.55, 0.85 + 0.14 * len(caption)
    height = top + lines * line + bottom
    figure = Drawing(figsize=(width, height), facecolor=colours.paper)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    axes.text(0.2, 0.3, _title(explained), size=9.5, color=colours.ink, va="center", weight="bold")
    limit = _limit(explained)
    for place, (left, row, wide) in enumerate(places):
        _word(axes, explained, place, (left + 0.2, top + row * line, wide), limit, colours, numbers[place])
    _bar(figure, explained, limit, colours, bottom)
    axes.text(0.2, height - 0.08, "\n".join(caption), size=6.5, color=colours.pale, va="bottom", linespacing=1.5)
    return figure


def numbers_below(explained: TextExplanation) -> list[tuple[str, str]]:
    """Of every word its effect and its error, such as +0.042 and ±0.001, with the decimals that the errors justify.

    Empty where the error is 0 or there is none.
    """
    known = explained.effect[np.isfinite(explained.effect)]
    errors = explained.standard_error[explained.standard_error > 0]
    step = float(np.median(errors)) if errors.size else float(np.abs(known).max(initial=0)) / 100
    digits = min(8, max(0, math.ceil(-math.log10(step)))) if step > 0 else 2
    texts = []
    for value, error in zip(explained.effect, explained.standard_error, strict=True):
        if not np.isfinite(value):
            texts.append(("not read", ""))
            continue
        effect = f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")
        texts.append((effect, f"±{error:.{digits}f}" if error > 0 else ""))
    return texts


def _flow(
    explained: TextExplanation, numbers: Sequence[tuple[str, str]], room: float
) -> tuple[list[tuple[float, int, float]], int]:
    """(left, line, width) of every word in inches, and how many lines there are."""
    places, left, line = [], 0.0, 0
    for word, below in zip(explained.words, numbers, strict=True):
        wide = max(_width(_shown(word), SIZE), *(_width(text, SMALL) for text in below)) + 2 * PAD
        if left and left + wide > room:
            left, line = 0.0, line + 1
        places.append((left, line, wide))
        left += wide + GAP
    return places, line + 1


def _width(text: str, size: float) -> float:
    """Inches of a text; by its characters, as fonts of other scripts are not known before they are drawn."""
    try:
        return float(TextPath((0, 0), text, size=size).get_extents().width) / POINTS if text.strip() else 0.1
    except (ValueError, RuntimeError):  # of no outline
        return len(text) * size * 0.6 / POINTS


def _shown(word: str) -> str:
    return shortened(word.replace("$", r"\$"), LONGEST)


def _word(
    axes: Axes,
    explained: TextExplanation,
    place: int,
    box: tuple[float, float, float],
    limit: float,
    theme: Theme,
    below: tuple[str, str],
) -> None:
    left, top, wide = box
    value = float(explained.effect[place])
    face = _colour(value, limit, theme)
    axes.add_patch(
        matplotlib.patches.FancyBboxPatch(
            (left, top),
            wide,
            0.27,
            boxstyle="round,pad=0,rounding_size=0.03",
            facecolor=face,
            edgecolor=theme.hatch if np.isnan(value) else "none",
            linewidth=0.6,
            hatch="////" if np.isnan(value) else None,
        )
    )
    centre = left + wide / 2
    word = _shown(explained.words[place])
    axes.text(centre, top + 0.135, word, size=SIZE, color=_ink(face), ha="center", va="center")
    for number_of_line, text in enumerate(below):
        where = top + 0.36 + 0.13 * number_of_line
        axes.text(centre, where, text, size=SMALL, color=theme.pale, ha="center", va="center")


def _limit(explained: TextExplanation) -> float:
    known = np.abs(explained.effect[np.isfinite(explained.effect)])
    return float(known.max()) if known.size and known.max() > 0 else 1.0


def _colour(value: float, limit: float, theme: Theme) -> Any:
    """Of a signed scale around 0; the paper's own where the word is not read."""
    if np.isnan(value):
        return theme.paper
    return matplotlib.colormaps[SIGNED](Normalize(-limit, limit)(value))


def _ink(face: Any) -> str:
    """Black or white, whichever is read better on a colour."""
    channels = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(face)]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#111111" if luminance > 0.18 else "#ffffff"


def _title(explained: TextExplanation) -> str:
    record = explained.provenance
    return shortened(f"{record['method']}: {record['scalar']}", 90).replace("$", r"\$")


def _caption(explained: TextExplanation, width: float) -> list[str]:
    """How it was made, in lines that fit the width."""
    record = explained.provenance
    estimator = record.get("estimator") or {}
    how = "all subsets" if estimator.get("name") == "exact" else f"{record.get('masks', 0):,} subsets"
    parts = [
        f"encoder {shortened(str(record['encoder']['name']), 40)}",
        f"{len(explained):,} {record['by']}",
        how,
        f"hidden: {record['fill']}",
        f"whole text {number(explained.score, 1e-3)}, all hidden {number(explained.hidden, 1e-3)}",
        f"seed {record.get('seed')}",
    ]
    return [line.replace("$", r"\$") for line in textwrap.wrap(" · ".join(parts), int(width * 19))]


def _bar(figure: Figure, explained: TextExplanation, limit: float, theme: Theme, bottom: float) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0.45 / width, (bottom - 0.33) / height, min(3.0, width - 0.9) / width, 0.1 / height))
    axes.imshow(np.linspace(-1, 1, 256)[None], cmap=SIGNED, aspect="auto", extent=(-limit, limit, 0, 1))
    axes.set_yticks([])
    axes.set_xticks([-limit, 0, limit], [number(-limit, limit / 10), "0", number(limit, limit / 10)])
    axes.tick_params(labelsize=6.5, colors=theme.pale, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    relax = explained.provenance["method"] == "relax"
    what = "similarity with the word shown, above that of all subsets" if relax else "effect of the word"
    figure.text(0.2 / width, (bottom - 0.14) / height, what, size=7, color=theme.ink, va="center")


def similar_figure(similar: SimilarTexts, *, theme: str = "light") -> Figure:
    """The cosine beside the Euclidean distance as matrices, and the map.

    Raises:
        ValueError: If the theme is unknown.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    count = len(similar)
    names = [f"{place}  {_shown(text)}" for place, text in enumerate(similar.texts, 1)] if count <= MATRIX else []
    side = min(6.0, max(2.2, 0.24 * count))
    margin = min(3.4, max((_width(name, 7.5) for name in names), default=0.0) + 0.2) if names else 0.4
    width, height = margin + 3 * side + 2.0, side + 0.9
    figure = Drawing(figsize=(width, height), facecolor=colours.paper)
    panels = (
        ("cosine: higher is closer", similar.cosine, "viridis"),
        ("Euclidean distance: lower is closer", similar.euclidean, "viridis_r"),
    )
    for place, (title, values, cmap) in enumerate(panels):
        left = (margin + place * (side + 0.75)) / width
        axes = figure.add_axes((left, 0.52 / height, side / width, side / height))
        shown = axes.imshow(values, cmap=cmap)
        axes.set_title(title, size=9, color=colours.ink, loc="left")
        axes.set_yticks(range(count) if names and not place else [], names if names and not place else [])
        axes.set_xticks(range(count) if names else [], [str(each) for each in range(1, count + 1)] if names else [])
        axes.tick_params(labelsize=7.5, colors=colours.ink, length=0)
        bar = figure.add_axes((left + (side + 0.06) / width, 0.52 / height, 0.1 / width, side / height))
        figure.colorbar(shown, cax=bar).ax.tick_params(labelsize=6.5, colors=colours.pale)
    _map(figure, similar, ((margin + 2 * (side + 0.75)) / width, 0.52 / height, side / width, side / height), colours)
    equal = float(np.ptp(similar.lengths)) < 1e-4 * float(similar.lengths.max())
    order = (
        "all embeddings have one length, so both put pairs in the same order"
        if equal
        else (
            f"nearest neighbours agree for {similar.agreement:.0%} of the texts; lengths of embeddings from "
            f"{number(float(similar.lengths.min()), 0.01)} to {number(float(similar.lengths.max()), 0.01)}"
        )
    )
    caption = f"encoder {shortened(str(similar.encoder.get('name')), 40)} · {order}"
    figure.text(0.15 / width, 0.14 / height, caption, size=7, color=colours.pale, va="center")
    return figure


def _map(figure: Figure, similar: SimilarTexts, where: tuple[float, float, float, float], theme: Theme) -> None:
    axes = figure.add_axes(where, facecolor=theme.paper)
    points: NDArray[Any] = similar.points
    axes.scatter(points[:, 0], points[:, 1], s=14, color=theme.ink)
    for place, (x, y) in enumerate(points if len(points) <= MATRIX else [], 1):
        axes.annotate(str(place), (x, y), xytext=(3, 3), textcoords="offset points", size=7.5, color=theme.ink)
    share = "" if similar.explained is None else f", {similar.explained:.0%} of the variance"
    axes.set_title(f"map ({similar.layout}{share})", size=9, color=theme.ink, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.15)
    for spine in axes.spines.values():
        spine.set_color(theme.hatch)
