"""Draw the pictures behind an answer: the query, then each group with its numbers, labels and names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.drawing import file_of
from relax.plotting.sheet import WIDTH, Panel, Row, Sheet
from relax.plotting.tables import FORMATS
from relax.plotting.themes import THEMES, Theme
from relax.plotting.thumbnails import SIDE, blank, thumbnail
from relax.text import one_of, shortened

MOST = 200  # pictures of a figure


class MemberLike(Protocol):
    """The part of `relax.influence.answer.Member` that is drawn."""

    @property
    def name(self) -> str:
        """Of the picture."""

    @property
    def label(self) -> str:
        """Of the picture, or ""."""

    @property
    def value(self) -> float:
        """Its number."""

    @property
    def notes(self) -> Mapping[str, str | float]:
        """Further numbers and words."""


class AnswerLike(Protocol):
    """The part of `relax.influence.answer.Answer` that is drawn and written."""

    title: ClassVar[str]
    labelled: ClassVar[str]

    @property
    def query(self) -> str:
        """Name of the query, or ""."""

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""

    @property
    def unit(self) -> str:
        """Of the numbers."""

    @property
    def groups(self) -> Mapping[str, Sequence[Any]]:
        """The pictures by the heading of their group."""

    @property
    def findings(self) -> Sequence[str]:
        """The answer in sentences."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it was made."""

    def legend(self, heading: str) -> str:
        """What stands above a group."""

    def shown(self, member: Any) -> str:
        """The number of a picture, as text."""

    def drawn(self) -> Figure | None:
        """What a page shows above the numbers."""

    def small(self, member: Any, longest: int) -> NDArray[np.uint8] | None:
        """A small version of a picture, or with None of the query."""


def answer_figure(answer: AnswerLike, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A sheet of the pictures, group by group.

    Args:
        answer: What was found.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".

    Raises:
        ValueError: If there are more than `MOST` pictures, or width or theme are impossible.
    """
    count = sum(map(len, answer.groups.values()))
    if count > MOST:
        raise ValueError(f"a figure shows at most {MOST} pictures; got {count:,}: write an .html file instead")
    colours = THEMES[one_of("theme", theme, THEMES)]
    rows = []
    if answer.query:
        rows.append(Row([thumbnail("query", answer.query, answer.small(None, SIDE), colours), *[blank()] * 3]))
    for heading, members in answer.groups.items():
        panels = [_member(rank, member, answer, colours) for rank, member in enumerate(members, 1)]
        if panels:
            rows.append(Row([*panels, *[blank()] * (4 - len(panels))], answer.legend(heading)))
    caption = [
        list(answer.findings),
        [f"{answer.title} through encoder {shortened(str(answer.settings['encoder']), 80)}"],
    ]
    return Sheet(rows, caption, colours, width).draw()


def answer_file(draw: Callable[[], Figure], ending: str) -> bytes:
    """The bytes of a drawn answer as a file with this ending, such as ".png", which is looked at first."""
    format = one_of("format", ending.lower().lstrip("."), FORMATS)
    return file_of(draw(), format)


def _member(rank: int, member: MemberLike, answer: AnswerLike, theme: Theme) -> Panel:
    panel = thumbnail(
        " · ".join(filter(None, (str(rank), answer.shown(member)))), member.name, answer.small(member, SIDE), theme
    )
    if not member.label:
        return panel
    return Panel(
        panel.title, panel.shape, panel.draw, label=shortened(member.label, 60), note=shortened(member.name, 90)
    )
