"""Draw what may tell pictures of another kind: a dot for each picture, and how well each number separates the kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN
from relax.plotting.themes import INK, PALE

KINDS = (("known", "#0072b2", "o"), ("strange", "#d55e00", "^"))  # Okabe & Ito, 2008; told apart in grey by their shape
SPREAD = 0.28  # of the dots about the line of their kind
NAMES = {
    "uncertainty": "mean uncertainty: expected higher",
    "importance": "mean importance: expected lower",
    "distance": "distance to the nearest known: expected larger",
}


class SeparationLike(Protocol):
    """The part of `relax.questions.strangers.Separation` that is drawn."""

    @property
    def by(self) -> str:
        """The name of the number."""

    @property
    def auroc(self) -> float:
        """How well it separates the kinds."""

    @property
    def low(self) -> float:
        """Lower end of the interval."""

    @property
    def high(self) -> float:
        """Upper end of the interval."""


class StrangersLike(Protocol):
    """The part of `relax.questions.strangers.Strangers` that is drawn."""

    @property
    def sights(self) -> Sequence[Any]:
        """One per picture: uncertainty, importance, distance, and whether it is strange."""

    def separations(self) -> Sequence[SeparationLike]:
        """How well each number separates the kinds."""


def strangers_figure(strangers: StrangersLike) -> Drawing:
    """A panel for each number: known pictures above, strange ones below, with the area under the ROC curve."""
    separations = strangers.separations()
    drawing = Drawing(figsize=(9.6, 2.3), layout="constrained", facecolor="white")
    for axes, separation in zip(drawing.subplots(1, len(separations), squeeze=False)[0], separations, strict=True):
        _draw(axes, strangers.sights, separation)
    return drawing


def _draw(axes: Axes, sights: Sequence[Any], separation: SeparationLike) -> None:
    for place, (_, colour, marker) in enumerate(KINDS):
        values = [getattr(sight, separation.by) for sight in sights if sight.strange == bool(place)]
        apart = np.random.default_rng(place).uniform(-SPREAD, SPREAD, len(values))  # the same every time
        axes.scatter(values, place + apart, s=14, color=colour, marker=marker, alpha=0.7, linewidths=0)
    axes.axhline(0.5, color="#e6e6e6", linewidth=0.8)
    axes.set_yticks([0, 1], [name for name, _, _ in KINDS], fontsize=8, color=INK)
    axes.set_ylim(1.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=PALE, labelcolor=INK)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    interval = f" ({separation.low:.2f} to {separation.high:.2f})" if separation.low == separation.low else ""
    title = f"{NAMES.get(separation.by, separation.by)}\nAUROC {separation.auroc:.2f}{interval}"
    axes.set_title(title, fontsize=8.5, color=INK, loc="left", **PLAIN)
