"""Groups within groups, each with its picture: as sentences, a drawn tree, a page and a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from relax.influence.answer import Answer, Member
from relax.influence.hierarchy.differences import Difference
from relax.influence.hierarchy.standing import Standing
from relax.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Node:
    """A group of pictures.

    Attributes:
        name: "2" at the first level, "2.1" for the largest group within it; a group that a level does not divide keeps
            its name.
        level: The first level that has it, from 0.
        parent: Name of the group that holds it; "" for all pictures.
        pictures: How many are in it, of all of the archive.
        share: Of all.
        picture: The one that represents it: of those grouped, the nearest to their mean embedding, which has the least
            sum of squared distances to the others.
        differences: Features in which it stands out from the other groups of its parent, largest first.
        rows: (pictures,) of the archive.
    """

    name: str
    level: int
    parent: str
    pictures: int
    share: float
    picture: Member
    differences: tuple[Difference, ...]
    rows: NDArray[np.int64] = field(repr=False, compare=False)

    def __str__(self) -> str:
        text = f"{self.name}: {counted(self.pictures, 'picture')} ({self.share:.0%}), as {self.picture.name}"
        return f"{text}: {'; '.join(map(str, self.differences))}" if self.differences else text


@dataclass(frozen=True)
class Hierarchy(Answer):
    """Groups within groups; a picture's `value` is the share of all pictures that it stands for.

    Attributes:
        nodes: Every group once, each before those within it.
        standings: How far each level stands for held-out pictures.
        levels: (N, L) names of the groups of each picture of the archive.
    """

    title: ClassVar[str] = "Hierarchy"
    labelled: ClassVar[str] = "stands out by"

    nodes: tuple[Node, ...]
    standings: tuple[Standing, ...]
    levels: NDArray[np.str_] = field(repr=False, compare=False)

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""
        return "share of all pictures"

    def legend(self, heading: str) -> str:
        """A level speaks for itself."""
        return heading

    def shown(self, member: Member) -> str:
        """The name of the group and its share."""
        return f"group {member.notes['group']}, {member.value:.0%}"

    def within(self, parent: str = "") -> tuple[Node, ...]:
        """The groups that a group, or with "" all pictures, is divided into; the largest first."""
        return tuple(node for node in self.nodes if node.parent == parent)

    def lines(self) -> list[str]:
        """Every group as a line, indented under the one that holds it."""
        return [f"{'    ' * node.name.count('.')}{node}" for node in self.walk()]

    def walk(self, parent: str = "") -> Iterator[Node]:
        """Every group, each followed by those within it."""
        for node in self.within(parent):
            yield node
            yield from self.walk(node.name)

    def plot(self, **options: Any) -> Figure:
        """The tree with the picture of each group.

        Args:
            options: `width` in inches and `theme`, as for `relax.figure`.
        """
        from relax.plotting.hierarchy import hierarchy_figure

        return hierarchy_figure(self, **options)

    def drawn(self) -> Figure | None:
        """The tree, for the page, where it is small enough to be drawn."""
        from relax.plotting.hierarchy import MOST

        return self.plot() if sum(not self.within(node.name) for node in self.nodes) <= MOST else None

    def record(self) -> dict[str, Any]:
        """As for every answer, with nodes and how far each level stands for held-out pictures."""
        nodes = [
            {
                "name": node.name,
                "groups": self.standings[node.level].groups,
                "parent": node.parent or None,
                "pictures": node.pictures,
                "share": node.share,
                "picture": node.picture.name,
                "differences": [vars(difference) for difference in node.differences],
            }
            for node in self.walk()
        ]
        levels = [{**vars(each), "beyond_chance": each.beyond_chance} for each in self.standings]
        return {**super().record(), "nodes": nodes, "levels": levels}
