"""Draw groups within groups as a tree from left to right: the picture of each, its size, and what sets it apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import broken, line_height
from relax.plotting.panels import draw_image
from relax.plotting.sheet import EDGE, NAME, SMALL, TITLE, WIDTH, check_width
from relax.plotting.themes import THEMES
from relax.plotting.tree import TreePage
from relax.text import one_of, shortened

MOST = 60  # rows
PICTURE, GAP = 0.72, 0.16  # inches: a picture's longer side, and from one row or column to the next
SIDE = 256  # px of a picture's longer side
LINES = 6  # of small print beside a picture


class NodeLike(Protocol):
    """The part of `relax.influence.hierarchy.result.Node` that is drawn."""

    @property
    def name(self) -> str:
        """Such as "2.1"."""

    @property
    def level(self) -> int:
        """From 0."""

    @property
    def pictures(self) -> int:
        """How many."""

    @property
    def picture(self) -> Any:
        """The one that represents it."""

    @property
    def differences(self) -> Sequence[object]:
        """What sets it apart."""


class HierarchyLike(Protocol):
    """The part of `relax.influence.hierarchy.result.Hierarchy` that is drawn."""

    @property
    def groups(self) -> Mapping[str, Any]:
        """A heading per level."""

    @property
    def findings(self) -> Sequence[str]:
        """In sentences."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it was made."""

    def within(self, parent: str = "") -> Sequence[Any]:
        """The groups within one."""

    def walk(self, parent: str = "") -> Iterator[Any]:
        """All groups, depth first."""

    def small(self, member: Any, longest: int) -> NDArray[np.uint8] | None:
        """A small version of a picture."""


def hierarchy_figure(tree: HierarchyLike, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """The tree, a column per level.

    Args:
        tree: What was found.
        width: In inches, as for `relax.figure`; 2.4 per level keep the words readable.
        theme: "light" or "dark".

    Raises:
        ValueError: If there are more than `MOST` groups at the last level, or width or theme are impossible.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    check_width(width)
    rows = _rows(tree)
    count = sum(1 for node in tree.walk() if not tree.within(node.name))
    if count > MOST:
        raise ValueError(f"a drawn tree has at most {MOST} groups; got {count}: write an .html file instead")
    headings = list(tree.groups)
    column = (width - 2 * EDGE) / len(headings)
    titles = [broken(heading.split(), column - GAP, TITLE) for heading in headings]
    told = [*tree.findings, f"Hierarchy through encoder {shortened(str(tree.settings['encoder']), 80)}"]
    caption = [line for text in told for line in broken(text.split(), width - 2 * EDGE, SMALL)]
    top = EDGE + max(map(len, titles)) * line_height(TITLE) + GAP
    height = top + count * (PICTURE + GAP) + len(caption) * line_height(SMALL) + EDGE
    drawing = Drawing(figsize=(width, height), facecolor=colours.paper)
    places = {name: (EDGE + level * column, top + row * (PICTURE + GAP)) for name, (level, row) in rows.items()}
    page = _Page(drawing, width, height, colours)
    for level, lines in enumerate(titles):
        page.write(EDGE + level * column, EDGE, lines, TITLE, colours.ink)
    for node in tree.walk():
        page.node(node, tree.small(node.picture, SIDE), *places[node.name], column - GAP)
        middles = [
            (left, top + PICTURE / 2) for left, top in (places[each.name] for each in (node, *tree.within(node.name)))
        ]
        page.join(middles[0], middles[1:], column)
    page.write(EDGE, height - EDGE - len(caption) * line_height(SMALL), caption, SMALL, colours.pale)
    return drawing


def _rows(tree: HierarchyLike) -> dict[str, tuple[int, float]]:
    """The column and row of each group: a group stands halfway between the first and the last within it."""
    places: dict[str, tuple[int, float]] = {}
    leaves = 0
    for node in reversed([*tree.walk()]):
        inside = [places[child.name][1] for child in tree.within(node.name)]
        places[node.name] = (node.level, (inside[0] + inside[-1]) / 2 if inside else float(leaves))
        leaves += not inside
    return {name: (level, leaves - 1 - row) for name, (level, row) in places.items()}


class _Page(TreePage):
    """The tree, with pictures."""

    def node(self, node: NodeLike, pixels: NDArray[np.uint8] | None, left: float, top: float, room: float) -> None:
        """A picture with its words to the right."""
        box = (left / self.width, 1 - (top + PICTURE) / self.height, PICTURE / self.width, PICTURE / self.height)
        axes = self.drawing.add_axes(box, anchor="W")
        axes.set_axis_off()
        if pixels is not None:
            draw_image(axes, pixels)
        words, beside = left + PICTURE + 0.06, room - PICTURE - 0.06
        name = shortened(f"{node.name} · {node.picture.value:.0%}", 30)
        self.write(words, top, [name], NAME, self.theme.ink)
        lines = [line for each in node.differences for line in broken(str(each).split(), beside, SMALL)]
        lines = lines or broken([shortened(node.picture.name, 60)], beside, SMALL)
        self.write(words, top + line_height(NAME), lines[:LINES], SMALL, self.theme.pale)
