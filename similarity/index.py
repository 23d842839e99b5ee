"""Nearest neighbours among many embeddings: a FAISS index with this project's measures, polarity and stable ids.

    index = Index.build(embeddings, kind="hnsw", metric="cosine")
    similarities, ids = index.search(queries, k=10)

flat    compares with every vector: exact
hnsw    walks a graph of neighbours: fast, all vectors stay in memory
ivfpq   looks into the nearest of many lists, at compressed vectors: some 15 times smaller

Sources: Malkov & Yashunin (TPAMI 2020) for hnsw; Jégou, Douze & Schmid (TPAMI 2011) for ivfpq; Douze et al., The
Faiss library (2024). `experiments/benchmarks/index_recall.py` measures what the approximate kinds miss with the
settings below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

KINDS = ("flat", "hnsw", "ivfpq")
METRICS = ("cosine", "l2")

LINKS, EF_CONSTRUCTION, EF_SEARCH = 32, 64, 128  # hnsw: edges per vector; candidates while building and searching
LEAST_TO_TRAIN = 39 * 2**4  # ivfpq: faiss wants 39 vectors for each of at least 16 centroids
PER_LIST = 64  # ivfpq: vectors per list that k-means is trained on
RERANKED, LEAST_RERANKED = 10, 100  # ivfpq: candidates per wanted neighbour that are compared again exactly
GPU_MOST = 2048  # neighbours that faiss can find on a GPU
LONGEST = 9e18  # squares of distances between longer vectors leave float32

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Lookup = Callable[[Ids], NDArray[Any]]


class Index:
    """Vectors under ids that stay theirs, searchable by similarity.

    Where faiss sees a GPU, flat and ivfpq search there; what is stored and saved is always on the CPU.

    Attributes:
        metric: "cosine" (the cosine of the angle, in [-1, 1]; a zero vector has 0 to everything, itself included) or
            "l2" (negative Euclidean distance, not squared).
        ids: (N,) int64, ascending: the vectors that can be found.
    """

    def __init__(self, faiss_index: Any) -> None:
        """Wrap what `build` or `load` made."""
        self._faiss = faiss_index
        self._inner = faiss.downcast_index(faiss_index.index) if hasattr(faiss_index, "id_map") else faiss_index
        self._gpu: Any = None
        self.metric = "cosine" if faiss_index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"
        self.ids: Ids = _stored_ids(faiss_index)

    @classmethod
    def build(
        cls, vectors: Vectors, ids: Ids | None = None, *, kind: str = "flat", metric: str = "cosine", seed: int = 0
    ) -> Index:
        """Index these vectors.

        Args:
            vectors: (N, D) float32, finite; may be memory-mapped.
            ids: (N,) whole numbers from 0, each once; default 0 to N - 1.
            kind: "flat", "hnsw" or "ivfpq", as at the top of this module.
            metric: "cosine" or "l2".
            seed: What k-means starts from, for ivfpq.

        Raises:
            ValueError: For another kind or metric, NaN or infinity (the row is named), ids that are not unique, or
                too few vectors to train ivfpq with.
        """
        vectors = _checked(vectors, None)
        check_settings(kind, metric, len(vectors))
        number = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
        if kind == "ivfpq":
            made = _ivfpq(len(vectors), vectors.shape[1], number, seed)
            few = min(len(vectors), max(made.nlist * PER_LIST, 2**16))
            sample = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), few, replace=False))]
            made.train(_unit(sample) if metric == "cosine" else sample)
        elif kind == "hnsw":
            graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, number)
            graph.hnsw.efConstruction, graph.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
            made = faiss.IndexIDMap2(graph)
        else:
            made = faiss.IndexIDMap2(faiss.IndexFlat(vectors.shape[1], number))
        index = cls(made)
        index.add(vectors, ids)
        return index

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return {faiss.IndexHNSWFlat: "hnsw", faiss.IndexIVFPQ: "ivfpq"}.get(type(self._inner), "flat")

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._faiss.d)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Index({len(self):,} x {self.dimension}, kind={self.kind!r}, metric={self.metric!r})"

    def add(self, vectors: Vectors, ids: Ids | None = None) -> Ids:
        """Add vectors; an ivfpq index keeps the lists that it was trained with.

        Args:
            vectors: (M, D) float32, finite.
            ids: (M,) ids that are not taken; default: from one above the largest on.

        Returns:
            (M,) int64: their ids.
        """
        vectors = _checked(vectors, self.dimension)
        if ids is None:
            start = int(self.ids[-1]) + 1 if len(self) else 0
            ids = np.arange(start, start + len(vectors))
        ids = _checked_ids(ids, len(vectors))
        if (taken := np.isin(ids, self.ids)).any():
            raise ValueError(f"ids must not be taken; {ids[taken][0]} is: use update to replace its vector")
        for start in range(0, len(vectors), 2**16):  # normalising copies: never all of a memory-mapped file at once
            part = slice(start, start + 2**16)
            self._faiss.add_with_ids(
                _unit(vectors[part]) if self.metric == "cosine" else np.ascontiguousarray(vectors[part]), ids[part]
            )
        self.ids = np.sort(np.concatenate([self.ids, ids]))
        self._gpu = None
        return ids

    def remove(self, ids: Ids) -> int:
        """Remove vectors; ids that are not there are passed over.

        A graph cannot lose a node, so hnsw keeps removed vectors as stepping stones that are never found; it
        is built anew from the others once most are of that sort.

        Returns:
            How many were there.
        """
        ids = np.unique(np.asarray(ids, dtype=np.int64))
        gone = np.isin(self.ids, ids)
        if not gone.any():
            return 0
        if self.kind == "hnsw":
            self._bury(ids)
        else:
            self._faiss.remove_ids(ids)
        self.ids = self.ids[~gone]
        self._gpu = None
        if self.kind == "hnsw" and len(self) < self._faiss.ntotal / 2:
            fresh = Index.build(self._reconstructed(self.ids), self.ids, kind="hnsw", metric=self.metric)
            self._faiss, self._inner = fresh._faiss, fresh._inner
        return int(gone.sum())

    def update(self, vectors: Vectors, ids: Ids) -> None:
        """Replace the vectors (M, D) of ids (M,), and add those whose ids are new."""
        vectors, ids = _checked(vectors, self.dimension), _checked_ids(ids, len(vectors))
        self.remove(ids)
        self.add(vectors, ids)

    def search(self, queries: Vectors, k: int, exact: Lookup | None = None) -> tuple[Vectors, Ids]:
        """The k nearest vectors of each query.

        Args:
            queries: (Q, D) float32, finite.
            k: Neighbours per query, 1 or more.
            exact: From ids (M,) to their vectors (M, D) as they were given. An ivfpq index holds compressed vectors
                only: with `exact` it finds 10 times as many candidates, at least 100, and compares those exactly. The
                other kinds hold the vectors and have no need of it.

        Returns:
            Similarities (Q, k) float32, descending (equals by id), and ids (Q, k) int64. Where fewer than k are
            found, -inf and -1. Without `exact` the similarities of ivfpq are those to compressed vectors.
        """
        queries = _checked(queries, self.dimension, "queries")
        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}")
        rerank = self.kind == "ivfpq" and exact is not None
        count = max(k * RERANKED, LEAST_RERANKED) if rerank else k
        scores, ids = self._candidates(queries, min(count, max(1, len(self))))
        if exact is None and self.kind != "ivfpq":
            exact = self._reconstructed
        if exact is not None:
            scores = _similarities(queries, ids, exact, self.metric)
        order = np.lexsort((ids, -scores))[:, :k]
        scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
        missing = ((0, 0), (0, k - ids.shape[1]))
        return np.pad(scores, missing, constant_values=-np.inf), np.pad(ids, missing, constant_values=-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that faiss reads; it appears whole or not at all."""
        aside = f"{os.fspath(path)}.part"
        try:
            faiss.write_index(self._faiss, aside)
            os.replace(aside, path)
        except RuntimeError as error:  # faiss knows no other
            raise OSError(f"{os.fspath(path)} cannot be written: {_reason(error)}") from None
        finally:
            if os.path.exists(aside):
                os.unlink(aside)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Index:
        """Read what `save` wrote.

        Raises:
            OSError: If there is no such file.
            ValueError: If it holds no index of these kinds, or is damaged.
        """
        with open(path, "rb"):  # in Python's words: not there, not allowed, a folder
            pass
        try:
            found = faiss.read_index(os.fspath(path))
        except RuntimeError as error:
            raise ValueError(f"{os.fspath(path)} must be an index that faiss wrote: {_reason(error)}") from None
        inner = faiss.downcast_index(found.index) if isinstance(found, faiss.IndexIDMap2) else found
        known = faiss.IndexIVFPQ if inner is found else (faiss.IndexFlat, faiss.IndexHNSWFlat)
        if not isinstance(inner, known) or found.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
            raise ValueError(f"{os.fspath(path)} must hold a flat, hnsw or ivfpq index; got {type(inner).__name__}")
        return cls(found)

    def _candidates(self, queries: Vectors, count: int) -> tuple[Vectors, Ids]:
        """(Q, count) similarities as faiss has them, and ids."""
        wanted = _unit(queries) if self.metric == "cosine" else queries
        if self.kind == "hnsw":
            living = faiss.IDSelectorRange(0, np.iinfo(np.int64).max)
            stubs_lack_it: Any = faiss
            wide = stubs_lack_it.SearchParametersHNSW(sel=living, efSearch=max(EF_SEARCH, 2 * count))
            scores, ids = self._faiss.search(wanted, count, params=wide)
        else:
            scores, ids = self._searcher(count).search(wanted, count)
        scores = scores.clip(-1, 1) if self.metric == "cosine" else 0 - np.sqrt(scores.clip(0, None))
        return np.where(ids < 0, np.float32(-np.inf), scores), ids

    def _searcher(self, count: int) -> Any:
        """The index, or its copy on the GPU."""
        if faiss.get_num_gpus() == 0 or count > GPU_MOST:
            return self._faiss
        if self._gpu is None:
            self._resources = faiss.StandardGpuResources()  # must live as long as the copy
            try:
                self._gpu = faiss.index_cpu_to_gpu(self._resources, 0, self._faiss)
            except RuntimeError:  # faiss has GPU code for some sizes of ivfpq only; the CPU finds the same
                self._gpu = self._faiss
        return self._gpu

    def _reconstructed(self, ids: Ids) -> Vectors:
        """(M, D): the stored vectors of flat and hnsw, of length 1 under cosine."""
        found: Vectors = self._faiss.reconstruct_batch(np.ascontiguousarray(ids))
        return found

    def _bury(self, ids: Ids) -> None:
        """Leave vectors in the graph under the id -1, which no search gives."""
        stored = faiss.vector_to_array(self._faiss.id_map)
        stored[np.isin(stored, ids)] = -1
        faiss.copy_array_to_vector(stored, self._faiss.id_map)
        self._faiss.construct_rev_map()


