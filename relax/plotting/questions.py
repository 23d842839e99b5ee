"""Draw the answers to further questions: a pair of images, several measures, the consensus of neighbours.

Every map has a colour bar in its own unit. Signed maps have white at 0 and the same reach to both sides.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.plotting.caption import measure_unit, recipe
from relax.plotting.panels import (
    INK,
    PALE,
    PLAIN,
    SIGNED,
    Limits,
    Scale,
    draw_bar,
    draw_image,
    draw_map,
    leave_room_for_bar,
)
from relax.text import number, shortened

WIDE = 2.3  # inches of a panel


@dataclass(frozen=True)
class Panel:
    """A map to draw, with its scale and words."""

    title: str
    values: NDArray[np.floating[Any]]
    unit: str
    scale: Scale

    @classmethod
    def of(cls, title: str, values: NDArray[np.floating[Any]], unit: str, limits: Limits | None = None) -> Panel:
        """A map on its own range, or on the limits given."""
        shared = None if limits is None else {"importance": limits}
        return cls(title, values, unit, Scale.of("importance", values.astype(np.float32), shared))

    @classmethod
    def signed(cls, title: str, values: NDArray[np.floating[Any]], unit: str) -> Panel:
        """A map with white at 0."""
        reach = float(np.nanmax(np.abs(values), initial=0.0))
        return cls(title, values, unit, Scale(SIGNED, -reach, reach, "neither"))


class DirectionLike(Protocol):
    """What in one image brings it to the other, as `relax.questions.pairs.Towards` has it."""

    @property
    def to_other(self) -> ExplanationLike:
        """For the other image as reference."""

    @property
    def to_itself(self) -> ExplanationLike:
        """For the image itself."""

    @property
    def beyond(self) -> ExplanationLike:
        """What the latter leaves unexplained of the former."""

    @property
    def similarity(self) -> float:
        """Of the whole images."""

    @property
    def slope(self) -> float:
        """Of the similarity to the other over that to itself."""

    @property
    def correlation(self) -> float:
        """Of the two over the masks."""


class PairLike(Protocol):
    """Both directions."""

    @property
    def a(self) -> DirectionLike:
        """From the first image to the second."""

    @property
    def b(self) -> DirectionLike:
        """From the second to the first."""


class MeasuresLike(Protocol):
    """One question under several measures."""

    @property
    def explanations(self) -> dict[str, Any]:
        """By the measure's name, each an `ExplanationLike`."""

    def rank_correlations(self) -> dict[tuple[str, str], float]:
        """Of every two maps."""

    def disagreement(self, first: str, second: str) -> NDArray[np.float64]:
        """(H, W) in standard deviations."""


class ConsensusLike(Protocol):
    """What matters for the neighbours of an image."""

    @property
    def explanation(self) -> ExplanationLike:
        """For all of them together."""

    def agreement(self, top: float) -> NDArray[np.float64]:
        """(H, W) share of the neighbours."""


def pair_figure(pair: PairLike) -> Figure:
    """Draw a pair: a row per image with the image, its map for the other, for itself, and what goes beyond that."""
    rows = [_row(one, other) for one, other in ((pair.a, pair.b), (pair.b, pair.a))]
    how = recipe(pair.a.to_other.provenance)
    measure = str(pair.a.to_other.provenance["similarity"])
    numbers = [
        f"{measure_unit(measure)} of the whole images {number(pair.a.similarity)}",
        *(
            f"{which}: correlation of the two similarities over the masks {number(one.correlation)}, "
            f"slope {number(one.slope)}; beyond: median standard error {_error(one.beyond)}"
            for which, one in (("upper", pair.a), ("lower", pair.b))
        ),
        "beyond: what the similarity to the image itself leaves unexplained (0 = nothing)",
    ]
    return _draw(rows, [*numbers, how[0], *how[2:]])


def measures_figure(found: MeasuresLike, first: str = "cosine", second: str = "l2") -> Figure:
    """Draw one map per measure, and where two of them disagree (if both were asked for).

    Raises:
        ValueError: If there is no map.
    """
    if not found.explanations:
        raise ValueError("there are no measures to draw")
    panels = [
        Panel.of(name, one.importance, str(one.provenance.get("map") or f"mean {measure_unit(name)}"))
        for name, one in found.explanations.items()
    ]
    words = [f"{a}, {b}: rank correlation {number(value)}" for (a, b), value in found.rank_correlations().items()]
    if first in found.explanations and second in found.explanations:
        title = f"{first} more (red), {second} more (blue)"
        panels.append(Panel.signed(title, found.disagreement(first, second), "difference in standard deviations"))
    one = next(iter(found.explanations.values()))
    how = recipe(one.provenance)
    return _draw([(one, panels)], [*words, how[0], *how[2:]])


def consensus_figure(found: ConsensusLike, top: float = 0.2) -> Figure:
    """Draw the mean map of the neighbours and the share of them that count a pixel among the most important."""
    one = found.explanation
    unit = f"mean {measure_unit(str(one.provenance['similarity']))}"
    panels = [
        Panel.of("mean over the neighbours", one.importance, unit),
        Panel.of(f"agreement on the top {top:.0%}", found.agreement(top), "share of the neighbours", (0.0, 1.0)),
    ]
    return _draw([(one, panels)], recipe(one.provenance))


def _error(explanation: ExplanationLike) -> str:
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    return number(float(np.median(errors))) if errors.size else "undefined"


def _row(one: DirectionLike, other: DirectionLike) -> tuple[ExplanationLike, list[Panel]]:
    unit = measure_unit(str(one.to_other.provenance["similarity"]))
    name = shortened(str(other.to_other.provenance["image"]), 24)
    return one.to_other, [
        Panel.of(f"brings it to {name}", one.to_other.importance, f"mean {unit}"),
        Panel.of("to itself", one.to_itself.importance, f"mean {unit}"),
        Panel.signed(f"to {name}, beyond itself", one.beyond.importance, f"{unit}, signed"),
    ]


def _draw(rows: list[tuple[ExplanationLike, list[Panel]]], caption: list[str]) -> Figure:
    columns = 1 + max(len(panels) for _, panels in rows)
    lines = textwrap.wrap(" · ".join(caption), int(columns * WIDE / 0.044))
    tall = [min(max(WIDE * one.importance.shape[0] / one.importance.shape[1], 0.6), 4.0) for one, _ in rows]
    size = columns * (WIDE + 0.25), sum(tall) + 0.95 * len(rows) + 0.14 * len(lines) + 0.3
    drawing = Figure(figsize=size, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    grid = drawing.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": tall})
    for axes, (one, panels) in zip(grid, rows, strict=True):
        for place in axes:
            place.set_axis_off()
        draw_image(axes[0], one.image)
        leave_room_for_bar(drawing, axes[0])
        axes[0].set_title(shortened(str(one.provenance["image"]), 34), size=8, color=INK, loc="left", **PLAIN)
        for place, panel in zip(axes[1:], panels, strict=False):
            _draw_panel(drawing, place, panel)
    drawing.supxlabel("\n".join(lines), size=6.5, color=PALE, x=0.01, ha="left", **PLAIN)
    return drawing


def _draw_panel(drawing: Figure, axes: Axes, panel: Panel) -> None:
    scale, values = panel.scale, panel.values.astype(np.float32)
    draw_map(axes, values, values, scale)
    axes.set_title(panel.title, size=8, color=INK, loc="left", **PLAIN)
    draw_bar(drawing, axes, scale, panel.unit)
