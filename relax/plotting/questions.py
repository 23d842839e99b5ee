"""Draw the answers to further questions: a pair of images, several measures, the consensus of neighbours.

Every map has a colour bar in its own unit. The scale of a signed map is symmetric about 0, which is white.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.plotting.caption import measure_unit, quantity, recipe
from relax.plotting.kinds import Look, image_panel
from relax.plotting.panels import draw_map
from relax.plotting.scales import SIGNED, Limits, Scale
from relax.plotting.sheet import Panel, Row, Sheet
from relax.text import number, shortened


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
        _panel(name, explanation.importance, quantity(explanation.provenance))
        for name, explanation in answer.explanations.items()
    ]
    numbers = [f"{a}, {b}: rank correlation {number(value)}" for (a, b), value in answer.rank_correlations().items()]
    if first in answer.explanations and second in answer.explanations:
        title = f"{first} more (red), {second} more (blue)"
        difference = answer.disagreement(first, second)
        panels.append(_panel(title, difference, "difference in standard deviations", cmap=SIGNED))
    explanation = next(iter(answer.explanations.values()))
    caption = [*numbers, *_without_similarity(recipe(explanation.provenance))]
    return _draw([_beside_the_image(explanation, panels)], caption)


def consensus_figure(answer: ConsensusLike, top: float = 0.2) -> Figure:
    """Draw the mean map over the neighbours, and the share of them with each pixel in the top share of their map."""
    explanation = answer.explanation
    unit = f"mean {measure_unit(str(explanation.provenance['similarity']))}"
    panels = [
        _panel("mean over the neighbours", explanation.importance, unit),
        _panel(f"agreement on the top {top:.0%}", answer.agreement(top), "share of the neighbours", (0.0, 1.0)),
    ]
    return _draw([_beside_the_image(explanation, panels)], recipe(explanation.provenance))


def _without_similarity(phrases: list[str]) -> list[str]:
    """The phrases of a recipe without the second, which names one measure and one reference."""
    return [phrases[0], *phrases[2:]]


def _error(explanation: ExplanationLike) -> str:
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    return number(float(np.median(errors))) if errors.size else "undefined"


def _row(direction: DirectionLike, opposite: DirectionLike) -> Row:
    unit = measure_unit(str(direction.to_other.provenance["similarity"]))
    other = shortened(str(opposite.to_other.provenance["image"]), 40)
    panels = [
        _panel(f"brings it to {other}", direction.to_other.importance, f"mean {unit}"),
        _panel("to itself", direction.to_itself.importance, f"mean {unit}"),
        _panel(f"to {other}, beyond itself", direction.beyond.importance, f"{unit}, signed", cmap=SIGNED),
    ]
    return _beside_the_image(direction.to_other, panels)


def _panel(
    title: str, values: NDArray[np.floating[Any]], unit: str, limits: Limits | None = None, cmap: str | None = None
) -> Panel:
    """A map on a scale over its own range, or over the limits; on one centred on 0 if the colours diverge."""
    scale = Scale.of("importance", values, None if limits is None else {"importance": limits}, cmap)
    draw = partial(draw_map, values=values, scale=scale, theme=Look().colours)
    return Panel(title, values.shape, draw, scale, unit)


def _beside_the_image(explanation: ExplanationLike, panels: list[Panel]) -> Row:
    name = shortened(str(explanation.provenance["image"]), 120)
    return Row([image_panel(explanation, Look()), *panels], name)


def _draw(rows: list[Row], caption: list[str]) -> Figure:
    return Sheet(rows, [caption], Look().colours).draw()
