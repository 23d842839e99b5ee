"""What drawn trees share: words, and lines from a parent to its children, at places in inches from the upper left."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relax.plotting.lettering import PLAIN, line_height
from relax.plotting.sheet import GAP
from relax.plotting.themes import Theme


class TreePage:
    """A figure with a tree from left to right."""

    def __init__(self, drawing: Figure, width: float, height: float, theme: Theme) -> None:
        self.drawing, self.width, self.height, self.theme = drawing, width, height, theme

    def write(self, left: float, top: float, lines: Sequence[str], size: float, colour: str) -> None:
        """Lines of text below a place."""
        for place, line in enumerate(lines):
            down = top + (place + 0.5) * line_height(size)
            self.drawing.text(
                left / self.width, 1 - down / self.height, line, size=size, color=colour, va="center", **PLAIN
            )

    def join(self, parent: tuple[float, float], children: Sequence[tuple[float, float]], column: float) -> None:
        """Lines from the end of a parent's column to its children; all places are heights of the lines themselves."""
        for left, top in children:
            bend = left - GAP / 2
            xs = [parent[0] + column - GAP, bend, bend, left - 0.02]
            ys = [parent[1], parent[1], top, top]
            self.drawing.add_artist(
                Line2D(
                    [x / self.width for x in xs], [1 - y / self.height for y in ys], color=self.theme.hatch,
                    linewidth=0.8,
                )
            )  # fmt: skip
