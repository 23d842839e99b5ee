"""Near-duplicates: images that the encoder can hardly distinguish.

Which cosine is suspicious depends on the encoder: in some spaces every pair has a cosine above 0.99. So the default
threshold is relative: a pair counts if its cosine distance is at most a hundredth of the typical distance to a nearest
neighbour (a tenth as an angle, since 1 - cos(a) is about a^2 / 2), or if it is a copy up to rounding. Pairs
are joined into groups: A and C belong together when both are close to B.

The pairs stand among the nearest neighbours, which are known. Only where all k of an image are that close may there be
more, and these images are compared with all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from relax.auditing.neighbours import BLOCK, Neighbours, unit

COPY = 1e-6  # cosine distance up to which two float32 embeddings count as equal
CLOSER = 100.0  # times closer, in cosine distance, than the typical nearest neighbour


@dataclass(frozen=True)
class Duplicates:
    """Groups of near-duplicates.

    Attributes:
        threshold: Cosine from which a pair counts.
        groups: Indices of the images of each group, two or more, largest group first.
        closest: (N,) int64, the nearest other image of each image.
        similarity: (N,) float64, the cosine to it.
    """

    threshold: float
    groups: tuple[tuple[int, ...], ...]
    closest: NDArray[np.int64]
    similarity: NDArray[np.float64]

    @property
    def extra(self) -> int:
        """Number of images beyond one of each group."""
        return sum(len(group) - 1 for group in self.groups)


def near_duplicates(
    embeddings: NDArray[np.float32], neighbours: Neighbours, threshold: float | None = None
) -> Duplicates:
    """Group the images whose cosine to each other is at or above a threshold.

    Args:
        embeddings: (N, D).
        neighbours: The nearest neighbours by cosine of each.
        threshold: Cosine from which a pair counts, in (-1, 1]; None is `default_threshold`.

    Raises:
        ValueError: If the threshold is no cosine, or the neighbours are of another metric.
    """
    if neighbours.metric != "cosine":
        raise ValueError(f"near-duplicates are found by cosine; got neighbours by {neighbours.metric}")
    if threshold is not None and not -1 < threshold <= 1:
        raise ValueError(f"threshold is the cosine from which a pair counts, in (-1, 1]; got {threshold}")
    limit = default_threshold(neighbours) if threshold is None else min(threshold, 1 - COPY)
    labels = _components(embeddings, neighbours, limit)
    order = np.argsort(labels, kind="stable")
    groups = (tuple(part.tolist()) for part in np.split(order, np.cumsum(np.bincount(labels))[:-1]) if len(part) > 1)
    return Duplicates(
        threshold=limit,
        groups=tuple(sorted(groups, key=lambda group: (-len(group), group))),
        closest=neighbours.indices[:, 0],
        similarity=neighbours.similarities[:, 0],
    )


def default_threshold(neighbours: Neighbours) -> float:
    """The cosine of the rule at the top of this module; copies are excluded from the typical distance."""
    distances = neighbours.distances[:, 0]
    apart = distances[distances > COPY]
    return 1 - max(COPY, float(np.median(apart)) / CLOSER) if apart.size else 1 - COPY


def _components(embeddings: NDArray[np.float32], neighbours: Neighbours, limit: float) -> NDArray[np.int64]:
    """(N,) the group of each image, joined block by block, so that memory grows with N, not N^2."""
    count, k = neighbours.indices.shape
    close = neighbours.similarities >= limit
    rows, places = np.nonzero(close)
    labels = _joined(np.arange(count), rows, neighbours.indices[rows, places])
    crowded = np.flatnonzero(close.all(1)) if k < count - 1 else np.array([], dtype=np.int64)
    vectors = unit(embeddings) if len(crowded) else np.empty((0, 0))
    for start in range(0, len(crowded), BLOCK):
        block = crowded[start : start + BLOCK]
        rows, columns = np.nonzero(vectors[block] @ vectors.T >= limit)
        labels = _joined(labels, block[rows], columns)
    return labels


def _joined(labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the groups, once these pairs of images are together."""
    pairs = np.unique(np.stack([labels[first], labels[second]]), axis=1)
    graph = coo_array((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(len(labels), len(labels)))
    joined: NDArray[np.int64] = connected_components(graph, directed=False)[1][labels].astype(np.int64)
    return joined
