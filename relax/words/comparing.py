"""Several methods on one text, judged without labels: words are hidden in the order of each, and the similarity falls.

The faster it falls when the words of the largest effect go first, and the longer it stays when those of the smallest go
first, the better a method says what the embedding rests on. Chance stands beside them.

Source: deletion, RISE (Petsiuk, Das & Saenko, BMVC 2018), for both orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from relax.estimators.budget import Progress
from relax.progress import Silent
from relax.text import names_of, one_of
from relax.words.explanation import TextExplanation
from relax.words.question import TextQuestion
from relax.words.tables import METHODS

CHANCE = "chance"
ORDERS = 20  # random orders that stand for chance


@dataclass(frozen=True)
class TextComparison:
    """What several methods say of one text.

    Attributes:
        explanations: By method.
        first: By method, and for "chance", the mean similarity while words are hidden, those of the largest effect
            first: lower is better.
        last: The same with those of the smallest effect first: higher is better.
        alike: (M, M) Spearman's correlation of the effects of the methods; NaN for fewer than three words.
    """

    explanations: dict[str, TextExplanation]
    first: dict[str, float]
    last: dict[str, float]
    alike: NDArray[np.float64]

    def record(self) -> dict[str, Any]:
        """All of it but the explanations, as JSON types."""
        alike = [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in self.alike]
        rows = {name: {"largest_first": self.first[name], "smallest_first": self.last[name]} for name in self.first}
        return {"methods": list(self.explanations), "hiding": rows, "spearman": alike}


def compare_text_methods(
    question: TextQuestion,
    methods: Sequence[str] = tuple(METHODS),
    *,
    seed: int = 0,
    progress: Progress | Silent | None = None,
    **options: Any,
) -> TextComparison:
    """Ask several methods the same.

    Args:
        question: The text, the encoder and what it is compared with.
        methods: Names of `METHODS`.
        seed: The only source of randomness.
        progress: As for `explain_text`, for each method.
        options: `masks` and `keep`.

    Raises:
        ValueError: If a method is unknown or an option impossible, or the text has one word.
    """
    names = [one_of("methods", name, METHODS) for name in names_of("methods", methods)]
    read = question.parts.read
    if read.sum() < 2:
        raise ValueError(f"methods are compared on two {question.parts.by} or more; the text has {int(read.sum())}")
    explanations = {
        name: question.answered(name, seed=seed, progress=progress, **options) for name in dict.fromkeys(names)
    }
    effects = {name: explained.effect[read] for name, explained in explanations.items()}
    first = {name: _area(question, [np.argsort(-values, kind="stable")]) for name, values in effects.items()}
    last = {name: _area(question, [np.argsort(values, kind="stable")]) for name, values in effects.items()}
    rng = np.random.default_rng(seed)
    first[CHANCE] = last[CHANCE] = _area(question, [rng.permutation(int(read.sum())) for _ in range(ORDERS)])
    return TextComparison(explanations, first, last, _alike(list(effects.values())))


def _area(question: TextQuestion, orders: Sequence[NDArray[np.int64]]) -> float:
    """The mean similarity while parts are hidden one after the other, from none to all, by trapezoids."""
    areas = []
    for order in orders:
        ranks = torch.from_numpy(np.argsort(order))
        steps = torch.arange(len(order) + 1)
        curve = question.score((ranks >= steps[:, None]).float()).numpy()
        areas.append(float(np.trapezoid(curve) / len(order)))
    return float(np.mean(areas))


def _alike(effects: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    count = len(effects)
    alike = np.full((count, count), np.nan)
    for row, effect in enumerate(effects):
        for column, other in enumerate(effects):
            if len(effect) > 2 and np.ptp(effect) > 0 and np.ptp(other) > 0:
                alike[row, column] = spearmanr(effect, other).statistic
    return alike
