"""How alike two encoders lay out an archive, as two numbers with intervals: shared neighbours, and CKA.

CKA compares all similarities of pictures by one encoder with all by the other, and does not know rotations and scales.
Its estimate from n pictures is that of Song et al.'s unbiased HSIC, which does not grow with the number of features as
the plain one does. Intervals come from leaving out a twentieth of the pictures at a time (jackknife).

Sources: Kornblith, Norouzi, Lee & Hinton, Similarity of Neural Network Representations Revisited (ICML 2019); Song,
Smola, Gretton, Bedo & Borgwardt, Feature Selection via Dependence Maximization (JMLR 13, 2012); jackknife: Efron &
Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import unit
from relax.differences.affinity import Values, reach
from relax.differences.ranks import Ranks

PARTS = 20  # of the pictures, each left out once
LEAST = 4  # pictures of an unbiased HSIC


@dataclass(frozen=True)
class Agreement:
    """One number of how alike two encoders are.

    Attributes:
        value: 1 for equal ones.
        low, high: Ends of its 95 % interval over pictures of the same kind; NaN where it is not known.
        chance: What unrelated encoders have on average.
    """

    value: float
    low: float
    high: float
    chance: float

    def record(self) -> dict[str, Any]:
        """As JSON types."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def jackknifed(statistic: Callable[[NDArray[np.int64]], float], count: int) -> tuple[float, float, float]:
    """A number of pictures with its 95 % interval, by leaving out a twentieth of them at a time, as if never there.

    Neighbours depend on who else is there, and some pictures are near to many. So pictures cannot be drawn again one by
    one, as if their neighbours were independent: such an interval is too narrow.

    Args:
        statistic: From the numbers of pictures that are left to the number.
        count: Pictures, n.

    Returns:
        The number of all, and the ends; NaN for ends that are not known.
    """
    value = statistic(np.arange(count))
    parts = np.array_split(np.random.default_rng(0).permutation(count), min(PARTS, count // 2))
    if not math.isfinite(value) or len(parts) < 2 or count - len(parts[0]) < LEAST:
        return value, math.nan, math.nan
    others = np.array([statistic(np.setdiff1d(np.arange(count), part)) for part in parts])
    spread = others - others.mean()
    error = math.sqrt((len(parts) - 1) / len(parts) * float(spread @ spread))
    return value, value - 1.96 * error, value + 1.96 * error


def nearest_in(table: Ranks, rows: NDArray[np.int64], kept: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """(R, K): which of the kept pictures are among the k nearest of each row's, itself left out."""
    ranks = table[np.ix_(rows, kept)].copy()
    ranks[ranks == 0] = np.iinfo(ranks.dtype).max
    chosen = np.zeros(ranks.shape, dtype=bool)
    np.put_along_axis(chosen, np.argpartition(ranks, k - 1, axis=1)[:, :k], True, axis=1)
    return chosen


def shared_neighbours(a: Ranks, b: Ranks, k: int) -> Agreement:
    """The mean share of a picture's k nearest that both encoders have, from ranks (n, n) by each."""

    def share(kept: NDArray[np.int64]) -> float:
        both = nearest_in(a, kept, kept, k) & nearest_in(b, kept, kept, k)
        return float(both.sum(1).mean() / k)

    return Agreement(*jackknifed(share, len(a)), k / (len(a) - 1))


def kept_links(near: Ranks, far: Ranks, members: NDArray[np.int64], k: int) -> tuple[float, float, float]:
    """The strength of a group with its 95 % interval over pictures, of the group and others; the group is given."""

    def strength(kept: NDArray[np.int64]) -> float:
        inside = np.isin(kept, members)
        rows = kept[inside]
        if len(rows) < 2:
            return math.nan
        most = reach(len(rows), k)
        by_near, by_far = (nearest_in(table, rows, kept, most)[:, inside].sum(1).mean() / most for table in (near, far))
        return float(by_near - by_far)

    return jackknifed(strength, len(near))


def cka(a: NDArray[np.float32], b: NDArray[np.float32]) -> Agreement:
    """Linear CKA of the directions of embeddings (n, D) and (n, E) of the same pictures."""
    grams = [vectors @ vectors.T for vectors in (unit(a), unit(b))]
    value, low, high = jackknifed(lambda kept: _cka(*(gram[np.ix_(kept, kept)] for gram in grams)), len(a))
    return Agreement(value, low, min(1.0, high) if math.isfinite(high) else high, 0.0)


def _cka(first: Values, second: Values) -> float:
    both, own, other = (_hsic(a, b) for a, b in ((first, second), (first, first), (second, second)))
    return both / math.sqrt(own * other) if own > 0 and other > 0 else math.nan


def _hsic(first: Values, second: Values) -> float:
    """Unbiased estimate of the HSIC of two matrices of similarities (n, n), n at least 4 (Song et al., equation 4)."""
    n = len(first)
    if n < LEAST:
        return math.nan
    diagonals = np.diagonal(first), np.diagonal(second)
    rows = [gram.sum(1) - diagonal for gram, diagonal in zip((first, second), diagonals, strict=True)]
    trace = float(np.einsum("ij,ij->", first, second) - diagonals[0] @ diagonals[1])
    product = float(rows[0].sum() * rows[1].sum()) / ((n - 1) * (n - 2))
    return (trace + product - 2 / (n - 2) * float(rows[0] @ rows[1])) / (n * (n - 3))
