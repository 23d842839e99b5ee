"""Exact nearest neighbours of images, from which most analyses of the space start.

FAISS finds candidates in float32; their similarities are then computed again in float64 and sorted, so that the result
does not depend on the order of summation. The time grows with the square of the number of images (100,000 of 384
numbers: minutes of one core), memory does not: beside the embeddings, two copies of them. So this is done for all
images once, and what else needs neighbours asks for those of a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPARE = 8  # candidates beyond k: float32 may rank close ones wrongly
BLOCK = 256  # rows at a time
SEARCH = 2048  # rows in one search of FAISS, which takes the lengths of all vectors each time


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other images of every image, or of some.

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

    def of(self, images: NDArray[np.int64]) -> Neighbours:
        """Those of some images (M,), from those of every image."""
        return Neighbours(self.metric, self.indices[images], self.similarities[images])


def nearest(
    embeddings: NDArray[np.float32],
    k: int = 10,
    metric: str = "cosine",
    *,
    of: NDArray[np.int64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """Find the k nearest other images, exactly.

    Args:
        embeddings: (N, D) finite.
        k: Neighbours of each image; at most N - 1.
        metric: "cosine" or "l2".
        of: (M,) the images whose neighbours are sought, among all; None is every image.
        progress: Called with (images done, images).

    Returns:
        The neighbours, a row for each of `of`; among equally close ones, the first in the table wins.

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
    lengths = _lengths(embeddings) if metric == "cosine" else np.ones(count)

    def vectors(images: NDArray[np.int64]) -> NDArray[np.float64]:
        return embeddings[images].astype(np.float64) / lengths[images][..., None]

    # On unit vectors both metrics give the same order. Centring keeps FAISS's float32 squares small.
    every = np.arange(count)
    parts = np.split(every, range(SEARCH, count, SEARCH))
    centre = sum((vectors(part).sum(0) for part in parts), np.zeros(embeddings.shape[1])) / count
    index = faiss.IndexFlatL2(embeddings.shape[1])
    for part in parts:
        index.add((vectors(part) - centre).astype(np.float32))
    of = every if of is None else of
    indices = np.empty((len(of), k), dtype=np.int64)
    similarities = np.empty((len(of), k))
    for first in range(0, len(of), SEARCH):
        if progress is not None:
            progress(first, len(of))
        queries = of[first : first + SEARCH]
        _, hits = index.search((vectors(queries) - centre).astype(np.float32), min(k + 1 + SPARE, count))
        for start in range(0, len(queries), BLOCK):
            rows, candidates = queries[start : start + BLOCK], np.sort(hits[start : start + BLOCK], axis=1)
            others, own = vectors(candidates), vectors(rows)
            if metric == "cosine":
                close = np.einsum("nkd,nd->nk", others, own).clip(-1, 1)
            else:
                close = -np.linalg.norm(others - own[:, None], axis=-1)
            close[candidates == rows[:, None]] = -np.inf
            order = np.argsort(-close, axis=1, kind="stable")[:, :k]
            place = slice(first + start, first + start + len(rows))
            indices[place] = np.take_along_axis(candidates, order, axis=1)
            similarities[place] = np.take_along_axis(close, order, axis=1)
    return Neighbours(metric, indices, similarities)


def agreement(first: Neighbours, second: Neighbours) -> NDArray[np.float64]:
    """(N,) in [0, 1]: the share of each image's k nearest neighbours that two metrics have in common.

    Both are of the same images in the same order.

    Raises:
        ValueError: If the two are of different sizes.
    """
    if first.indices.shape != second.indices.shape:
        raise ValueError(f"neighbours must have one shape (N, k); got {first.indices.shape} and {second.indices.shape}")
    same = first.indices[:, :, None] == second.indices[:, None, :]
    shares: NDArray[np.float64] = same.sum((1, 2)) / first.indices.shape[1]
    return shares


def unit(embeddings: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, D) float64 of length 1; a zero vector stays zero."""
    vectors: NDArray[np.float64] = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def directions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) float32 of length 1, as `unit` has them, in half the memory."""
    lengths = _lengths(embeddings)
    vectors = np.empty(embeddings.shape, dtype=np.float32)
    for start in range(0, len(embeddings), SEARCH):
        part = slice(start, start + SEARCH)
        vectors[part] = embeddings[part].astype(np.float64) / lengths[part, None]
    return vectors


def _lengths(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) lengths of the embeddings; 1 for a zero vector, which stays zero when it is divided by it."""
    lengths = np.empty(len(embeddings))
    for start in range(0, len(embeddings), SEARCH):
        lengths[start : start + SEARCH] = np.linalg.norm(embeddings[start : start + SEARCH].astype(np.float64), axis=1)
    return np.where(lengths > 0, lengths, 1.0)


def check(embeddings: NDArray[np.float32]) -> None:
    """Refuse anything but a table of finite embeddings.

    Raises:
        ValueError: If it is not (N, D) with N at least 2, or holds NaN or infinity.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings must be (N, D) with N at least 2; got {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"embeddings must be finite; {np.count_nonzero(~np.isfinite(embeddings))} entries are not")
