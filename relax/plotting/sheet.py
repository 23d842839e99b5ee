"""Sheets: panels in rows, each with a title, a colour bar and small print, measured in inches so that nothing is cut.

Text keeps its size whatever the width of the sheet: lines are broken by the width that the font gives them. So a sheet
of 3.3 inches, the column of a paper, is as readable as one of 7.2, its page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from encoders.values import described, is_number
from relax.plotting.bars import draw_bar
from relax.plotting.drawing import Drawing
from relax.plotting.lettering import PLAIN, broken, line_height
from relax.plotting.scales import Scale
from relax.plotting.themes import Theme

WIDTH = 7.2  # inches: a page of most journals; a column has 3.3 to 3.5
NARROWEST, WIDEST = 2.0, 100.0
NAME, TITLE, SMALL = 8.0, 7.0, 6.0  # points
EDGE, GAP, BETWEEN = 0.1, 0.16, 0.14  # inches: around all panels, between columns, between rows
ABOVE, BAR, TICKS = 0.06, 0.07, 0.165  # inches: from a panel to its colour bar, its height, and that of its numbers
ASCENT = 0.95  # of a letter above its base line, as a share of its size
SLIMMEST, FLATTEST, TALLEST = 1.35, 0.7, 3.2  # inches of a panel


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: Above it.
        shape: (H, W) of what is drawn, in any unit.
        draw: Draws into its axes.
        scale: Of its colour bar; None for no bar.
        label: Under the bar: quantity and unit.
        note: Under the label, pale.
    """

    title: str
    shape: tuple[int, ...]
    draw: Callable[[Axes], None]
    scale: Scale | None = None
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Panels that belong together, with a heading; those that do not fit side by side continue below."""

    panels: Sequence[Panel]
    heading: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows of panels, and text under them.

    Attributes:
        rows: From top to bottom.
        caption: Paragraphs of phrases, which are joined by dots.
        theme: The colours.
        width: In inches.
    """

    rows: Sequence[Row]
    caption: Sequence[Sequence[str]]
    theme: Theme
    width: float = WIDTH

    def __post_init__(self) -> None:
        check_width(self.width)

    def draw(self) -> Drawing:
        """The sheet as a figure."""
        columns, slot = self._columns()
        caption = [line for phrases in self.caption for line in broken(phrases, self._inside, SMALL, separator=" · ")]
        strips = [
            _Strip.of(row.panels[start : start + columns], row.heading if start == 0 else "", slot, self._inside)
            for row in self.rows
            for start in range(0, len(row.panels), columns)
        ]
        below = 0.06 + line_height(SMALL) * len(caption) if caption else 0.0
        height = 2 * EDGE + sum(strip.height for strip in strips) + BETWEEN * (len(strips) - 1) + below
        drawing = Drawing(figsize=(self.width, height), facecolor=self.theme.paper)
        page = _Page(drawing, self.theme, self.width, height)
        top = EDGE
        for strip in strips:
            strip.draw(page, top)
            top += strip.height + BETWEEN
        page.write(EDGE, height - EDGE - line_height(SMALL) * len(caption), caption, SMALL, self.theme.pale)
        return drawing

    @property
    def _inside(self) -> float:
        return self.width - 2 * EDGE

    def _columns(self) -> tuple[int, float]:
        """How many panels stand side by side, as many as are large enough then, and the width of each in inches."""
        most = max(len(row.panels) for row in self.rows)
        usual = median(panel.shape[0] / panel.shape[1] for row in self.rows for panel in row.panels)
        for lines in range(1, most + 1):
            columns = math.ceil(most / lines)
            slot = (self._inside - (columns - 1) * GAP) / columns
            if slot >= SLIMMEST and slot * usual >= FLATTEST:
                break
        return columns, slot


@dataclass(frozen=True)
class _Strip:
    """Panels side by side, with the text around them broken into lines."""

    panels: Sequence[Panel]
    slot: float  # width of a panel, in inches
    heading: list[str]
    titles: list[list[str]]
    labels: list[list[str]]
    notes: list[list[str]]

    @classmethod
    def of(cls, panels: Sequence[Panel], heading: str, slot: float, inside: float) -> _Strip:
        return cls(
            panels,
            slot,
            broken(heading.split(" "), inside, NAME, bold=True),
            [broken(panel.title.split(" "), slot, TITLE) for panel in panels],
            [broken(panel.label.split(" "), slot, SMALL) for panel in panels],
            [broken(panel.note.split(" "), slot, SMALL) for panel in panels],
        )

    def tall(self, panel: Panel) -> float:
        """Height of a panel in inches."""
        return max(min(self.slot * panel.shape[0] / panel.shape[1], TALLEST), 0.1)

    @property
    def head(self) -> float:
        """Inches above the panels."""
        heading = line_height(NAME) * len(self.heading) + (0.04 if self.heading else 0.0)
        return heading + line_height(TITLE) * max(map(len, self.titles)) + 0.04

    @property
    def height(self) -> float:
        """Inches from the heading to the last line of text under the panels."""
        return self.head + max(
            self.tall(panel)
            + (BAR + TICKS if panel.scale else 0)
            + line_height(SMALL) * (len(label) + len(note))
            + ABOVE
            for panel, label, note in zip(self.panels, self.labels, self.notes, strict=True)
        )

    def draw(self, page: _Page, top: float) -> None:
        """Draw it on a page, `top` inches below its upper edge."""
        page.write(EDGE, top, self.heading, NAME, page.theme.ink, bold=True)
        top += self.head
        for place, panel in enumerate(self.panels):
            left = EDGE + place * (self.slot + GAP)
            title = self.titles[place]
            page.write(left, top - 0.03 - line_height(TITLE) * len(title), title, TITLE, page.theme.ink)
            axes = page.axes(left, top, self.slot, self.tall(panel))
            axes.set_anchor("NW")
            panel.draw(axes)
            frame(axes, page.theme)
            under = top + self.tall(panel) + ABOVE
            if panel.scale:
                wide = min(max(self.tall(panel) * panel.shape[1] / panel.shape[0], SLIMMEST), self.slot)
                draw_bar(page.drawing, page.axes(left, under, wide, BAR), panel.scale, page.theme, wide)
                under += BAR + TICKS
            page.write(left, under, self.labels[place], SMALL, page.theme.ink)
            under += line_height(SMALL) * len(self.labels[place])
            page.write(left, under, self.notes[place], SMALL, page.theme.pale)


@dataclass(frozen=True)
class _Page:
    """A figure on which places are in inches from the upper left corner."""

    drawing: Figure
    theme: Theme
    width: float
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        x, y = left / self.width, 1 - (top + height) / self.height
        return self.drawing.add_axes((x, y, width / self.width, height / self.height), facecolor="none")

    def write(
        self, left: float, top: float, lines: Sequence[str], size: float, colour: str, *, bold: bool = False
    ) -> None:
        weight = "bold" if bold else "normal"
        for index, line in enumerate(lines):
            base = top + index * line_height(size) + ASCENT * size / 72
            x, y = left / self.width, 1 - base / self.height
            self.drawing.text(x, y, line, size=size, weight=weight, color=colour, va="baseline", **PLAIN)


def frame(axes: Axes, theme: Theme) -> None:
    """A thin frame without ticks."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=theme.hatch, linewidth=0.5)


def check_width(width: object) -> None:
    """Refuse what cannot be the width of a figure, in inches.

    Raises:
        ValueError: With the limits.
    """
    if not is_number(width) or not NARROWEST <= width <= WIDEST:
        raise ValueError(f"width must be {NARROWEST:g} to {WIDEST:g} inches; got {described(width)}")
