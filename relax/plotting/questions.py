"""Draw the answers to further questions: a pair of images, several measures, the consensus of neighbours.

Every map has a colour bar in its own unit. The scale of a signed map is symmetric about 0, which is white.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.plotting.caption import measure_unit, recipe
from relax.plotting.panels import SIGNED, Limits, Scale
from relax.plotting.sheet import (
    MAX_TITLE,
    PANEL_WIDTH,
    draw_titled_image,
    draw_titled_map,
    empty_sheet,
    panel_height,
    write_caption,
)
from relax.text import number, shortened


@dataclass(frozen=True)
class Panel:
    """A map to draw, with its title, unit and colour scale."""

    title: str
    values: NDArray[np.floating[Any]]
    unit: str
    scale: Scale

    @classmethod
    def of(cls, title: str, values: NDArray[np.floating[Any]], unit: str, limits: Limits | None = None) -> Panel:
        """A map on a scale over its own range, or over the limits."""
        by_name = None if limits is None else {"importance": limits}
        return cls(title, values, unit, Scale.of("importance", values.astype(np.float32), by_name))

    @classmethod
    def signed(cls, title: str, values: NDArray[np.floating[Any]], unit: str) -> Panel:
        """A map on a scale symmetric about 0, which is white."""
        reach = float(np.nanmax(np.abs(values), initial=0.0))
        return cls(title, values, unit, Scale(SIGNED, -reach, reach, "neither"))


class DirectionLike(Protocol):
    """What brings one image close to the other: the part of `relax.questions.pairs.Towards` that is drawn."""

    @property
    def to_other(self) -> ExplanationLike:
        """The explanation with the other image as reference."""

    @property
    def to_itself(self) -> ExplanationLike:
        """The explanation with the image itself as reference."""

    @property
    def beyond(self) -> ExplanationLike:
        """What the latter leaves unexplained of the former, signed."""

    @property
    def similarity(self) -> float:
        """Of the whole images."""

    @property
    def slope(self) -> float:
        """Slope of the similarity to the other image on that to the image itself, over the masks."""

    @property
    def correlation(self) -> float:
        """Correlation of the two similarities over the masks."""


class PairLike(Protocol):
    """Both directions."""

    @property
    def a(self) -> DirectionLike:
        """From the first image to the second."""

    @property
    def b(self) -> DirectionLike:
        """From the second to the first."""


class MeasuresLike(Protocol):
    """One question answered under several measures."""

    @property
    def explanations(self) -> dict[str, Any]:
        """An `ExplanationLike` per measure, by its name."""

    def rank_correlations(self) -> dict[tuple[str, str], float]:
        """Rank correlation of every two maps, by the names of their measures."""

    def disagreement(self, first: str, second: str) -> NDArray[np.float64]:
        """(H, W) difference of two standardised maps, in standard deviations."""


class ConsensusLike(Protocol):
    """What makes an image similar to its nearest neighbours."""

    @property
    def explanation(self) -> ExplanationLike:
        """The explanation with all neighbours as reference."""

    def agreement(self, top: float) -> NDArray[np.float64]:
        """(H, W) share of the neighbours for which a pixel is among the most important."""


def pair_figure(pair: PairLike) -> Figure:
    """Draw a pair, one row per image: the image, its maps for the other image and for itself, and their difference."""
    rows = [_row(pair.a, pair.b), _row(pair.b, pair.a)]
    phrases = recipe(pair.a.to_other.provenance)
    measure = str(pair.a.to_other.provenance["similarity"])
    numbers = [
        f"{measure_unit(measure)} of the whole images {number(pair.a.similarity)}",
        *(
            f"{row} row: correlation of the two similarities over the masks {number(direction.correlation)}, "
            f"slope {number(direction.slope)}; beyond itself: median standard error {_error(direction.beyond)}"
            for row, direction in (("upper", pair.a), ("lower", pair.b))
        ),
        "beyond itself: what the similarity to the image itself leaves unexplained, 0 if nothing",
    ]
    return _draw(rows, [*numbers, *_without_similarity(phrases)])


def measures_figure(answer: MeasuresLike, first: str = "cosine", second: str = "l2") -> Figure:
    """Draw one map per measure, and the disagreement of two of them if both are among the measures.

    Raises:
        ValueError: If there is no map.
    """
    if not answer.explanations:
        raise ValueError("measures must be one or more; got none to draw")
    panels = [
        Panel.of(name, explanation.importance, str(explanation.provenance.get("map") or f"mean {measure_unit(name)}"))
        for name, explanation in answer.explanations.items()
    ]
    numbers = [f"{a}, {b}: rank correlation {number(value)}" for (a, b), value in answer.rank_correlations().items()]
    if first in answer.explanations and second in answer.explanations:
        title = f"{first} more (red), {second} more (blue)"
        panels.append(Panel.signed(title, answer.disagreement(first, second), "difference in standard deviations"))
    explanation = next(iter(answer.explanations.values()))
    return _draw([(explanation, panels)], [*numbers, *_without_similarity(recipe(explanation.provenance))])


def consensus_figure(answer: ConsensusLike, top: float = 0.2) -> Figure:
    """Draw the mean map over the neighbours, and the share of them with each pixel in the top share of their map."""
    explanation = answer.explanation
    unit = f"mean {measure_unit(str(explanation.provenance['similarity']))}"
    panels = [
        Panel.of("mean over the neighbours", explanation.importance, unit),
        Panel.of(f"agreement on the top {top:.0%}", answer.agreement(top), "share of the neighbours", (0.0, 1.0)),
    ]
    return _draw([(explanation, panels)], recipe(explanation.provenance))


def _without_similarity(phrases: list[str]) -> list[str]:
    """The phrases of a recipe without the second, which names one measure and one reference."""
    return [phrases[0], *phrases[2:]]


def _error(explanation: ExplanationLike) -> str:
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    return number(float(np.median(errors))) if errors.size else "undefined"


def _row(direction: DirectionLike, opposite: DirectionLike) -> tuple[ExplanationLike, list[Panel]]:
    unit = measure_unit(str(direction.to_other.provenance["similarity"]))
    other = shortened(str(opposite.to_other.provenance["image"]), 24)
    return direction.to_other, [
        Panel.of(f"brings it to {other}", direction.to_other.importance, f"mean {unit}"),
        Panel.of("to itself", direction.to_itself.importance, f"mean {unit}"),
        Panel.signed(f"to {other}, beyond itself", direction.beyond.importance, f"{unit}, signed"),
    ]


def _draw(rows: list[tuple[ExplanationLike, list[Panel]]], caption: list[str]) -> Figure:
    """A sheet with a row for each explanation: its image, then its panels."""
    columns = 1 + max(len(panels) for _, panels in rows)
    lines = textwrap.wrap(" · ".join(caption), int(columns * PANEL_WIDTH / 0.044))
    heights = [panel_height(explanation.importance.shape) for explanation, _ in rows]
    size = columns * (PANEL_WIDTH + 0.25), sum(heights) + 0.95 * len(rows) + 0.14 * len(lines) + 0.3
    drawing, grid = empty_sheet(heights, columns, size)
    for axes, (explanation, panels) in zip(grid, rows, strict=True):
        title = shortened(str(explanation.provenance["image"]), MAX_TITLE)
        draw_titled_image(drawing, axes[0], explanation.image, title)
        for place, panel in zip(axes[1:], panels, strict=False):
            values = panel.values.astype(np.float32)
            draw_titled_map(drawing, place, values, panel.scale, panel.title, panel.unit)
    write_caption(drawing, lines)
    return drawing
