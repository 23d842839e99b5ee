"""What differs between two encoders that only drew other features: the noise against which a difference is judged.

An encoder's features are a sample of what could have been computed of the same space. So its embeddings are projected
twice on as many random directions as they have numbers; the two see the same space, each with the noise of so many
features, and whatever groups are found between them mean nothing. How strong the strongest of these is says what
strength a group between the encoders themselves must exceed. It is not the noise of training an encoder again.

Source of random projections that keep similarities: Johnson & Lindenstrauss (1984); of judging the strongest of several
by the strongest under the null: Westfall & Young, Resampling-Based Multiple Testing (1993).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import unit
from relax.differences.affinity import Values, difference
from relax.differences.grouping import difference_groups, strength_of
from relax.differences.ranks import Ranks, rank_table

REDRAWS = 20
LEAST = 19  # for a p-value of 0.05
LEVEL = 0.05  # chance of a group where nothing differs
QUANTILE = 0.95  # of the pictures' scores, above which a picture counts as differing


@dataclass(frozen=True)
class Redraws:
    """Pairs of redrawn features of each encoder.

    Attributes:
        shared: (2, R) share of the k nearest that the two have in common, by encoder and draw.
        strongest: (2, R) strength of the strongest group in either direction; 0 where there is none.
        limit: The score that a twentieth of the pictures exceed, by the noisier encoder.
    """

    shared: Values
    strongest: Values
    limit: float

    def p_value(self, strength: float) -> float:
        """The chance of so strong a group where nothing differs, by the noisier encoder; at least 1 / (R + 1)."""
        above = (self.strongest >= strength).sum(1)
        return float((1 + above.max()) / (1 + self.strongest.shape[1]))

    @property
    def needed(self) -> float:
        """The strength that a group must exceed for a p-value of at most 0.05."""
        allowed = int(LEVEL * (1 + self.strongest.shape[1]) + 1e-9)
        return float(np.sort(self.strongest, axis=1)[:, -allowed].max())


def redrawn(
    spaces: tuple[NDArray[np.float32], NDArray[np.float32]],
    k: int,
    *,
    count: int | None = None,
    draws: int = REDRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Redraws:
    """Look for groups between two draws of the same encoder's features, by the same rules as between the encoders.

    Args:
        spaces: Embeddings (n, D) and (n, E) of the sample by each encoder.
        k: Neighbours of each picture.
        count: Number of groups, as for `difference_groups`.
        draws: How often, R, at least 19.
        seed: The only source of randomness.
        progress: Called with (draws done, draws).
    """
    shared, strongest = np.zeros((2, draws)), np.zeros((2, draws))
    limits = np.zeros((2, draws))
    for side, space in enumerate(spaces):
        for draw in range(draws):
            if progress is not None:
                progress(side * draws + draw, 2 * draws)
            random = np.random.default_rng([seed, 3, side, draw])
            first, second = (rank_table(_projected(space, random)) for _ in range(2))
            shared[side, draw] = shared_of(first, second, k)
            limits[side, draw] = np.quantile(scores_of(first, second, k), QUANTILE)
            for near, far in ((first, second), (second, first)):
                groups, _ = difference_groups(near, far, k, count=count, seed=seed)
                if groups:
                    strongest[side, draw] = max(strongest[side, draw], strength_of(near, far, groups[0], k))
    return Redraws(shared, strongest, float(limits.mean(1).max()))


def shared_of(first: Ranks, second: Ranks, k: int) -> float:
    """Mean share of the k nearest that two tables of ranks have in common."""
    both = (first > 0) & (first <= k) & (second <= k)
    return float(both.sum(1).mean() / k)


def scores_of(near: Ranks, far: Ranks, k: int) -> Values:
    """(n,) as `picture_scores`, from tables of ranks."""
    rows, columns = np.nonzero((near > 0) & (near <= k))
    parts = np.maximum(-difference(near[rows, columns], far[rows, columns]), 0)
    scores: Values = np.bincount(rows, parts, minlength=len(near)) / k
    return scores


def _projected(space: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """(n, D) projections of vectors of length 1 on as many random directions; their scale does not matter."""
    directions = random.standard_normal((space.shape[1],) * 2, dtype=np.float32)
    projected: NDArray[np.float32] = unit(space).astype(np.float32) @ directions
    return projected
