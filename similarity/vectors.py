"""Checked vectors and ids, and similarities to them by the definition: the numpy part of an index."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 2**16  # vectors that are looked at, copied and added at once
MAX_LENGTH = 9e18  # squared distances between longer vectors overflow float32

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Lookup = Callable[[Ids], NDArray[Any]]
"""From ids (M,) to their vectors (M, D)."""


def shaped_vectors(vectors: Vectors, dimension: int | None, name: str = "vectors") -> Vectors:
    """The vectors, if they are (N, D) float32, of this dimension unless it is None; what they hold is not looked at.

    Raises:
        ValueError: Otherwise; the message begins with `name`.
    """
    vectors = np.asanyarray(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != (dimension or max(1, vectors.shape[1])):
        raise ValueError(f"{name} must be (N, {dimension or 'D'}), one per row; got {vectors.shape}")
    if vectors.dtype != np.float32:
        raise ValueError(f"{name} must be float32; got {vectors.dtype}: use .astype('float32')")
    return vectors


def checked_vectors(
    vectors: Vectors, dimension: int | None, name: str = "vectors", rows: Sequence[int] | Ids | None = None
) -> Vectors:
    """As `shaped_vectors`, if they are finite as well.

    Args:
        vectors: The vectors.
        dimension: Their length.
        name: What they are.
        rows: What their rows are called in the message; default 0 to N - 1.

    Raises:
        ValueError: Otherwise; the message begins with `name`.
    """
    vectors = shaped_vectors(vectors, dimension, name)
    for start in range(0, len(vectors), PIECE):
        lengths = _lengths(vectors[start : start + PIECE])
        if (bad := ~(lengths < MAX_LENGTH)).any():
            row = start + int(bad.argmax())
            called = row if rows is None else rows[row]
            raise ValueError(f"{name} must be finite and shorter than {MAX_LENGTH:g}; row {called} is not")
    return vectors


def forget(vectors: Vectors) -> None:
    """Tell the system that what was read of a memory-mapped array need not stay in memory; nothing else changes."""
    whole: Any = vectors
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    private = getattr(whole, "mode", "c") == "c"  # what was written to it is in memory alone
    if isinstance(whole.base, mmap.mmap) and not private and hasattr(mmap, "MADV_DONTNEED"):
        whole.base.madvise(mmap.MADV_DONTNEED)


def checked_ids(ids: Ids, count: int) -> Ids:
    """The ids as int64, if they are `count` different numbers from 0.

    Raises:
        ValueError: Otherwise.
    """
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    ascending = len(ids) == count and (np.diff(ids) > 0).all()
    if ids.shape != (count,) or (ids < 0).any() or not (ascending or len(np.unique(ids)) == count):
        raise ValueError(f"ids must be {count} different whole numbers, 0 or more, one per vector")
    return ids


def unit(vectors: Vectors) -> Vectors:
    """The vectors divided by their lengths; zero vectors stay zero."""
    lengths = _lengths(vectors)[:, None]
    out = np.zeros(vectors.shape, np.float32)
    return np.divide(vectors, lengths, out=out, where=lengths > 0, casting="same_kind")


def is_among(ids: Ids, ascending: Ids) -> NDArray[np.bool_]:
    """Which of these ids are among others, which are ascending."""
    if not len(ascending):
        return np.zeros(len(ids), bool)
    places = np.searchsorted(ascending, ids).clip(max=len(ascending) - 1)
    matches: NDArray[np.bool_] = ascending[places] == ids
    return matches


def exact_similarities(queries: Vectors, ids: Ids, lookup: Lookup, metric: str) -> Vectors:
    """(Q, k) float32 by the definition of the metric, summed in float64; -inf where the id is -1.

    Args:
        queries: (Q, D).
        ids: (Q, k), -1 where there is none.
        lookup: From ids to vectors.
        metric: "cosine" or "l2".
    """
    scores = np.full(ids.shape, -np.inf, np.float32)
    rows = max(1, 2**22 // max(1, ids.shape[1] * queries.shape[1]))  # 32 MiB of float64
    for start in range(0, len(queries), rows):
        chunk = ids[start : start + rows]
        row, column = np.nonzero(chunk >= 0)
        query = queries[start : start + rows].astype(np.float64)[row]
        neighbour = np.asarray(lookup(chunk[row, column]), dtype=np.float64)
        scores[start : start + rows][row, column] = _pairwise(query, neighbour, metric)
    return scores


def _pairwise(a: NDArray[np.float64], b: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """(M,) similarities between corresponding rows of two (M, D) arrays."""
    if metric == "l2":
        distance: NDArray[np.float64] = np.linalg.norm(a - b, axis=1)
        return 0 - distance  # never -0.0
    product = np.einsum("nd,nd->n", a, b)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine: NDArray[np.float64] = np.divide(product, lengths, out=np.zeros_like(product), where=lengths > 0)
    return cosine.clip(-1, 1)


def _lengths(vectors: Vectors) -> NDArray[np.float64]:
    """(N,) Euclidean lengths in float64, which neither overflow nor vanish."""
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return lengths