def check_settings(kind: str, metric: str, count: int) -> None:
    """Refuse what no index of `count` vectors can be built with.

    Raises:
        ValueError: As `Index.build`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
    if kind == "ivfpq" and count < LEAST_TO_TRAIN:
        raise ValueError(
            f"kind 'ivfpq' needs at least {LEAST_TO_TRAIN} vectors to train on; got {count}: use 'flat', which is "
            "exact and fast at that size"
        )


def _ivfpq(count: int, dimension: int, metric: int, seed: int) -> Any:
    """An untrained index with settings for this many vectors."""
    lists = max(1, min(round(4 * count**0.5), count // 39))
    codes = next(m for m in range(max(1, dimension // 4), 0, -1) if dimension % m == 0)
    bits = min(8, int(np.log2(count // 39)))
    quantizer = faiss.IndexFlat(dimension, metric)
    index = faiss.IndexIVFPQ(quantizer, dimension, lists, codes, bits, metric)
    index.nprobe = max(1, min(lists, 32))
    index.cp.max_points_per_centroid = PER_LIST
    index.cp.seed = index.pq.cp.seed = seed
    return index


def _stored_ids(index: Any) -> Ids:
    """The ids of an index in faiss's own structures, ascending, without those of removed vectors."""
    if isinstance(index, faiss.IndexIDMap2):
        ids = faiss.vector_to_array(index.id_map)
    else:
        lists = index.invlists
        sizes = [lists.list_size(number) for number in range(lists.nlist)]
        parts = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in enumerate(sizes) if size]
        ids = np.concatenate(parts) if parts else np.empty(0)
    ids = ids.astype(np.int64)
    return np.sort(ids[ids >= 0])


