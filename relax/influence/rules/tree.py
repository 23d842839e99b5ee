"""A small decision tree over features that people know, and the rules that it amounts to.

The tree is fitted to two thirds of the pictures. Everything that is said about it, support, confidence and fidelity,
is counted on the other third, which it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.influence.rules.features import Features
from relax.metrics.summary import wilson
from relax.text import number

HELD_OUT = 1 / 3
LEAF = 0.04  # of the pictures that are learned from, and no fewer than 3, in a leaf
LEAST = 12  # pictures

Target = NDArray[Any]  # (N,) of text, or of float64


@dataclass(frozen=True)
class Condition:
    """That a feature lies above `low` and at most at `high`, or is unknown, where `unknown` says so."""

    feature: str
    low: float = -np.inf
    high: float = np.inf
    unknown: bool = False
    span: float = 0.0  # of the feature in the pictures, for the digits

    def __str__(self) -> str:
        if " = " in self.feature:  # a kind: 0 or 1
            text = self.feature if self.low > -np.inf else self.feature.replace(" = ", " is not ", 1)
        else:
            low, high = (number(value, self.span or None) for value in (self.low, self.high))
            if self.low > -np.inf and self.high < np.inf:
                text = f"{low} < {self.feature} ≤ {high}"
            else:
                text = f"{self.feature} > {low}" if self.low > -np.inf else f"{self.feature} ≤ {high}"
        return f"{text} (or unknown)" if self.unknown else text

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) for which of these values of the feature."""
        inside: NDArray[np.bool_] = np.where(
            np.isnan(values), self.unknown, (values > self.low) & (values <= self.high)
        )
        return inside


@dataclass(frozen=True)
class Rule:
    """Conditions that lead to one answer.

    Attributes:
        conditions: All of them hold; none for a rule that always does.
        answer: A label, or the mean of the numbers that the tree learned from.
        pictures: Number of held-out pictures for which they hold.
        support: Their share of all held-out pictures.
        confidence: Of these, the share that has the label, NaN without any; for numbers the mean of theirs.
    """

    conditions: tuple[Condition, ...]
    answer: str | float
    pictures: int = 0
    support: float = 0.0
    confidence: float = float("nan")

    @property
    def when(self) -> str:
        """The conditions in words."""
        return " and ".join(map(str, self.conditions)) or "always"

    @property
    def said(self) -> str:
        """The answer in words."""
        return self.answer if isinstance(self.answer, str) else number(self.answer, 0.01)

    @property
    def told(self) -> str:
        """How often it holds, and is right, among the held-out pictures."""
        if not self.pictures:
            return "no held-out picture"
        share = f"{self.support:.0%} of the held-out pictures ({self.pictures:,})"
        if not isinstance(self.answer, str):
            return f"{share}, their mean {number(self.confidence, 0.01)}"
        low, high = wilson(self.confidence, self.pictures)
        return f"{share}, right for {self.confidence:.0%} ({low:.0%} to {high:.0%})"

    def __str__(self) -> str:
        return f"{self.when} → {self.said}"

    def holds(self, features: Features) -> NDArray[np.bool_]:
        """(N,) for which pictures."""
        mask = np.ones(len(features.values), dtype=bool)
        for condition in self.conditions:
            mask &= condition.holds(features.values[:, features.names.index(condition.feature)])
        return mask


