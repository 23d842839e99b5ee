"""Does a concept move the score beyond chance? The same number for pictures that are no concept.

As many of the random pictures as the concept has are drawn again and again, and taken for a concept against the rest of
them. If the concept is like any other pictures, its number is one among these, so p, the share that are as far from
their mean, is at most 0.05 in about one of 20 cases (measured in the tests). The concept's own pictures are not among
those that are drawn: a few of them more in one draw than in its counterpart would turn its vector to the concept.

The published test instead compares the scores of one concept against several random sets with those of random sets
against each other, by Student's t. The former share the concept's pictures and so are alike whatever these show, so it
calls random folders significant far more often than it says. It is kept for comparison, with how often it errs here.

What is tested is the mean cosine between the gradient of the score and the vector, not the share of positive ones (the
TCAV score): where the score is nearly linear in the layer, every direction, a random one too, has a share near 0 or 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_ind

from relax.concepts.vectors import Vector, concept_vector

LEVEL = 0.05


@dataclass(frozen=True)
class Trial:
    """One set of pictures taken as a concept, against several draws of other pictures.

    Attributes:
        vectors: R CAVs.
        scores: (R,) share of the pictures in question whose score rises along each vector: TCAV scores.
        cosines: (N, R) between each picture's gradient and each vector.
    """

    vectors: tuple[Vector, ...]
    scores: NDArray[np.float64]
    cosines: NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the vectors on held-out pictures."""
        return float(np.mean([vector.accuracy for vector in self.vectors]))

    @property
    def sensitivity(self) -> float:
        """Mean cosine between gradient and vector, in [-1, 1]."""
        return float(self.cosines.mean())

    @property
    def direction(self) -> NDArray[np.float64]:
        """(P,) the mean of the vectors, of length 1."""
        mean = np.mean([vector.direction for vector in self.vectors], axis=0)
        length = float(np.linalg.norm(mean))
        return np.asarray(mean / length if length > 0 else mean)


@dataclass(frozen=True)
class Tested:
    """A concept beside pictures that are none.

    Attributes:
        trial: The concept's.
        shuffled: S of the draws, each a set of random pictures against the others.
    """

    trial: Trial
    shuffled: tuple[Trial, ...]

    @property
    def p(self) -> float:
        """Chance of a sensitivity as far from the mean of all, on either side."""
        values = np.array([self.trial.sensitivity, *(trial.sensitivity for trial in self.shuffled)])
        far = np.abs(values - values.mean())
        return float((far >= far[0] - 1e-12).mean())

    @property
    def accuracy_p(self) -> float:
        """Chance of so high an accuracy."""
        values = np.array([self.trial.accuracy, *(trial.accuracy for trial in self.shuffled)])
        return float((values >= values[0] - 1e-12).mean())

    def published(self) -> tuple[float, float]:
        """P of the published t-test, and how often it calls draws significant, which are no concept; NaN for few."""
        runs = len(self.trial.scores)
        if len(self.shuffled) < 2 * runs or runs < 2:
            return float("nan"), float("nan")
        independent = np.array([trial.scores[0] for trial in self.shuffled[:runs]])
        several = np.stack([self.trial.scores, *(trial.scores for trial in self.shuffled[runs:])])
        p, *others = _t_tests(several, independent)
        return float(p), float(np.mean(np.array(others) <= LEVEL))


def trial_of(
    concept: NDArray[np.float64],
    others: NDArray[np.float64],
    gradients: NDArray[np.float64],
    *,
    runs: int,
    fit: str,
    rng: np.random.Generator,
) -> Trial:
    """CAVs of a concept (m, P) against `runs` draws of m of the others (M, P), and what gradients (N, P) do along them.

    Gradients have at most length 1: they were divided by their length before they were brought into the space.
    """
    vectors = [
        concept_vector(concept, others[rng.permutation(len(others))[: len(concept)]], fit=fit, rng=rng)
        for _ in range(runs)
    ]
    cosines = gradients @ np.stack([vector.direction for vector in vectors]).T
    return Trial(tuple(vectors), (cosines > 0).mean(0), cosines)


def against_chance(
    concept: NDArray[np.float64],
    others: NDArray[np.float64],
    gradients: NDArray[np.float64],
    *,
    runs: int,
    shuffles: int,
    fit: str,
    seed: int,
    report: Callable[[int, int], None] | None = None,
) -> Tested:
    """A concept, and `shuffles` draws from the others, at least twice as many; arguments as for `trial_of`."""
    rng = np.random.default_rng(seed)

    def trials() -> Iterator[Trial]:
        yield trial_of(concept, others, gradients, runs=runs, fit=fit, rng=rng)
        for number in range(shuffles):
            if report is not None:
                report(number, shuffles)
            order = rng.permutation(len(others))
            drawn, rest = others[order[: len(concept)]], others[order[len(concept) :]]
            yield trial_of(drawn, rest, gradients, runs=runs, fit=fit, rng=rng)

    true, *shuffled = trials()
    return Tested(true, tuple(shuffled))


def corrected(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values of several concepts, corrected for their number (Benjamini & Hochberg, 1995)."""
    return np.asarray(false_discovery_control(p), dtype=np.float64)


def _t_tests(several: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) two-sided p of scores (K, R) against others (R,), without equal variances.

    Where neither side varies it is 1 if they are equal and else 0.
    """
    constant = (np.ptp(several, axis=1) < 1e-12) & (np.ptp(others) < 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scores that are all alike, which are set right here
        p = ttest_ind(several, np.broadcast_to(others, (len(several), len(others))), axis=1, equal_var=False).pvalue
    return np.asarray(np.where(constant, np.isclose(several[:, 0], others[0]), p), dtype=np.float64)
