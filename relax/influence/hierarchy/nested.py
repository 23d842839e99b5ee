"""Groups within groups: agglomerative clustering, cut at several levels, and where further points belong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LINKAGES = {
    "ward": "joins the two groups whose union adds least to the variance within groups (Ward, 1963)",
    "average": "joins the two groups with the least mean distance between their pictures",
}


def nested_groups(points: NDArray[np.float64], levels: Sequence[int], linkage: str) -> NDArray[np.int64]:
    """(S, L) group of each of (S, D) points at each level; every level divides groups of the one before.

    Args:
        points: As they are: scale them before.
        levels: Numbers of groups, increasing, at most S.
        linkage: One of `LINKAGES`, by Euclidean distance.

    Returns:
        Groups are numbered from 0 at each level, the largest first.
    """
    from scipy.cluster.hierarchy import cut_tree
    from scipy.cluster.hierarchy import linkage as linked
    from scipy.spatial.distance import squareform
    from sklearn.metrics import euclidean_distances

    distances = euclidean_distances(points)
    np.fill_diagonal(distances, 0)
    joins = linked(squareform(distances, checks=False), linkage)
    cuts = cut_tree(joins, n_clusters=list(levels))
    return np.stack([_by_size(cut) for cut in cuts.T], axis=1)


def means_of(vectors: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, D) the mean of each group, for (N,) groups 0 to K - 1, none of them empty."""
    sums = np.zeros((int(groups.max()) + 1, vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    return sums / np.bincount(groups)[:, None]


def placed(points: NDArray[np.float64], known: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, L) groups of further points: that of the nearest mean at the last level, and those which hold it.

    Args:
        points: (N, D).
        known: (S, D), which have groups.
        groups: (S, L) of `nested_groups`.
    """
    from sklearn.metrics import pairwise_distances_argmin

    finest = groups[:, -1]
    _, first = np.unique(finest, return_index=True)
    labels: NDArray[np.int64] = groups[first][pairwise_distances_argmin(points, means_of(known, finest))]
    return labels


def _by_size(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(-np.bincount(groups), kind="stable")
    return np.argsort(order)[groups].astype(np.int64)
