"""Outliers: images far from their neighbours for their cluster, and in a sparser place than their neighbours.

Two scores, since they detect different things. The mean distance to the k nearest neighbours is compared with that of
the other images of the cluster: with one limit for all, a loose cluster hides what is odd in a compact one, and is
flagged as a whole itself. The local outlier factor compares an image's density with that of its neighbours. Images are
ranked by the larger of the two, in robust standard deviations, whether or not any is extreme. Only the distance flags:
the local factor is so skewed that a limit of 3.5 would flag 2 to 7 % of a cloud without outliers.

Sources: Ramaswamy, Rastogi & Shim (SIGMOD 2000); Breunig, Kriegel, Ng & Sander, LOF (SIGMOD 2000); the robust z-score
and its limit of 3.5: Iglewicz & Hoaglin, How to Detect and Handle Outliers (1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from relax.auditing.duplicates import COPY
from relax.auditing.neighbours import BLOCK, Neighbours, unit

LIMIT = 3.5
MIN_CLUSTER = 20  # images for a median and spread of their own
NEAREST = np.sqrt(2 * COPY)  # the least distance in the local factor: amid more than k copies, density has no end


@dataclass(frozen=True)
class Outliers:
    """Outlier scores of every image.

    Attributes:
        distance: (N,) mean cosine distance to the k nearest neighbours.
        robust_z: (N,) the logarithm of the distance, in robust standard deviations from the median; 0 where all
            distances are the same.
        cluster_z: (N,) the same from the median of its cluster; `robust_z` in clusters of fewer than 20 images.
        local_factor: (N,) local outlier factor; about 1 inside a cluster, well above 1 outside.
        score: (N,) how unusual: the larger of `cluster_z` and the robust z of the factor's logarithm.
        ranked: All images, highest score first.
        flagged: Those with a `cluster_z` above 3.5, highest score first.
    """

    distance: NDArray[np.float64]
    robust_z: NDArray[np.float64]
    cluster_z: NDArray[np.float64]
    local_factor: NDArray[np.float64]
    score: NDArray[np.float64]
    ranked: tuple[int, ...]
    flagged: tuple[int, ...]


def outliers(embeddings: NDArray[np.float32], neighbours: Neighbours, labels: NDArray[np.int64]) -> Outliers:
    """Score every image by its cosine neighbours.

    Args:
        embeddings: (N, D).
        neighbours: Their k nearest neighbours by cosine.
        labels: (N,) the cluster of each.
    """
    distance = neighbours.distances.mean(1)
    logarithm = np.log(np.maximum(distance, 1e-12))  # ratios of distances matter; copies have distance 0
    z = robust_z(logarithm)
    cluster_z = z.copy()
    for label in np.flatnonzero(np.bincount(labels) >= MIN_CLUSTER):
        cluster_z[labels == label] = robust_z(logarithm[labels == label])
    factor = _local_factor(embeddings, neighbours)
    score = np.maximum(cluster_z, robust_z(np.log(factor)))
    ranked = np.argsort(-score, kind="stable")
    flagged = ranked[cluster_z[ranked] > LIMIT]
    return Outliers(distance, z, cluster_z, factor, score, tuple(ranked.tolist()), tuple(flagged.tolist()))


def _local_factor(embeddings: NDArray[np.float32], neighbours: Neighbours) -> NDArray[np.float64]:
    """(N,) the local outlier factor by distances of unit vectors, from neighbours that are known already."""
    from sklearn.neighbors import LocalOutlierFactor

    count, k = neighbours.indices.shape
    others = np.column_stack([np.arange(count), neighbours.indices])  # itself first, as scikit-learn expects
    distances = np.zeros((count, k + 1))
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        vectors = unit(embeddings[others[part].reshape(-1)]).reshape(*others[part].shape, -1)
        distances[part] = np.linalg.norm(vectors - vectors[:, :1], axis=-1)
    distances[:, 1:] = np.maximum(distances[:, 1:], NEAREST)
    distances.sort(axis=1)  # of nearly the same cosine, rounding may exchange two
    graph = csr_array((distances.reshape(-1), others.reshape(-1), np.arange(count + 1) * (k + 1)), (count, count))
    model = LocalOutlierFactor(n_neighbors=k, metric="precomputed").fit(graph)
    factor: NDArray[np.float64] = -model.negative_outlier_factor_
    return factor


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance from the median in units of 1.4826 MAD, which is the standard deviation of a normal law."""
    centred = values - np.median(values)
    scale = 1.4826 * float(np.median(np.abs(centred)))
    return centred / scale if scale > 0 else np.zeros_like(values)
