"""Charts of this room: where a concept's sensitivity stands among those of pictures that are no concept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN
from relax.plotting.sheet import SMALL, TITLE, WIDTH
from relax.plotting.themes import THEMES
from relax.text import one_of, shortened

if TYPE_CHECKING:
    from relax.concepts.tcav import ConceptTest

MEANT, CHANCE = "#0f766e", "#b45309"


def sensitivity_figure(test: ConceptTest, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A line for each concept: a dot for its sensitivity, filled where it is meaningful, and one for each shuffle."""
    colours = THEMES[one_of("theme", theme, THEMES)]
    count = len(test.scores)
    drawing = Drawing(figsize=(width, 0.8 + 0.42 * count), facecolor=colours.paper)
    left, bottom = 0.26, 0.55 / (0.8 + 0.42 * count)
    axes = drawing.add_axes((left, bottom, 0.97 - left, 0.97 - bottom), facecolor="none")
    jitter = np.random.default_rng(0)
    for place, score in enumerate(test.scores):
        heights = place + jitter.uniform(-0.25, 0.25, len(score.shuffled))
        axes.scatter(score.shuffled, heights, s=6, color=colours.hatch, linewidths=0)
        colour = MEANT if score.meaningful else CHANCE
        face = colour if score.meaningful else colours.paper
        axes.scatter([score.sensitivity], [place], s=42, color=face, edgecolors=colour, linewidths=1.5, zorder=3)
    axes.axvline(0, color=colours.hatch, linewidth=0.6, zorder=0)
    axes.set(ylim=(count - 0.5, -0.5), yticks=range(count))
    labels = [f"{shortened(score.concept, 24)}  ({score.accuracy:.0%})" for score in test.scores]
    axes.set_yticklabels(labels, fontsize=TITLE, color=colours.ink, **PLAIN)
    axes.set_xlabel(
        f"mean cosine of the gradient of the {shortened(test.target, 50)} and the concept's vector",
        fontsize=SMALL, color=colours.ink, **PLAIN,
    )  # fmt: skip
    axes.tick_params(colors=colours.ink, labelsize=SMALL, length=2)
    axes.tick_params(axis="y", labelsize=TITLE)
    for name, spine in axes.spines.items():
        spine.set(color=colours.hatch, linewidth=0.5, visible=name in ("bottom", "left"))
    return drawing
