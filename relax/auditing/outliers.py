"""Outliers: images far from everything else, and images in a sparser place than their neighbours.

Two scores, since they detect different things. The mean distance to the k nearest neighbours is large for an image far
from all others; the local outlier factor compares an image's density with that of its neighbours, so it also detects
an image just outside a compact cluster.

Sources: Ramaswamy, Rastogi & Shim (SIGMOD 2000); Breunig, Kriegel, Ng & Sander, LOF (SIGMOD 2000); the robust z-score
and its limit of 3.5: Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import Neighbours, unit

LIMIT = 3.5


@dataclass(frozen=True)
class Outliers:
    """Outlier scores of every image.

    Attributes:
        distance: (N,) mean cosine distance to the k nearest neighbours.
        robust_z: (N,) the logarithm of the distance, in robust standard deviations from the median; 0 where all
            distances are the same.
        local_factor: (N,) local outlier factor; about 1 inside a cluster, well above 1 outside.
        flagged: Indices with a robust z above 3.5, farthest first.
    """

    distance: NDArray[np.float64]
    robust_z: NDArray[np.float64]
    local_factor: NDArray[np.float64]
    flagged: tuple[int, ...]


def outliers(embeddings: NDArray[np.float32], neighbours: Neighbours) -> Outliers:
    """Score every image by its cosine neighbours.

    Args:
        embeddings: (N, D).
        neighbours: Their k nearest neighbours by cosine.
    """
    from sklearn.neighbors import LocalOutlierFactor

    distance = neighbours.distances.mean(1)
    z = robust_z(np.log(np.maximum(distance, 1e-12)))  # ratios of distances matter; copies have distance 0
    k = neighbours.indices.shape[1]
    factor = -LocalOutlierFactor(n_neighbors=k).fit(unit(embeddings)).negative_outlier_factor_
    far = np.flatnonzero(z > LIMIT)
    return Outliers(distance, z, factor, tuple(far[np.argsort(-distance[far], kind="stable")].tolist()))


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance from the median in units of 1.4826 MAD, which is the standard deviation of a normal law."""
    centred = values - np.median(values)
    scale = 1.4826 * float(np.median(np.abs(centred)))
    return centred / scale if scale > 0 else np.zeros_like(values)
