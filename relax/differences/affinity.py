"""How much more alike one encoder takes two pictures for than another: from ranks to a graph of differences.

    G = tanh(gamma (r_near - r_far) / min(r_near, r_far))       in (-1, 1); below 0: nearer by the first encoder
    F = (exp(-beta G) - 1) / (exp(beta) - 1)                    where G < 0, otherwise 0; in [0, 1)

The first line is the locally biased difference of RDX, with ranks as distances: a change from rank 1 to 10 counts as
much as one from 10 to 100. The second is the paper's affinity exp(-beta G), less that of pairs that do not differ, so
that only pairs that do are linked and the graph is sparse: from every picture to its k nearest by the first encoder.

Source: Kondapaneni, Mac Aodha & Perona, Representational Difference Explanations (NeurIPS 2025, arXiv 2505.23917).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.differences.ranks import Ranks, Sight

GAMMA, BETA = 0.1, 5.0  # of the paper's experiments

Values = NDArray[np.float64]


def difference(near: NDArray[np.integer], far: NDArray[np.integer]) -> Values:
    """G of pairs with these ranks, from 1, by the encoder that may take them for near and by the other."""
    first, second = near.astype(np.float64), far.astype(np.float64)
    squashed: Values = np.tanh(GAMMA * (first - second) / np.minimum(first, second))
    return squashed


def affinity(differences: Values) -> Values:
    """F of pairs, from G."""
    weights: Values = np.expm1(-BETA * np.minimum(differences, 0.0)) / np.expm1(BETA)
    return weights


def picture_scores(sight: Sight) -> Values:
    """(N,) in [0, 1]: the mean of -G over the k nearest by one encoder, counting pairs nearer by the other as 0."""
    ranks = np.arange(1, sight.nearest.shape[1] + 1)[None]
    scores: Values = np.maximum(-difference(np.broadcast_to(ranks, sight.elsewhere.shape), sight.elsewhere), 0).mean(1)
    return scores


def difference_graph(near: Ranks, far: Ranks, k: int) -> Any:
    """(n, n) symmetric sparse matrix (scipy CSR) of F: means over both directions, of the k nearest by `near`.

    Args:
        near: (n, n) ranks by the encoder that takes pairs for near.
        far: (n, n) by the other.
        k: Neighbours of each picture.
    """
    from scipy.sparse import csr_matrix

    rows, columns = np.nonzero((near > 0) & (near <= k))
    weights = affinity(difference(near[rows, columns], far[rows, columns]))
    graph = csr_matrix((weights, (rows, columns)), shape=near.shape)
    graph.eliminate_zeros()
    return (graph + graph.T) / 2


def links(near: Ranks, members: NDArray[np.int64], k: int) -> Values:
    """(m,) share of the nearest pictures of each member of a group, see `reach`, that belong to the group."""
    inside, most = near[np.ix_(members, members)], reach(len(members), k)
    shares: Values = ((inside > 0) & (inside <= most)).sum(1) / most
    return shares


def reach(count: int, k: int) -> int:
    """How many of the nearest count for a group of so many: k, or as many as it has other pictures, if these are more.

    A large group then has many links, and the share of them that it keeps little noise.
    """
    return max(k, count - 1)
