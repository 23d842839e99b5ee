"""Draw rules as a tree from left to right: what is asked, and at each end what is said and how often it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from relax.plotting.drawing import Drawing
from relax.plotting.lettering import broken, line_height, text_width
from relax.plotting.sheet import EDGE, GAP, NAME, SMALL, TITLE, WIDTH, check_width
from relax.plotting.themes import THEMES
from relax.plotting.tree import TreePage
from relax.text import one_of, shortened

BAR = 0.08  # inches: height of the bar of a rule's support


class RulesLike(Protocol):
    """The part of `relax.influence.rules.surrogate.SurrogateTree` that is drawn."""

    @property
    def branches(self) -> Sequence[Any]:
        """The first conditions, each a `relax.influence.rules.branches.Branch`."""

    @property
    def findings(self) -> Sequence[str]:
        """In sentences; the first says how far to believe the rules."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it was made."""


def rules_figure(tree: RulesLike, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """The tree: a column for each condition in a row, and the answers in the last one.

    Args:
        tree: The rules.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".

    Raises:
        ValueError: If width or theme are impossible.
    """
    colours = THEMES[one_of("theme", theme, THEMES)]
    check_width(width)
    columns = max(branch.depth for branch in tree.branches) + 1
    column = (width - 2 * EDGE) / columns
    room = column - GAP
    ends = [*_ends(tree.branches)]
    answers = [broken([shortened(f"→ {end.rule.said}", 60)], room, NAME) for end in ends]
    details = [broken(end.rule.told.split(), room, SMALL) for end in ends]
    heights = [
        len(answer) * line_height(NAME) + len(detail) * line_height(SMALL) + BAR + GAP
        for answer, detail in zip(answers, details, strict=True)
    ]
    told = [tree.findings[0], f"Rules for an encoder's embeddings: {shortened(str(tree.settings['encoder']), 80)}"]
    caption = [line for text in told for line in broken(text.split(), width - 2 * EDGE, SMALL)]
    height = 2 * EDGE + sum(heights) + len(caption) * line_height(SMALL) + GAP
    page = TreePage(Drawing(figsize=(width, height), facecolor=colours.paper), width, height, colours)
    tops = [EDGE + sum(heights[:place]) for place in range(len(ends))]
    last = EDGE + (columns - 1) * column
    for end, top, answer, detail in zip(ends, tops, answers, details, strict=True):
        page.write(last, top, answer, NAME, colours.ink)
        below = top + len(answer) * line_height(NAME)
        bar = Rectangle(
            (last / width, 1 - (below + BAR) / height), end.rule.support * room / width, 0.5 * BAR / height,
            transform=page.drawing.transFigure, color=colours.pale,
        )  # fmt: skip
        page.drawing.add_artist(bar)
        page.write(last, below + BAR, detail, SMALL, colours.pale)
    middles = iter(top + line_height(NAME) / 2 for top in tops)
    _draw(page, tree.branches, 0, column, columns, middles)
    page.write(EDGE, height - EDGE - len(caption) * line_height(SMALL), caption, SMALL, colours.pale)
    return page.drawing


def _ends(branches: Sequence[Any]) -> Iterator[Any]:
    """The branches at which rules end, from the top."""
    for branch in branches:
        yield from _ends(branch.branches) if branch.branches else [branch]


def _draw(
    page: TreePage, branches: Sequence[Any], level: int, column: float, columns: int, middles: Iterator[float]
) -> list[tuple[float, float]]:
    """Draw branches of a level with all below them; where each stands."""
    places = []
    for branch in branches:
        left = EDGE + level * column
        lines = broken([branch.condition], column - GAP, TITLE)
        reach = max(text_width(line, TITLE) for line in lines) + 0.06 + GAP
        if branch.branches:
            children = _draw(page, branch.branches, level + 1, column, columns, middles)
            middle = (children[0][1] + children[-1][1]) / 2
            page.join((left, middle), children, reach)
        else:
            middle = next(middles)
            page.join((left, middle), [(EDGE + (columns - 1) * column, middle)], reach)
        page.write(left, middle - len(lines) * line_height(TITLE) / 2, lines, TITLE, page.theme.ink)
        places.append((left, middle))
    return places
