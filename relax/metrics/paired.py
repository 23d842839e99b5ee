"""Which method is ahead of which, compared picture by picture, and where so few pictures tell nothing.

Methods are compared only on pictures for which both have values, and only where both are judged by the same score. All
differences are paired: on one picture, method minus method.

A method is called ahead by a paired permutation test: were two methods alike, their ranks on a picture might as well be
swapped. The bootstrap says too often that the best of several is ahead, where the pictures are few.

Sources: mean ranks of several methods over several data sets (Demšar, JMLR 2006), here over pictures; permutation tests
(Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005); the bootstrap (Efron & Tibshirani, 1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from relax.metrics.maps import UNDEFINED, Values, mid_ranks
from relax.metrics.metric import Metric
from relax.metrics.summary import ROUNDING, bootstrap_interval
from relax.text import listed

if TYPE_CHECKING:
    from relax.metrics.results import Evaluation

ERROR = 0.05  # of a lead where there is none, all comparisons of a family together
EXACT, DRAWS = 12, 20_000  # up to so many pictures all swaps are tried, beyond that so many are drawn
NAMES = 5  # in a sentence


def gains(evaluation: Evaluation, method: str, other: str) -> dict[str, tuple[float, float]]:
    """95 % interval by metric of how much better `method` is than `other` on the same picture; above 0 is better."""
    values = _values(evaluation)
    intervals = {}
    for metric in evaluation.metrics:
        sign = 1 if metric.direction == "higher" else -1
        pairs = [
            sign * (by_method[method][metric.name] - by_method[other][metric.name])
            for by_method in values.values()
            if all(metric.name in by_method.get(name, {}) for name in (method, other))
        ]
        if finite := [pair for pair in pairs if np.isfinite(pair)]:
            intervals[metric.name] = bootstrap_interval(finite)
    return intervals


@dataclass(frozen=True)
class Standing:
    """The methods of one family of metrics that are judged by one score, best first.

    Attributes:
        family: Of the metrics.
        score: What they are judged by, in words; "" for families that query no score.
        ranks: By method (K,), one per picture: its rank among the methods, 1 = best, averaged over the metrics.
        level: Of each method: its rank cannot be told from the best one's.
    """

    family: str
    score: str
    ranks: Mapping[str, Values]
    level: Mapping[str, bool]

    @property
    def pictures(self) -> int:
        """On which all the methods have values."""
        return len(next(iter(self.ranks.values())))

    @property
    def means(self) -> dict[str, float]:
        """Mean rank by method, best first."""
        return {method: float(ranks.mean()) for method, ranks in self.ranks.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval of the mean rank over the pictures, by method."""
        return {method: bootstrap_interval(ranks) for method, ranks in self.ranks.items()}

    @property
    def fewest(self) -> int:
        """Pictures below which no lead can be told, even if one method is best on all of them."""
        return math.ceil(1 + math.log2(_pairs(len(self.ranks)) / ERROR))

    def sentence(self) -> str:
        """Which method is ahead, or that nothing can be told."""
        name = self.family.capitalize() + (f" ({self.score})" if self.score else "")
        best, *_ = self.ranks
        equal = [method for method in self.ranks if self.level[method] and method != best]
        behind = [method for method in self.ranks if not self.level[method]]
        pictures = f"{self.pictures} picture{'s' * (self.pictures != 1)}"
        if not behind:
            few = f": fewer than {self.fewest} never do" if self.pictures < self.fewest else ""
            return f"{name}: {pictures} cannot tell which of {listed([*self.ranks], NAMES)} is ahead{few}."
        told = f"{name}: {best} is ahead of {listed(behind, NAMES)} on {pictures}"
        return f"{told}." if not equal else f"{told}; it cannot be told from {listed(equal, NAMES)}."


def standings(evaluation: Evaluation) -> list[Standing]:
    """One per family of metrics and score with two or more methods, in the order of the metrics."""
    values, scores = _values(evaluation), evaluation.scores
    groups: dict[tuple[str, str], tuple[list[Metric], list[str]]] = {}
    methods = dict.fromkeys(method for by_method in values.values() for method in by_method)
    for metric in evaluation.metrics:
        for method in methods:
            score = scores.get((metric.name, method), "")
            metrics, names = groups.setdefault((metric.family, score), ([], []))
            metrics += [metric] * (metric not in metrics)
            names += [method] * (method not in names)
    results = [_standing(*group, metrics, names, values) for group, (metrics, names) in groups.items()]
    return [standing for standing in results if standing is not None]


def _standing(
    family: str,
    score: str,
    metrics: Sequence[Metric],
    methods: Sequence[str],
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Standing | None:
    by_picture = [[*_ranks(metrics, [of.get(method, {}) for method in methods])] for of in values.values()]
    rows = [np.mean(ranks, axis=0) for ranks in by_picture if ranks]
    if len(methods) < 2 or not rows:
        return None
    table = np.stack(rows, axis=1)  # (methods, pictures)
    order = np.argsort(table.mean(1), kind="stable")
    ranks = {methods[place]: table[place] for place in order}
    best = table[order[0]]
    # The best is known only from the pictures, so any pair might have been compared (Bonferroni).
    limit = ERROR / _pairs(len(methods))
    level = {method: swap_test(of_method - best) > limit for method, of_method in ranks.items()}
    return Standing(family, score, ranks, level)


def _ranks(metrics: Iterable[Metric], by_method: Sequence[Mapping[str, float]]) -> Iterable[Values]:
    """The ranks of the methods by each metric, 1 = best, of those metrics for which all have a value."""
    for metric in metrics:
        numbers = np.array([values.get(metric.name, UNDEFINED) for values in by_method])
        if np.isfinite(numbers).all():
            yield mid_ranks(np.round(numbers if metric.direction == "lower" else -numbers, 9))


def swap_test(differences: Values) -> float:
    """Two-sided p-value of paired differences (K,): how often swapping at random moves their mean as far from 0."""
    count = len(differences)
    if count <= EXACT:
        swaps = np.array([*product((-1.0, 1.0), repeat=count)])
    else:
        swaps = np.random.default_rng(0).choice((-1.0, 1.0), size=(DRAWS, count))
        swaps[0] = 1  # the differences as they are
    means = np.abs(swaps @ differences)
    return float((means >= abs(differences.sum()) - ROUNDING).mean())


def _pairs(methods: int) -> int:
    return methods * (methods - 1) // 2


def _values(evaluation: Evaluation) -> dict[str, dict[str, Mapping[str, float]]]:
    """The values by picture, method and metric."""
    values: dict[str, dict[str, Mapping[str, float]]] = {}
    for outcome in evaluation.outcomes:
        if not outcome.failure:
            values.setdefault(outcome.image, {})[outcome.method] = outcome.values
    return values
