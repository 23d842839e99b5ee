"""Groups of pictures that one encoder takes for near and another does not: spectral clustering of the difference graph.

The graph's Laplacian is normalised and regularised, so that pictures with hardly a link form no groups of their own.
Of several numbers of groups the one is taken that keeps most neighbours by the first encoder, and fewest by the second,
within groups: the modularity of one graph with the other in the place of chance.

    Q = sum over groups of m / n (share of the nearest in the group, by the first - by the second)

Sources: spectral clustering: Ng, Jordan & Weiss (NeurIPS 2001); regularised: Amini, Chen, Bickel & Levina (Annals of
Statistics 41, 2013); modularity: Newman & Girvan (Phys. Rev. E 69, 2004).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.differences.affinity import Values, difference_graph, links
from relax.differences.ranks import Ranks

MOST_GROUPS = 12  # that are tried
LEAST = 5  # pictures of a group
STARTS = 2  # of k-means

Members = NDArray[np.int64]


def difference_groups(
    near: Ranks, far: Ranks, k: int, *, count: int | None = None, seed: int = 0
) -> tuple[list[Members], Any]:
    """Groups of pictures that lie together by `near` and not by `far`, whether or not that goes beyond chance.

    Args:
        near: (n, n) ranks by the encoder that takes pairs for near.
        far: (n, n) by the other.
        k: Neighbours of each picture.
        count: Number of groups; None = the best of 1 to 12 by Q.
        seed: The only source of randomness.

    Returns:
        The places of the pictures of each group of at least 5, the strongest first (see `strength_of`), and the graph.
    """
    graph = difference_graph(near, far, k)
    linked = np.flatnonzero(np.asarray(graph.sum(1)).ravel() > 0)
    if len(linked) < 2 * LEAST:
        return [], graph
    numbers = [count] if count is not None else [*range(1, MOST_GROUPS + 1)]
    numbers = [number for number in numbers if number <= len(linked) // LEAST]
    axes = _axes(graph[linked][:, linked], max(numbers, default=1), seed)
    best, groups = -np.inf, []
    for number in numbers:
        labels = _labels(axes[:, :number], seed)
        candidates = [linked[labels == label] for label in range(number)]
        candidates = [members for members in candidates if len(members) >= LEAST]
        strengths = [strength_of(near, far, members, k) for members in candidates]
        quality = sum(len(members) * strength for members, strength in zip(candidates, strengths, strict=True))
        if quality > best:
            order = np.argsort([-strength for strength in strengths], kind="stable")
            best, groups = quality, [candidates[place] for place in order]
    return groups, graph


def strength_of(near: Ranks, far: Ranks, members: Members, k: int) -> float:
    """In [-1, 1]: the share of neighbours that a group keeps to itself by one encoder, less that by the other."""
    return float(links(near, members, k).mean() - links(far, members, k).mean())


def _axes(graph: Any, most: int, seed: int) -> Values:
    """(n, most) leading eigenvectors of the regularised, normalised graph, the largest eigenvalue first."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import eigsh

    degrees = np.asarray(graph.sum(1)).ravel()
    scale = diags(1 / np.sqrt(degrees + degrees.mean()))
    normalised = scale @ graph @ scale
    if len(degrees) <= 2 * most + 2:  # too small for Lanczos
        values, vectors = np.linalg.eigh(normalised.toarray())
    else:
        start = np.random.default_rng([seed, 2]).random(len(degrees))
        values, vectors = eigsh(normalised, k=most, which="LA", v0=start)
    leading: Values = vectors[:, np.argsort(-values, kind="stable")[:most]]
    return leading


def _labels(axes: Values, seed: int) -> NDArray[np.int64]:
    """(n,) of k-means on the rows, each of length 1, into as many groups as there are axes."""
    from sklearn.cluster import KMeans

    number = axes.shape[1]
    if number == 1:
        return np.zeros(len(axes), dtype=np.int64)
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    rows = axes / np.where(lengths > 0, lengths, 1)
    labels: NDArray[np.int64] = KMeans(number, n_init=STARTS, random_state=seed).fit_predict(rows).astype(np.int64)
    return labels
