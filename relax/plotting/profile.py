"""Draw numbers of the slices of a volume against the number of the slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN
from relax.plotting.themes import INK, PALE

IMPORTANCE, UNCERTAINTY = "#0072b2", "#d55e00"  # Okabe & Ito, 2008


class ProfileLike(Protocol):
    """The part of `relax.report.stack.Profile` that is drawn."""

    @property
    def numbers(self) -> Sequence[int]:
        """Of the slices."""

    @property
    def low(self) -> Sequence[float]:
        """Lowest importance of each."""

    @property
    def mean(self) -> Sequence[float]:
        """Mean importance of each."""

    @property
    def high(self) -> Sequence[float]:
        """Highest importance of each."""

    @property
    def uncertainty(self) -> Sequence[float]:
        """Mean uncertainty of each."""


def profile_figure(profile: ProfileLike, word: str) -> Drawing:
    """The importance above, the uncertainty below, 7.2 inches wide.

    Args:
        profile: What to draw; NaN leaves a gap.
        word: What a slice is called.
    """
    drawing = Drawing(figsize=(7.2, 3.4), layout="constrained", facecolor="white")
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    upper.fill_between(profile.numbers, profile.low, profile.high, color=IMPORTANCE, alpha=0.18, linewidth=0)
    _line(upper, profile.numbers, profile.mean, IMPORTANCE, "importance")
    _line(lower, profile.numbers, profile.uncertainty, UNCERTAINTY, "mean uncertainty")
    lower.set_xlabel(word, size=8, color=INK, **PLAIN)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawing


def _line(axes: Axes, numbers: Sequence[int], values: Sequence[float], colour: str, label: str) -> None:
    axes.plot(numbers, values, color=colour, linewidth=1.4, marker="o", markersize=3 if len(numbers) < 60 else 0)
    axes.set_ylabel(label, size=8, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=PALE, labelcolor=INK)
    axes.yaxis.set_major_locator(MaxNLocator(4))
