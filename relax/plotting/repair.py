"""Draw a repair: some twins, and the numbers of the chain with their intervals, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from relax.plotting.drawing import Drawing
from relax.plotting.themes import THEMES

COLUMNS = ("with the mark", "without", "changed elsewhere")
STYLES = {
    "as it is": ("o", "#b2182b"),
    "mark hidden": ("s", "#7f7f7f"),
    "repaired": ("D", "#2166ac"),
    "taught with twins": ("^", "#1b7837"),
}
ROW, STEP = 0.9, 0.42  # inches of a row of pictures, and of a question


class StepLike(Protocol):
    """The part of `relax.repair.steps.Step` that is drawn."""

    @property
    def question(self) -> str:
        """What was asked."""

    @property
    def condition(self) -> str:
        """One of `STYLES`."""

    @property
    def value(self) -> float:
        """The mean over pictures."""

    @property
    def low(self) -> float:
        """Lower end of its interval."""

    @property
    def high(self) -> float:
        """Upper end."""


class RepairLike(Protocol):
    """The part of `relax.repair.result.Repair` that is drawn."""

    @property
    def steps(self) -> Sequence[StepLike]:
        """The numbers."""

    @property
    def examples(self) -> NDArray[np.uint8]:
        """(rows, 3, side, side, 3) pictures."""

    @property
    def findings(self) -> Sequence[str]:
        """Sentences."""


def repair_figure(repair: RepairLike) -> Figure:
    """Twins on the left, the chain on the right."""
    questions = list(dict.fromkeys(step.question for step in repair.steps))
    rows = len(repair.examples)
    drawing = Drawing(figsize=(10, max(ROW * rows + 0.6, STEP * len(questions) + 1.2)), layout="constrained")
    drawing.set_facecolor(THEMES["light"].paper)
    grid = drawing.add_gridspec(1, 2, width_ratios=(1, 2.2))
    _draw_examples(drawing.add_subfigure(grid[0]), repair.examples)
    _draw_steps(drawing.add_subplot(grid[1]), questions, repair.steps)
    return drawing


def _draw_examples(part: FigureBase, examples: NDArray[np.uint8]) -> None:
    axes = part.subplots(len(examples), len(COLUMNS), squeeze=False)
    for row, pictures in zip(axes, examples, strict=True):
        for ax, picture in zip(row, pictures, strict=True):
            ax.imshow(picture)
            ax.set_axis_off()
    for ax, title in zip(axes[0], COLUMNS, strict=True):
        ax.set_title(title, fontsize=8)


def _draw_steps(ax: Axes, questions: Sequence[str], steps: Sequence[StepLike]) -> None:
    """A line per question, a mark per condition, its interval as a bar."""
    for place, (condition, (marker, colour)) in enumerate(STYLES.items()):
        chosen = [step for step in steps if step.condition == condition and np.isfinite(step.value)]
        heights = [questions.index(step.question) + (place - 1.5) * 0.18 for step in chosen]
        values = np.array([step.value for step in chosen])
        ends = np.array([[step.value - step.low, step.high - step.value] for step in chosen]).reshape(-1, 2).T
        ax.errorbar(
            values,
            heights,
            xerr=np.nan_to_num(ends).clip(min=0),
            fmt=marker,
            color=colour,
            ms=5,
            lw=1.2,
            label=condition,
        )
    ax.axvline(0, color="#999999", lw=0.6)
    ax.set_yticks(range(len(questions)), questions, fontsize=8)
    ax.invert_yaxis()
    ax.tick_params(axis="x", labelsize=8)
    ax.set_xlabel("mean over pictures that did not tell the directions, 95 % interval", fontsize=8)
    ax.grid(axis="x", lw=0.3)
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)
