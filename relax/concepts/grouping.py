"""Cells of a layer in groups that look alike to it, and how far the groups are those of another start.

"clusters" are spherical k-means, by the direction of a cell's activations; their number is chosen by the silhouette.
"nmf" are factors that are never negative; a cell belongs to the one that it has most of.

Sources: clusters of patches as concepts: ACE (Ghorbani et al., NeurIPS 2019); NMF of activations: CRAFT (Fel et al.,
CVPR 2023). Both group crops or segments of pictures; here the cells of the layer are grouped as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.clusters import find_clusters
from relax.inside.factors import factors_of

GROUPINGS = {"clusters": "spherical k-means", "nmf": "factors that are never negative"}
FACTORS = 6  # of NMF, unless their number is said
FITTED = 10_000  # cells that k-means is fitted to


@dataclass(frozen=True)
class Groups:
    """Groups of cells, the largest first.

    Attributes:
        vectors: (K, D) of length 1, the direction of each.
        labels: (n,) the group of each cell.
        strength: (n,) how much of its group a cell has: the cosine to its vector, or the factor's value.
        quality: Mean silhouette of clusters in [-1, 1]; NaN for NMF.
    """

    vectors: NDArray[np.float64]
    labels: NDArray[np.int64]
    strength: NDArray[np.float64]
    quality: float


@dataclass(frozen=True)
class Stability:
    """How far groups are found again from another start.

    Attributes:
        cosines: (K,) of each group's vector with that of its counterpart.
        agreement: Adjusted Rand index of the cells, 1 = the same groups, 0 = as by chance.
    """

    cosines: NDArray[np.float64]
    agreement: float


def group(cells: NDArray[np.float32], how: str, count: int | None, seed: int) -> Groups:
    """Group cells (n, D).

    Raises:
        ValueError: If the number is impossible, or cells are all alike.
    """
    if how == "nmf":
        return _factored(cells, count or FACTORS, seed)
    lengths = np.linalg.norm(cells, axis=1)
    alive = np.flatnonzero(lengths > 0)  # a cell of zeros has no direction
    drawn = np.random.default_rng(seed).permutation(alive)[:FITTED]
    if len(drawn) < 4:
        raise ValueError(f"layer must have 4 cells or more that are not all 0; got {len(drawn)}")
    clusters = find_clusters(cells[drawn], count=count, seed=seed)
    cosines = cells @ clusters.centres.T / np.where(lengths > 0, lengths, 1)[:, None]
    return _ordered(clusters.centres.astype(np.float64), cosines.argmax(1), cosines.max(1), clusters.silhouette)


def _factored(cells: NDArray[np.float32], count: int, seed: int) -> Groups:
    factors = factors_of(cells.T[:, None].astype(np.float32), "nmf", count, seed)
    if factors is None:
        raise ValueError("layer must tell cells apart; these are all alike")
    values = factors.maps[:, 0].T.astype(np.float64)
    return _ordered(factors.vectors.astype(np.float64), values.argmax(1), values.max(1), float("nan"))


def _ordered(
    vectors: NDArray[np.float64], labels: NDArray[np.int64], strength: NDArray[np.float64], quality: float
) -> Groups:
    order = np.argsort(-np.bincount(labels, minlength=len(vectors)), kind="stable")
    return Groups(vectors[order], np.argsort(order)[labels], strength.astype(np.float64), quality)


def stability(groups: Groups, again: Groups) -> Stability:
    """Compare groups of the same cells from two starts; counterparts are those with the largest sum of cosines."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    cosines = groups.vectors @ again.vectors.T
    rows, columns = linear_sum_assignment(-cosines)
    matched = np.full(len(groups.vectors), np.nan)
    matched[rows] = cosines[rows, columns]
    return Stability(matched, float(adjusted_rand_score(groups.labels, again.labels)))