def _similarities(queries: Vectors, ids: Ids, exact: Lookup, metric: str) -> Vectors:
    """(Q, k) float32 by the definition, added up in float64; -inf where the id is -1."""
    scores = np.full(ids.shape, -np.inf, np.float32)
    rows = max(1, 2**22 // max(1, ids.shape[1] * queries.shape[1]))  # 32 MiB of float64
    for start in range(0, len(queries), rows):
        some = ids[start : start + rows]
        here, there = np.nonzero(some >= 0)
        query = queries[start : start + rows].astype(np.float64)[here]
        found = np.asarray(exact(some[here, there]), dtype=np.float64)
        if metric == "cosine":
            product = np.einsum("nd,nd->n", query, found)
            lengths = np.linalg.norm(query, axis=1) * np.linalg.norm(found, axis=1)
            score = np.divide(product, lengths, out=np.zeros_like(product), where=lengths > 0).clip(-1, 1)
        else:
            score = 0 - np.linalg.norm(query - found, axis=1)  # never -0
        scores[start : start + rows][here, there] = score
    return scores


def _checked(vectors: Vectors, dimension: int | None, name: str = "vectors") -> Vectors:
    vectors = np.asanyarray(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != (dimension or max(1, vectors.shape[1])):
        raise ValueError(f"{name} must be (N, {dimension or 'D'}), one a row; got {vectors.shape}")
    if vectors.dtype != np.float32:
        raise ValueError(f"{name} must be float32; got {vectors.dtype}: use .astype('float32')")
    for start in range(0, len(vectors), 2**16):
        lengths = _lengths(vectors[start : start + 2**16])
        if (bad := ~(lengths < LONGEST)).any():
            row = start + int(bad.argmax())
            raise ValueError(f"{name} must be finite and shorter than {LONGEST:g}; row {row} is not")
    return vectors


def _checked_ids(ids: Ids, count: int) -> Ids:
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    if ids.shape != (count,) or (ids < 0).any() or len(np.unique(ids)) != count:
        raise ValueError(f"ids must be {count} different whole numbers, 0 or more, one per vector")
    return ids


def _lengths(vectors: Vectors) -> NDArray[np.float64]:
    """(N,) Euclidean lengths; float64, so that they neither overflow nor vanish."""
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    return lengths


def _unit(vectors: Vectors) -> Vectors:
    """The vectors divided by their lengths; zero stays zero."""
    lengths = _lengths(vectors)[:, None]
    out = np.zeros(vectors.shape, np.float32)
    return np.divide(vectors, lengths, out=out, where=lengths > 0, casting="same_kind")


def _reason(error: Exception) -> str:
    """What is wrong, of 'Error in FUNCTION at FILE:LINE: Error: CONDITION failed: REASON', as faiss writes it."""
    return str(error).strip().splitlines()[-1].split("failed:")[-1].strip()
