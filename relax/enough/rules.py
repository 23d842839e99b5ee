"""Rules by which a map alone says how many of its cells to show: one family of nested sets each, by one number.

A rule gives every number of cells k = 0, ..., n a level that does not fall; the set at a level is the first k cells, in
the order of importance, whose level is above it, or all of them. A promise (`relax.enough.promise`) chooses the level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.enough.cells import Cells
from relax.enough.finding import explained
from relax.metrics.maps import Values
from relax.metrics.trial import Trial
from relax.scene import Scene
from relax.settings import Settings

RIDGE = 1e-2  # of the additive prediction, in masks
LEAST = 0.01  # of the score that is predicted with nothing shown, so that levels never fall


@dataclass(frozen=True)
class Ranked:
    """The cells of one picture, in the order of a map, and what its masks predict.

    Attributes:
        order: (n,) numbers of the cells, the most important first.
        importance: (n,) of the cells in that order.
        predicted: (n + 1,) similarity with the first 0, 1, ..., n of them shown.
    """

    order: NDArray[np.int64]
    importance: Values
    predicted: Values

    @classmethod
    def of(cls, scene: Scene, cells: Cells, settings: Settings) -> Ranked:
        """RELAX of a scene, with an additive prediction fitted to the scores of its masks: no pass beyond the map."""
        explanation = explained(scene, settings)
        importance = cells.means(Trial.of(scene, image_embedding=scene.image_embedding).in_view(explanation.importance))
        order = np.argsort(-importance, kind="stable")
        scores = explanation.scores
        assert scores is not None  # noqa: S101  # RELAX keeps them
        shares = cells.shares(scene.source.masks(0, len(scores)))
        start, worth = additive(shares, scores)
        predicted = start + np.concatenate([[0.0], np.cumsum(worth[order])])
        return cls(order, importance[order], predicted)


@dataclass(frozen=True)
class Rule:
    """One family of sets.

    Attributes:
        name: What selects it.
        what: Which cells a level stands for, a noun phrase.
        levels: From the cells of a picture to (n + 1,) levels that do not fall.
        ends: Lowest and highest level that is tried with a confidence.
    """

    name: str
    what: str
    levels: Callable[[Ranked], Values]
    ends: tuple[float, float]


def _steady(ranked: Ranked) -> Values:
    levels: Values = _importance(ranked) * max(float(ranked.predicted[0]), LEAST)
    return levels


def _importance(ranked: Ranked) -> Values:
    worth = ranked.importance - ranked.importance.min()
    total = worth.sum()
    if not total > 0:
        return _count(ranked)
    levels: Values = np.concatenate([[0.0], np.cumsum(worth)]) / total
    return levels


def _count(ranked: Ranked) -> Values:
    return np.linspace(0.0, 1.0, len(ranked.order) + 1)


def _predicted(ranked: Ranked) -> Values:
    levels: Values = np.maximum.accumulate(ranked.predicted)
    return levels


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "steady",
            "a share of the importance, the smaller the higher scores stay whatever is shown (the score that an "
            "additive fit to the map's masks predicts with nothing shown)",
            _steady,
            (0, 1),
        ),
        Rule("importance", "a share of the importance above the lowest", _importance, (0, 1)),
        Rule("count", "as many cells for each picture", _count, (0, 1)),
        Rule("predicted", "as many as that fit predicts a similarity with", _predicted, (-1, 2)),
    )
}


def sizes_at(levels: Values, level: float | Values) -> NDArray[np.int64]:
    """How many cells the rule takes at each level: the first number whose level is above it, or all."""
    return np.minimum(np.searchsorted(levels, level, side="right"), len(levels) - 1)


def level_needed(levels: Values, scores: Values, at_least: float) -> float:
    """The lowest level from which on every set of a picture keeps the similarity; -inf where all do, even the empty.

    Sets of a picture need not get better with every cell. From this level on, whatever it is set to, the picture is
    kept, so that the share of pictures that are lost does not rise with the level.

    Args:
        levels: (n + 1,) of a rule.
        scores: (n + 1,) similarity with the first 0, ..., n cells shown; the last is the whole picture.
        at_least: What has to be kept.
    """
    lost = np.flatnonzero(scores < at_least)
    return float(levels[lost[-1]]) if lost.size else -np.inf


def additive(shares: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, Values]:
    """Least squares of scores (N,) on how visible each cell is, (N, n): the score of nothing, and each cell's worth.

    A slight ridge keeps it defined with fewer masks than cells.
    """
    means = shares.mean(0)
    centred = shares - means
    square = centred.T @ centred + RIDGE * np.eye(shares.shape[1])
    worth: Values = np.linalg.solve(square, centred.T @ (scores - scores.mean()))
    return float(scores.mean() - means @ worth), worth
