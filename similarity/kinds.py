"""The kinds of indexes and their settings: what each one is, and how an empty one is made, trained and filled.

Sources: Malkov & Yashunin (TPAMI 2020) for hnsw; Jégou, Douze & Schmid (TPAMI 2011) for ivfpq; Douze et al., The
Faiss library (2024). `experiments/benchmarks/index_recall.py` measures what these settings miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from similarity.vectors import PIECE, Ids, Vectors, checked_vectors, forget, unit

KINDS = ("flat", "hnsw", "ivfpq")
METRICS = ("cosine", "l2")

LINKS, EF_CONSTRUCTION, EF_SEARCH = 32, 64, 128  # hnsw: edges per vector; candidates while building and searching
MIN_TRAINING_VECTORS = 39 * 2**4  # ivfpq: faiss requires 39 vectors for each of at least 16 centroids
PER_LIST = 64  # ivfpq: vectors per list that k-means is trained on
MOST_LISTS = (
    4096  # ivfpq: up to so many there are 4 sqrt(N) lists, beyond 2 sqrt(N): building costs lists times vectors
)
RERANKED, MIN_RERANKED = 10, 100  # ivfpq: exactly compared candidates per neighbour, and at least
PROBED, PROBED_OF_MANY = 32, 50  # ivfpq: lists that a search looks into; of more than `MOST_LISTS`, one in so many


def check_settings(kind: str, metric: str, count: int) -> None:
    """Refuse settings with which no index of `count` vectors can be built.

    Raises:
        ValueError: As for `similarity.index.Index.build`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
    if kind == "ivfpq" and count < MIN_TRAINING_VECTORS:
        raise ValueError(
            f"kind 'ivfpq' needs at least {MIN_TRAINING_VECTORS} vectors to train on; got {count}: use 'flat', which "
            "is exact and fast at that size"
        )


def empty_index(shards: Sequence[Vectors], kind: str, metric: str, seed: int) -> Any:
    """An index without vectors, with the memory for these, or trained on a sample of them if its kind is trained.

    Args:
        shards: Arrays (N_i, D) float32, one or more; they may be memory-mapped.
        kind: One of `KINDS`.
        metric: One of `METRICS`.
        seed: Of the sample and of k-means.
    """
    dimension = shards[0].shape[1]
    metric_type = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
    if kind == "ivfpq":
        return _trained_ivfpq(shards, metric_type, seed)
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimension, LINKS, metric_type)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
        return faiss.IndexIDMap2(_with_room(graph, graph.storage, shards))
    flat = faiss.IndexFlat(dimension, metric_type)
    return faiss.IndexIDMap2(_with_room(flat, flat, shards))


def _with_room(index: Any, storage: Any, shards: Sequence[Vectors]) -> Any:
    """The index, with the memory that these vectors take: what grows by itself is held twice when it is moved."""
    codes: Any = faiss.downcast_index(storage).codes  # type: ignore[attr-defined]
    codes.resize(sum(shard.nbytes for shard in shards))
    codes.resize(0)
    return index


def fill(index: Any, vectors: Vectors, ids: Ids, first: int = 0) -> None:
    """Add vectors to an index of these kinds, a piece at a time, each checked.

    Args:
        index: The faiss index.
        vectors: (M, D) float32; they may be memory-mapped.
        ids: (M,) int64, which are known to be unused.
        first: What the first row is called in a message.

    Raises:
        ValueError: If a vector is not finite; those of earlier pieces are in the index.
    """
    normalised = index.metric_type == faiss.METRIC_INNER_PRODUCT
    for start in range(0, len(vectors), PIECE):  # normalising copies, so never a memory-mapped file as a whole
        piece = slice(start, start + PIECE)
        chunk = checked_vectors(vectors[piece], index.d, rows=range(first + start, first + start + PIECE))
        index.add_with_ids(unit(chunk) if normalised else np.ascontiguousarray(chunk), ids[piece])
        forget(vectors)


def list_count(vectors: int) -> int:
    """How many lists an ivfpq index of so many vectors has."""
    root = float(np.sqrt(vectors))
    lists = min(round(4 * root), max(MOST_LISTS, round(2 * root)))
    return max(1, min(lists, vectors // 39))


def probed_lists(lists: int) -> int:
    """How many of so many lists a search looks into unless it is told otherwise."""
    return min(lists, PROBED) if lists <= MOST_LISTS else lists // PROBED_OF_MANY


def code_bytes(dimension: int) -> int:
    """Bytes of a compressed vector of an ivfpq index: about one for four numbers."""
    return next(m for m in range(max(1, dimension // 4), 0, -1) if dimension % m == 0)


def training_size(vectors: int) -> int:
    """How many of so many vectors an ivfpq index is trained on."""
    return min(vectors, max(list_count(vectors) * PER_LIST, 2**16))


def _trained_ivfpq(shards: Sequence[Vectors], metric_type: int, seed: int) -> Any:
    """An empty index whose lists and codes are trained on a sample of the vectors."""
    count, dimension = sum(map(len, shards)), shards[0].shape[1]
    bits = min(8, int(np.log2(count // 39)))
    quantizer = faiss.IndexFlat(dimension, metric_type)
    index = faiss.IndexIVFPQ(quantizer, dimension, list_count(count), code_bytes(dimension), bits, metric_type)
    index.nprobe = probed_lists(index.nlist)
    index.cp.max_points_per_centroid = PER_LIST
    index.cp.seed = index.pq.cp.seed = seed
    index.train(_sample(shards, training_size(count), metric_type == faiss.METRIC_INNER_PRODUCT, seed))
    return index


def _sample(shards: Sequence[Vectors], size: int, normalised: bool, seed: int) -> Vectors:
    """(size, D) different rows of the shards, in their order, read a piece at a time."""
    count = sum(map(len, shards))
    rows = np.sort(np.random.default_rng(seed).choice(count, size, replace=False))
    sample = np.empty((size, shards[0].shape[1]), np.float32)
    start = 0
    for shard in shards:
        first, last = np.searchsorted(rows, [start, start + len(shard)])
        for begin in range(first, last, 2**14):
            piece = slice(begin, min(begin + 2**14, last))
            vectors = checked_vectors(shard[rows[piece] - start], None, rows=rows[piece])
            sample[piece] = unit(vectors) if normalised else vectors
            forget(shard)
        start += len(shard)
    return sample
