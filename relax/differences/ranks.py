"""How near pictures are to one another in a space, as ranks among a sample: 1 is the nearest other picture.

Ranks are comparable between encoders whose similarities are not. They are counted among a sample of at most `SAMPLE`
pictures, so that a table of all pairs is small, and every picture outside it is ranked against the same sample.

Source of ranks as distances that two encoders share: Kondapaneni, Mac Aodha & Perona, Representational Difference
Explanations (NeurIPS 2025, arXiv 2505.23917), section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import unit

SAMPLE = 2000  # pictures of which all pairs are ranked
BLOCK = 512  # rows at a time

Ranks = NDArray[np.int32]


def sample_of(count: int, seed: int, most: int = SAMPLE) -> NDArray[np.int64]:
    """(n,) ascending numbers of the pictures of the sample: all of them, or `most` drawn without replacement."""
    return np.sort(np.random.default_rng([seed, 1]).permutation(count)[:most])


def rank_table(embeddings: NDArray[np.floating]) -> Ranks:
    """(n, n) int32: the rank of each picture from each by cosine; 0 for itself, 1 for the nearest other.

    Args:
        embeddings: (n, D) finite; float64 is ranked in float64. Of equally near pictures the first is nearer.
    """
    vectors = unit(embeddings).astype(embeddings.dtype)
    ranks = np.empty((len(vectors), len(vectors)), dtype=np.int32)
    for start in range(0, len(vectors), BLOCK):
        own = np.arange(start, min(start + BLOCK, len(vectors)))
        ranks[own] = _ranks(vectors[own] @ vectors.T, own)
    return ranks


def _ranks(similarities: NDArray[np.floating], own: NDArray[np.int64]) -> Ranks:
    """(M, n) of rows of similarities; 0 where a row's picture is itself, `own`, and from 1 elsewhere.

    A row whose picture is none of the n has -1 in `own`.
    """
    inside = own >= 0
    similarities[np.flatnonzero(inside), own[inside]] = np.inf
    order = np.argsort(-similarities, axis=1, kind="stable")
    ranks = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    ranks[~inside] += 1
    return ranks


@dataclass(frozen=True)
class Sight:
    """What lies near each picture by one encoder, and how near that is by the other.

    Attributes:
        nearest: (N, k) int64 numbers of the nearest other pictures of the sample, nearest first.
        elsewhere: (N, k) int32 their ranks by the other encoder, from 1.
    """

    nearest: NDArray[np.int64]
    elsewhere: Ranks

    @property
    def shared(self) -> NDArray[np.float64]:
        """(N,) share of the k nearest that are among the k nearest by the other encoder, in [0, 1]."""
        k = self.nearest.shape[1]
        shares: NDArray[np.float64] = (self.elsewhere <= k).mean(1)
        return shares


def sights(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    sample: NDArray[np.int64],
    k: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Sight, Sight]:
    """What lies near every picture by each of two encoders.

    Args:
        a: (N, D) embeddings by the first.
        b: (N, E) by the second, of the same pictures.
        sample: (n,) numbers of the pictures among which ranks are counted.
        k: Neighbours of each picture, below n.
        progress: Called with (pictures done, pictures).

    Returns:
        Near by the first with ranks by the second, and near by the second with ranks by the first.
    """
    count, place = len(a), np.full(len(a), -1)
    place[sample] = np.arange(len(sample))
    among = unit(a[sample]), unit(b[sample])
    nearest = np.empty((2, count, k), dtype=np.int64)
    elsewhere = np.empty((2, count, k), dtype=np.int32)
    for start in range(0, count, BLOCK):
        if progress is not None:
            progress(start, count)
        rows = np.arange(start, min(start + BLOCK, count))
        tables = [
            _ranks(unit(embeddings[rows]) @ members.T, place[rows])
            for embeddings, members in zip((a, b), among, strict=True)
        ]
        for side, (own, other) in enumerate((tables, tables[::-1])):
            chosen = _nearest_places(own, k)
            nearest[side, rows] = sample[chosen]
            elsewhere[side, rows] = np.take_along_axis(other, chosen, axis=1)
    return Sight(nearest[0], elsewhere[0]), Sight(nearest[1], elsewhere[1])


def _nearest_places(ranks: Ranks, k: int) -> NDArray[np.int64]:
    """(M, k) places of ranks 1 to k."""
    order = np.argsort(ranks, axis=1, kind="stable")
    first = (np.take_along_axis(ranks, order[:, :1], axis=1) == 0).astype(np.int64)  # a picture of the sample itself
    return np.take_along_axis(order, first + np.arange(k)[None], axis=1)
