"""A vector as a mixture of others: weights that are not negative and add up to 1, closest in squared distance.

The mixture is the point of the convex hull of the vectors that is nearest to the target. With the target as the origin
that is the point of least norm, which non-negative least squares finds exactly: the u >= 0 with the least
|B u|^2 + (1 - sum u)^2 is a multiple of it, whatever the scale of B (Lawson & Hanson, 1974, chapter 23).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.float64]
NOTHING = 1e-6  # of a mixture: smaller weights are the rounding of float32 embeddings


def mixture_weights(vectors: ArrayLike, target: ArrayLike) -> Weights:
    """The weights of the mixture of `vectors` (N, D) that is nearest to `target` (D,).

    Returns:
        (N,) float64, each 0 or more, with a sum of 1; at most D + 1 are not 0. Where several mixtures are as near, one.

    Raises:
        ValueError: If there is no vector, a shape is another, or a value is not finite.
    """
    from scipy.optimize import nnls

    rows, goal = np.asarray(vectors, np.float64), np.asarray(target, np.float64)
    if rows.ndim != 2 or 0 in rows.shape or goal.shape != rows.shape[1:]:
        raise ValueError(f"vectors must be (N, D) and target (D,); got {rows.shape} and {goal.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(goal).all()):
        raise ValueError("vectors and target must be finite; got NaN or infinity")
    away = (rows - goal).T  # (D, N)
    scale = np.sqrt(np.square(away).sum(0).mean())
    if scale == 0:  # all of them are the target
        return np.full(len(rows), 1 / len(rows))
    system = np.vstack([away / scale, np.ones(len(rows))])
    weights: Weights = nnls(system, np.append(np.zeros(len(goal)), 1.0))[0]
    weights[weights < NOTHING * weights.sum()] = 0
    weights /= weights.sum()
    return weights


def sparse_mixture(vectors: ArrayLike, target: ArrayLike, most: int, full: Weights | None = None) -> Weights:
    """As `mixture_weights`, with at most `most` weights above 0.

    Those of the largest weights of the full mixture, fitted again by themselves: not always the best `most` of all.
    `full` is that mixture, if it is known.
    """
    rows = np.asarray(vectors, np.float64)
    full = mixture_weights(rows, target) if full is None else full
    kept = np.sort(np.argsort(-full, kind="stable")[:most])
    kept = kept[full[kept] > 0]
    if len(kept) == np.count_nonzero(full):
        return full
    weights = np.zeros(len(rows))
    weights[kept] = mixture_weights(rows[kept], target)
    return weights
