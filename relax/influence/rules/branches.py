"""Rules as a tree: conditions that several rules share stand once, and what follows is below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relax.influence.rules.tree import Condition, Rule


@dataclass(frozen=True)
class Branch:
    """A condition, with the branches below it, or the rule that it completes.

    Attributes:
        condition: In words.
        branches: The largest support first; none where the rule ends.
        rule: None where there are branches.
    """

    condition: str
    branches: tuple[Branch, ...] = ()
    rule: Rule | None = None

    @property
    def support(self) -> float:
        """Share of the held-out pictures that come here."""
        return self.rule.support if self.rule else sum(branch.support for branch in self.branches)

    @property
    def depth(self) -> int:
        """Conditions in a row, this one included."""
        return 1 + max((branch.depth for branch in self.branches), default=0)


def branches_of(rules: Sequence[Rule]) -> tuple[Branch, ...]:
    """The tree of rules of which exactly one holds for each picture; a rule without conditions is called "always"."""
    return _below([(rule.conditions, rule) for rule in rules])


def lines_of(branches: Sequence[Branch], before: str = "") -> list[str]:
    """The tree as lines, drawn with the signs for tables."""
    lines = []
    for place, branch in enumerate(branches):
        last = place == len(branches) - 1
        told = f" → {branch.rule.said}: {branch.rule.told}" if branch.rule else ""
        lines.append(f"{before}{'└' if last else '├'}─ {branch.condition}{told}")
        lines += lines_of(branch.branches, before + ("   " if last else "│  "))
    return lines


def _below(rules: Sequence[tuple[tuple[Condition, ...], Rule]]) -> tuple[Branch, ...]:
    """Branches for rules of which some conditions are still to be told."""
    groups: dict[str, list[tuple[tuple[Condition, ...], Rule]]] = {}
    for conditions, rule in rules:
        groups.setdefault(str(conditions[0]) if conditions else "always", []).append((conditions[1:], rule))
    branches = [
        Branch(condition, rule=group[0][1]) if not group[0][0] else Branch(condition, _below(group))
        for condition, group in groups.items()
    ]
    return tuple(sorted(branches, key=lambda branch: -branch.support))
