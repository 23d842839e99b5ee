"""Exact nearest neighbours of every image, from which most analyses of the space start.

FAISS finds candidates in float32; their similarities are then computed again in float64 and sorted, so that the result
does not depend on the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPARE = 8  # candidates beyond k: float32 may rank close ones wrongly
BLOCK = 256  # rows at a time


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other images of every image.

    Attributes:
        metric: "cosine" or "l2".
        indices: (N, k) int64, nearest first; an image is not its own neighbour, but an exact copy of it is.
        similarities: (N, k) float64, higher = closer: cosine in [-1, 1], or negative Euclidean distance.
    """

    metric: str
    indices: NDArray[np.int64]
    similarities: NDArray[np.float64]

    @property
    def distances(self) -> NDArray[np.float64]:
        """(N, k) at least 0: 1 - cosine, or Euclidean distance."""
        return 1 - self.similarities if self.metric == "cosine" else -self.similarities


def nearest(embeddings: NDArray[np.float32], k: int = 10, metric: str = "cosine") -> Neighbours:
    """Find the k nearest other images of every image, exactly.

    Args:
        embeddings: (N, D) finite.
        k: Neighbours of each image; at most N - 1.
        metric: "cosine" or "l2".

    Returns:
        The neighbours; among equally close ones, the first in the table wins.

    Raises:
        ValueError: For another shape, NaN, an unknown metric or an impossible k.
    """
    import faiss

    check(embeddings)
    count = len(embeddings)
    if metric not in ("cosine", "l2"):
        raise ValueError(f"metric must be cosine or l2; got {metric!r}")
    if not 1 <= k < count:
        raise ValueError(f"k must be from 1 to {count - 1}, below the number of embeddings; got {k}")
    vectors = unit(embeddings) if metric == "cosine" else embeddings.astype(np.float64)
    # On unit vectors both metrics give the same order. Centring keeps FAISS's float32 squares small.
    index = faiss.IndexFlatL2(vectors.shape[1])
    stored = np.ascontiguousarray(vectors - vectors.mean(0), dtype=np.float32)
    index.add(stored)
    indices = np.empty((count, k), dtype=np.int64)
    similarities = np.empty((count, k))
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        _, candidates = index.search(stored[rows], min(k + 1 + SPARE, count))
        candidates = np.sort(candidates, axis=1)
        others = vectors[candidates]
        if metric == "cosine":
            close = np.einsum("nkd,nd->nk", others, vectors[rows]).clip(-1, 1)
        else:
            close = -np.linalg.norm(others - vectors[rows][:, None], axis=-1)
        close[candidates == rows[:, None]] = -np.inf
        order = np.argsort(-close, axis=1, kind="stable")[:, :k]
        indices[rows] = np.take_along_axis(candidates, order, axis=1)
        similarities[rows] = np.take_along_axis(close, order, axis=1)
    return Neighbours(metric, indices, similarities)


def agreement(first: Neighbours, second: Neighbours) -> NDArray[np.float64]:
    """(N,) in [0, 1]: the share of each image's k nearest neighbours that two metrics have in common.

    Raises:
        ValueError: If the two are of different sizes.
    """
    if first.indices.shape != second.indices.shape:
        raise ValueError(f"neighbours must have one shape (N, k); got {first.indices.shape} and {second.indices.shape}")
    common = [np.intersect1d(a, b).size for a, b in zip(first.indices, second.indices, strict=True)]
    shares: NDArray[np.float64] = np.array(common) / first.indices.shape[1]
    return shares


def unit(embeddings: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, D) float64 of length 1; a zero vector stays zero."""
    vectors: NDArray[np.float64] = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def check(embeddings: NDArray[np.float32]) -> None:
    """Refuse anything but a table of finite embeddings.

    Raises:
        ValueError: If it is not (N, D) with N at least 2, or holds NaN or infinity.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings must be (N, D) with N at least 2; got {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"embeddings must be finite; {np.count_nonzero(~np.isfinite(embeddings))} entries are not")