@dataclass(frozen=True)
class Split:
    """Rows that are learned from, and rows that are held out."""

    learned: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split_of(target: Target, seed: int) -> Split:
    """A third held out, of every label alike; a label of one picture is learned from."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(target == value) for value in np.unique(target)] if target.dtype.kind == "U" else []
    parts = [rng.permutation(rows) for rows in groups or [np.arange(len(target))]]
    held = np.sort(np.concatenate([rows[: round(HELD_OUT * len(rows))] for rows in parts]))
    return Split(np.setdiff1d(np.arange(len(target)), held), held)


def grown_rules(features: Features, target: Target, split: Split, depth: int, seed: int) -> tuple[Rule, ...]:
    """The rules of a tree of at most so many questions in a row, the largest support first."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    is_label = target.dtype.kind == "U"
    kind = DecisionTreeClassifier if is_label else DecisionTreeRegressor
    leaf = max(3, round(LEAF * len(split.learned)))
    tree = kind(max_depth=depth, min_samples_leaf=leaf, random_state=seed)
    tree.fit(features.values[split.learned], target[split.learned])
    span = np.nanmax(features.values, 0, initial=-1e300) - np.nanmin(features.values, 0, initial=1e300)
    answers = tree.classes_[tree.tree_.value[:, 0].argmax(1)] if is_label else tree.tree_.value[:, 0, 0]
    rules = _joined([*_paths(tree.tree_, features, answers, span, 0, {})]) if is_label else [
        *_paths(tree.tree_, features, answers, span, 0, {})
    ]  # fmt: skip
    counted = [_counted(rule, features, target, split.held_out) for rule in rules]
    return tuple(sorted(counted, key=lambda rule: -rule.support))


def answers_of(rules: tuple[Rule, ...], features: Features) -> Target:
    """(N,) what the rules say of each picture; exactly one of them holds for each."""
    is_label = isinstance(rules[0].answer, str)
    answers = np.empty(len(features.values), dtype=object if is_label else np.float64)
    for rule in rules:
        answers[rule.holds(features)] = rule.answer
    return answers.astype(str) if is_label else answers


def _paths(
    tree: Any, features: Features, answers: Target, span: NDArray[np.float64], node: int, so_far: dict[int, Condition]
) -> Iterator[Rule]:
    """The rules below a node, each with one condition per feature."""
    place = int(tree.feature[node])
    if place < 0:
        answer = answers[node]
        yield Rule(tuple(so_far.values()), str(answer) if isinstance(answer, str) else float(answer))
        return
    name, threshold = features.names[place], float(tree.threshold[node])
    gaps = bool(np.isnan(features.values[:, place]).any())
    before = so_far.get(place, Condition(name, unknown=gaps, span=float(span[place])))
    goes_left = bool(tree.missing_go_to_left[node])
    left = replace(before, high=min(before.high, threshold), unknown=before.unknown and goes_left)
    right = replace(before, low=max(before.low, threshold), unknown=before.unknown and not goes_left)
    yield from _paths(tree, features, answers, span, int(tree.children_left[node]), {**so_far, place: left})
    yield from _paths(tree, features, answers, span, int(tree.children_right[node]), {**so_far, place: right})


def _joined(rules: list[Rule]) -> list[Rule]:
    """Neighbouring rules of one answer, whose last question made no difference, as one."""
    joined = list(rules)
    changed = True
    while changed:
        changed = False
        for place in range(len(joined) - 1):
            both = _union(joined[place], joined[place + 1])
            if both is not None:
                joined[place : place + 2] = [both]
                changed = True
                break
    return joined


def _union(rule: Rule, other: Rule) -> Rule | None:
    """One rule for two of the same answer that differ at the two sides of one threshold; None for others."""
    if rule.answer != other.answer or [c.feature for c in rule.conditions] != [c.feature for c in other.conditions]:
        return None
    differ = [
        place for place, pair in enumerate(zip(rule.conditions, other.conditions, strict=True)) if pair[0] != pair[1]
    ]
    if len(differ) != 1:
        return None
    a, b = rule.conditions[differ[0]], other.conditions[differ[0]]
    if a.high != b.low:
        return None
    whole = replace(a, high=b.high, unknown=a.unknown or b.unknown)
    rest = list(rule.conditions)
    if whole.low == -np.inf and whole.high == np.inf:
        del rest[differ[0]]
    else:
        rest[differ[0]] = whole
    return Rule(tuple(rest), rule.answer)


def _counted(rule: Rule, features: Features, target: Target, rows: NDArray[np.int64]) -> Rule:
    held = rule.holds(features)[rows]
    theirs = target[rows][held]
    if not len(theirs):
        return replace(rule, pictures=0, support=0.0)
    confidence = float(np.mean(theirs == rule.answer)) if isinstance(rule.answer, str) else float(theirs.mean())
    return replace(rule, pictures=len(theirs), support=len(theirs) / len(rows), confidence=confidence)
