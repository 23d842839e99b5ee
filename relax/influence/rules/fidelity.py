"""How far rules agree with what they describe, on pictures that they have not seen, beside chance.

Labels: the share of pictures for which both say the same, with Wilson's interval. Numbers: R^2, with a percentile
interval of the bootstrap over pictures; 0 is what their mean would reach. Chance is the mean when the truth is shuffled
among the pictures, and p the share of shuffles that agree as well, (1 + hits) / (1 + S) (Phipson & Smyth, 2010).

Source: fidelity of a surrogate (Craven & Shavlik, NeurIPS 1996), or completeness to the explained model (Gilpin et al.,
DSAA 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.metrics.summary import wilson

SHUFFLES, RESAMPLES = 999, 1000
LEVEL = 0.05


@dataclass(frozen=True)
class Fidelity:
    """Agreement on held-out pictures.

    Attributes:
        kind: "labels" (share that agrees, in [0, 1]) or "numbers" (R^2, at most 1).
        value: Of the rules.
        low, high: Its 95 % interval.
        chance: The mean over shuffles of the truth.
        largest: Share of the largest label, which one rule for all would reach; 0 for numbers.
        p: Share of shuffles that agree as well.
        pictures: How many were held out.
    """

    kind: str
    value: float
    low: float
    high: float
    chance: float
    largest: float
    p: float
    pictures: int

    @property
    def beyond_chance(self) -> bool:
        """Whether p is at most 0.05."""
        return self.p <= LEVEL

    def __str__(self) -> str:
        if self.kind == "labels":
            value, low, high, chance = (f"{x:.1%}" for x in (self.value, self.low, self.high, self.chance))
            text = f"The rules agree for {value} ({low} to {high}) of {self.pictures} pictures that they have not seen"
            beside = f"chance {chance}, the largest label alone {self.largest:.1%}"
        else:
            text = f"R² is {self.value:.2f} ({self.low:.2f} to {self.high:.2f}) on {self.pictures} pictures not seen"
            beside = f"chance {self.chance:.2f}, the mean alone 0"
        verdict = "" if self.beyond_chance else " That is no more than chance: read nothing into the rules."
        return f"{text}; {beside} (p = {self.p:.3f}).{verdict}"


def fidelity_of(truth: NDArray[Any], said: NDArray[Any], seed: int) -> Fidelity:
    """Agreement of (M,) labels or numbers with what the rules say of the same pictures."""
    rng = np.random.default_rng(seed)
    is_label = truth.dtype.kind == "U"
    score = _agreement if is_label else _r_squared
    value = score(truth, said)
    shuffled = np.array([score(rng.permutation(truth), said) for _ in range(SHUFFLES)])
    p = (1 + int((shuffled >= value - 1e-12).sum())) / (1 + SHUFFLES)
    if is_label:
        low, high = wilson(value, len(truth))
        largest = float(np.unique(truth, return_counts=True)[1].max() / len(truth))
        return Fidelity("labels", value, low, high, float(shuffled.mean()), largest, p, len(truth))
    drawn = rng.integers(0, len(truth), (RESAMPLES, len(truth)))
    low, high = np.nanquantile([_r_squared(truth[rows], said[rows]) for rows in drawn], [0.025, 0.975])
    return Fidelity("numbers", value, float(low), float(high), float(shuffled.mean()), 0.0, p, len(truth))


def _agreement(truth: NDArray[Any], said: NDArray[Any]) -> float:
    return float((truth == said).mean())


def _r_squared(truth: NDArray[Any], said: NDArray[Any]) -> float:
    spread = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(truth - said).sum()) / spread if spread else float("nan")
