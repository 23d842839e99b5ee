"""Draw a comparison: the image, the panels of each method or encoder, and how alike their maps are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from string import ascii_lowercase
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.plotting.caption import recipe
from relax.plotting.kinds import Look, rule
from relax.plotting.lettering import PLAIN
from relax.plotting.sheet import SLIMMEST, SMALL, WIDTH, Panel, Row, Sheet
from relax.plotting.themes import Theme
from relax.scale import doubts
from relax.text import shortened

MOST_NUMBERS = 6  # maps up to which a square of their likeness has room for numbers


class LikenessLike(Protocol):
    """How alike two maps are."""

    @property
    def first(self) -> str:
        """Name of one."""

    @property
    def second(self) -> str:
        """Name of the other."""

    @property
    def rank_correlation(self) -> float:
        """In [-1, 1], NaN if undefined."""

    @property
    def ssim(self) -> float:
        """In [-1, 1], NaN if undefined."""


class ComparisonLike(Protocol):
    """The part of a `relax.questions.comparison.Comparison` that is drawn."""

    @property
    def explanations(self) -> Mapping[str, ExplanationLike]:
        """By the name of the method or encoder."""

    @property
    def failures(self) -> Mapping[str, str]:
        """Why there is no map, by name."""

    @property
    def varied(self) -> str:
        """What differs: "methods" or "encoders"."""

    @property
    def limits(self) -> tuple[float, float] | None:
        """Ends of a colour scale of the importance that all maps share."""

    def likenesses(self) -> Sequence[LikenessLike]:
        """Of every two maps."""


def comparison_sheet(comparison: ComparisonLike, kinds: Sequence[str], look: Look, width: float = WIDTH) -> Sheet:
    """The image, panels of these kinds for each method or encoder in the given order, and how alike the maps are."""
    explanations = comparison.explanations
    if comparison.limits is not None:
        look = replace(look, limits={"importance": comparison.limits, **(look.limits or {})})
    first = next(iter(explanations.values()))
    panels, rows = look.panels(first, ["image"]), []
    for letter, (name, explanation) in zip(letters(len(explanations)), explanations.items(), strict=True):
        title, own = f"{letter} {shortened(name, 120)}", look.panels(explanation, kinds)
        if len(kinds) > 1:
            rows.append(Row(own, f"{title} · {_said(explanation)}"))
        else:
            note = own[0].note if own[0].note and kinds[0] != "overlay" else ""  # its rule stands in the caption, once
            panels.append(replace(own[0], title=title, note="; ".join(filter(None, [note, _said(explanation)]))))
    if len(explanations) > 1:
        panels.append(_square(comparison, look.colours))
    rows.insert(0, Row(panels, shortened(str(first.provenance.get("image", "image")), 120)))
    return Sheet(rows, _captions(comparison, kinds, look), look.colours, width)


def _said(explanation: ExplanationLike) -> str:
    """The cost of a map, and any doubt about it."""
    record = explanation.provenance
    cost = f"{record['cost']['passes']:,} passes, {record['seconds']:.1f} s"
    return "; ".join([cost, *(doubt.reason for doubt in doubts(explanation))])


def letters(count: int) -> list[str]:
    """Names of panels: a, b, c and so on, or numbers if there are not enough."""
    return list(ascii_lowercase[:count]) if count <= len(ascii_lowercase) else [str(i + 1) for i in range(count)]


def _square(comparison: ComparisonLike, theme: Theme) -> Panel:
    """A panel with the likeness of every two maps: rank correlation above the diagonal, SSIM below it."""
    names = list(comparison.explanations)
    values = np.full((len(names), len(names)), np.nan)
    for likeness in comparison.likenesses():
        row, column = names.index(likeness.first), names.index(likeness.second)
        values[row, column], values[column, row] = likeness.rank_correlation, likeness.ssim
    note = "above the diagonal: rank correlation; below: SSIM; 1 = alike"
    return Panel("how alike the maps are", (1, 1), partial(_draw_square, values=values, theme=theme), note=note)


def _draw_square(axes: Axes, values: NDArray[np.float64], theme: Theme) -> None:
    """Numbers (N, N) on squares that are the darker, or in a dark theme the lighter, the higher they are."""
    count = len(values)
    shades = "Greys" if theme.ink < theme.paper else "Greys_r"
    axes.imshow(np.ma.masked_invalid(np.clip(values, 0, 1)), cmap=shades, vmin=0, vmax=1.6, aspect="equal")
    size = min(SMALL, 0.75 * 72 * SLIMMEST / count)
    middle: dict[str, Any] = {"ha": "center", "va": "center", "color": theme.ink, **PLAIN}
    for place, letter in enumerate(letters(count)):
        axes.text(place, place, letter, size=size, weight="bold", **middle)
    if count <= MOST_NUMBERS:
        for row, column in zip(*np.nonzero(~np.eye(count, dtype=bool)), strict=True):
            value = values[row, column]
            axes.text(column, row, f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "–", size=size, **middle)


def _captions(comparison: ComparisonLike, kinds: Sequence[str], look: Look) -> list[list[str]]:
    """How the first map was made, the scales, and a paragraph for each failure."""
    phrases = recipe(next(iter(comparison.explanations.values())).provenance)
    if comparison.varied == "encoders":
        phrases = phrases[1:]  # without the name of the first
    shared = "importance" in (look.limits or {})
    phrases.append("one colour scale for all maps" if shared else "each map on its own scale, in its own unit")
    if list(kinds) == ["overlay"]:
        phrases.append(rule(look.alpha, look.importance(next(iter(comparison.explanations.values())))))
    failures = comparison.failures.items()
    return [phrases, *([f"not drawn: {shortened(name, 120)}: {shortened(reason, 300)}"] for name, reason in failures)]
