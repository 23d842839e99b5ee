"""Nearest neighbours among many embeddings: a FAISS index with this project's measures, sign convention and stable ids.

    index = Index.build(embeddings, kind="hnsw", metric="cosine")
    similarities, ids = index.search(queries, k=10)

flat    compares with every vector; exact
hnsw    walks a graph of neighbours; fast, keeps all vectors in memory
ivfpq   searches the nearest of many lists of compressed vectors; about 15 times smaller

Sources: Malkov & Yashunin (TPAMI 2020) for hnsw; Jégou, Douze & Schmid (TPAMI 2011) for ivfpq; Douze et al., The
Faiss library (2024). `experiments/benchmarks/index_recall.py` measures the recall of the approximate kinds with the
settings below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from similarity.vectors import Ids, Lookup, Vectors, checked_ids, checked_vectors, exact_similarities, unit

KINDS = ("flat", "hnsw", "ivfpq")
METRICS = ("cosine", "l2")

LINKS, EF_CONSTRUCTION, EF_SEARCH = 32, 64, 128  # hnsw: edges per vector; candidates while building and searching
MIN_TRAINING_VECTORS = 39 * 2**4  # ivfpq: faiss requires 39 vectors for each of at least 16 centroids
PER_LIST = 64  # ivfpq: vectors per list that k-means is trained on
RERANKED, MIN_RERANKED = 10, 100  # ivfpq: exactly compared candidates per neighbour, and at least
SPARE = 2**26  # bytes beyond the size of a file that a list in it may claim: of a file cut off, faiss tells that best
MAX_GPU_NEIGHBOURS = 2048  # per query; limit of faiss


class Index:
    """Vectors under permanent ids, searchable by similarity.

    Where faiss sees a GPU, flat and ivfpq search on it; the stored and saved index is always on the CPU.

    Attributes:
        metric: "cosine" (of the angle, in [-1, 1]; 0 between a zero vector and any vector, itself included) or
            "l2" (negative Euclidean distance, not squared).
        ids: (N,) int64, ascending: those of the searchable vectors.
    """

    def __init__(self, faiss_index: Any) -> None:
        """Wrap a faiss index; use `build` or `load`."""
        self._faiss = faiss_index
        self._inner = faiss.downcast_index(faiss_index.index) if hasattr(faiss_index, "id_map") else faiss_index
        self._gpu: Any = None
        self.metric = "cosine" if faiss_index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"
        self.ids: Ids = _stored_ids(faiss_index)

    @classmethod
    def build(
        cls, vectors: Vectors, ids: Ids | None = None, *, kind: str = "flat", metric: str = "cosine", seed: int = 0
    ) -> Index:
        """Build an index of vectors.

        Args:
            vectors: (N, D) float32, finite; may be memory-mapped.
            ids: (N,) distinct whole numbers, 0 or more; default 0 to N - 1.
            kind: "flat", "hnsw" or "ivfpq", as at the top of this module.
            metric: "cosine" or "l2".
            seed: Seed of k-means, for ivfpq.

        Raises:
            ValueError: If the kind or metric is unknown, a vector holds NaN or infinity (the message names the row),
                ids repeat, or there are too few vectors to train ivfpq.
        """
        vectors = checked_vectors(vectors, None)
        check_settings(kind, metric, len(vectors))
        dimension = vectors.shape[1]
        metric_type = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
        if kind == "ivfpq":
            empty = _trained_ivfpq(vectors, metric_type, seed)
        elif kind == "hnsw":
            graph = faiss.IndexHNSWFlat(dimension, LINKS, metric_type)
            graph.hnsw.efConstruction, graph.hnsw.efSearch = EF_CONSTRUCTION, EF_SEARCH
            empty = faiss.IndexIDMap2(graph)
        else:
            empty = faiss.IndexIDMap2(faiss.IndexFlat(dimension, metric_type))
        index = cls(empty)
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
        """Add vectors; an ivfpq index keeps the lists from its training.

        Args:
            vectors: (M, D) float32, finite.
            ids: (M,) unused ids; default: consecutive numbers above the largest.

        Returns:
            (M,) int64: their ids.
        """
        vectors = checked_vectors(vectors, self.dimension)
        if ids is None:
            start = int(self.ids[-1]) + 1 if len(self) else 0
            ids = np.arange(start, start + len(vectors))
        ids = checked_ids(ids, len(vectors))
        if (taken := np.isin(ids, self.ids)).any():
            raise ValueError(
                f"ids must be unused; got {ids[taken][0]}, which is taken: use update to replace its vector"
            )
        for start in range(0, len(vectors), 2**16):  # normalising copies, so never a memory-mapped file as a whole
            chunk = slice(start, start + 2**16)
            self._faiss.add_with_ids(
                unit(vectors[chunk]) if self.metric == "cosine" else np.ascontiguousarray(vectors[chunk]), ids[chunk]
            )
        self.ids = np.sort(np.concatenate([self.ids, ids]))
        self._gpu = None
        return ids

    def remove(self, ids: Ids) -> int:
        """Remove vectors; unknown ids are ignored.

        A graph cannot lose a node, so hnsw keeps removed vectors as nodes that searches pass through and never
        return; it is rebuilt from the others once more than half of its nodes are of that sort.

        Returns:
            Number of removed vectors.
        """
        ids = np.unique(np.asarray(ids, dtype=np.int64))
        removed = np.isin(self.ids, ids)
        if not removed.any():
            return 0
        if self.kind == "hnsw":
            self._disable(ids)
        else:
            self._faiss.remove_ids(ids)
        self.ids = self.ids[~removed]
        self._gpu = None
        if self.kind == "hnsw" and len(self) < self._faiss.ntotal / 2:
            rebuilt = Index.build(self._reconstructed(self.ids), self.ids, kind="hnsw", metric=self.metric)
            self._faiss, self._inner = rebuilt._faiss, rebuilt._inner
        return int(removed.sum())

    def update(self, vectors: Vectors, ids: Ids) -> None:
        """Replace the vectors (M, D) of ids (M,), and add those whose ids are new."""
        vectors, ids = checked_vectors(vectors, self.dimension), checked_ids(ids, len(vectors))
        self.remove(ids)
        self.add(vectors, ids)

    def search(self, queries: Vectors, k: int, exact: Lookup | None = None) -> tuple[Vectors, Ids]:
        """The k nearest vectors of each query.

        Args:
            queries: (Q, D) float32, finite.
            k: Neighbours per query, 1 or more.
            exact: From ids (M,) to their original vectors (M, D). An ivfpq index holds only compressed vectors: with
                `exact` it retrieves 10 times as many candidates, at least 100, and compares those exactly. The other
                kinds hold the vectors and do not need it.

        Returns:
            Similarities (Q, k) float32, descending (ties by id), and ids (Q, k) int64; -inf and -1 where there are
            fewer than k neighbours. Without `exact` the similarities of ivfpq are those to compressed vectors.
        """
        queries = checked_vectors(queries, self.dimension, "queries")
        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}")
        rerank = self.kind == "ivfpq" and exact is not None
        count = max(k * RERANKED, MIN_RERANKED) if rerank else k
        scores, ids = self._candidates(queries, min(count, max(1, len(self))))
        if exact is None and self.kind != "ivfpq":
            exact = self._reconstructed
        if exact is not None:
            scores = exact_similarities(queries, ids, exact, self.metric)
        order = np.lexsort((ids, -scores))[:, :k]
        scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
        missing = ((0, 0), (0, k - ids.shape[1]))
        return np.pad(scores, missing, constant_values=-np.inf), np.pad(ids, missing, constant_values=-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a faiss file; it appears whole or not at all."""
        aside = f"{os.fspath(path)}.part"
        try:
            faiss.write_index(self._faiss, aside)
            os.replace(aside, path)
        except RuntimeError as error:  # the only error that faiss raises
            raise OSError(f"{os.fspath(path)} cannot be written: {_reason(error)}") from None
        finally:
            if os.path.exists(aside):
                os.unlink(aside)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Index:
        """Read a file that `save` wrote.

        Raises:
            OSError: If the file cannot be opened.
            ValueError: If it does not hold an index of these kinds, or is damaged.
        """
        with open(path, "rb"):  # for Python's own errors: no such file, not permitted, a folder
            pass
        try:
            with _no_larger_than(os.path.getsize(path)):
                loaded = faiss.read_index(os.fspath(path))
        except (RuntimeError, MemoryError) as error:
            raise ValueError(f"{os.fspath(path)} must be an index that faiss wrote: {_reason(error)}") from None
        inner = faiss.downcast_index(loaded.index) if isinstance(loaded, faiss.IndexIDMap2) else loaded
        classes = faiss.IndexIVFPQ if inner is loaded else (faiss.IndexFlat, faiss.IndexHNSWFlat)
        if not isinstance(inner, classes) or loaded.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
            raise ValueError(f"{os.fspath(path)} must hold a flat, hnsw or ivfpq index; got {type(inner).__name__}")
        if damage := _damage(loaded, inner):
            raise ValueError(f"{os.fspath(path)} is damaged: {damage}")
        return cls(loaded)

    def _candidates(self, queries: Vectors, count: int) -> tuple[Vectors, Ids]:
        """(Q, count) similarities as faiss computes them, and ids."""
        queries = unit(queries) if self.metric == "cosine" else queries
        if self.kind == "hnsw":
            not_removed = faiss.IDSelectorRange(0, np.iinfo(np.int64).max)
            untyped: Any = faiss  # its stubs lack the class
            parameters = untyped.SearchParametersHNSW(sel=not_removed, efSearch=max(EF_SEARCH, 2 * count))
            scores, ids = self._faiss.search(queries, count, params=parameters)
        else:
            scores, ids = self._searcher(count).search(queries, count)
        scores = scores.clip(-1, 1) if self.metric == "cosine" else 0 - np.sqrt(scores.clip(0, None))
        return np.where(ids < 0, np.float32(-np.inf), scores), ids

    def _searcher(self, count: int) -> Any:
        """The index, or its copy on the GPU."""
        if faiss.get_num_gpus() == 0 or count > MAX_GPU_NEIGHBOURS:
            return self._faiss
        if self._gpu is None:
            self._resources = faiss.StandardGpuResources()  # must live as long as the copy
            try:
                self._gpu = faiss.index_cpu_to_gpu(self._resources, 0, self._faiss)
            except RuntimeError:  # faiss has GPU code for only some sizes of ivfpq; the CPU gives the same result
                self._gpu = self._faiss
        return self._gpu

    def _reconstructed(self, ids: Ids) -> Vectors:
        """(M, D): the stored vectors of flat and hnsw, of length 1 under cosine."""
        vectors: Vectors = self._faiss.reconstruct_batch(np.ascontiguousarray(ids))
        return vectors

    def _disable(self, ids: Ids) -> None:
        """Leave vectors in the graph under the id -1, which no search returns."""
        stored = faiss.vector_to_array(self._faiss.id_map)
        stored[np.isin(stored, ids)] = -1
        faiss.copy_array_to_vector(stored, self._faiss.id_map)
        self._faiss.construct_rev_map()


def check_settings(kind: str, metric: str, count: int) -> None:
    """Refuse settings with which no index of `count` vectors can be built.

    Raises:
        ValueError: As for `Index.build`.
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


def _trained_ivfpq(vectors: Vectors, metric_type: int, seed: int) -> Any:
    """An empty index whose lists and codes are trained on a sample of the vectors."""
    index = _untrained_ivfpq(len(vectors), vectors.shape[1], metric_type, seed)
    size = min(len(vectors), max(index.nlist * PER_LIST, 2**16))
    sample = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), size, replace=False))]
    index.train(unit(sample) if metric_type == faiss.METRIC_INNER_PRODUCT else sample)
    return index


def _untrained_ivfpq(count: int, dimension: int, metric_type: int, seed: int) -> Any:
    """An untrained index with settings for this many vectors."""
    lists = max(1, min(round(4 * count**0.5), count // 39))
    codes = next(m for m in range(max(1, dimension // 4), 0, -1) if dimension % m == 0)
    bits = min(8, int(np.log2(count // 39)))
    quantizer = faiss.IndexFlat(dimension, metric_type)
    index = faiss.IndexIVFPQ(quantizer, dimension, lists, codes, bits, metric_type)
    index.nprobe = max(1, min(lists, 32))
    index.cp.max_points_per_centroid = PER_LIST
    index.cp.seed = index.pq.cp.seed = seed
    return index


def _stored_ids(index: Any) -> Ids:
    """The ids in a faiss index, ascending, without those of removed vectors."""
    if isinstance(index, faiss.IndexIDMap2):
        ids = faiss.vector_to_array(index.id_map)
    else:
        lists = index.invlists
        sizes = [lists.list_size(number) for number in range(lists.nlist)]
        parts = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in enumerate(sizes) if size]
        ids = np.concatenate(parts) if parts else np.empty(0)
    ids = ids.astype(np.int64)
    return np.sort(ids[ids >= 0])


@contextmanager
def _no_larger_than(size: int) -> Iterator[None]:
    """Let faiss read no list that is longer than the file itself: a changed length would fill the memory."""
    before = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    faiss.set_deserialization_vector_byte_limit(size + SPARE)
    faiss.set_deserialization_loop_limit(size + SPARE)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before[0])
        faiss.set_deserialization_loop_limit(before[1])


def _damage(index: Any, inner: Any) -> str:
    """What in an index does not fit together; searching it could read beyond its memory. Empty if nothing."""
    parts = [inner]
    if isinstance(inner, faiss.IndexHNSWFlat):
        parts.append(faiss.downcast_index(inner.storage))
    if not inner.is_trained:
        return "it was never trained"
    if isinstance(inner, faiss.IndexIVFPQ):
        if inner.quantizer.d != inner.d or inner.quantizer.ntotal != inner.nlist or inner.pq.d != inner.d:
            return "its lists are not those of its vectors"
    elif any((part.d, part.ntotal, part.metric_type) != (index.d, index.ntotal, index.metric_type) for part in parts):
        return "its parts are of different sizes"
    elif index.id_map.size() != index.ntotal or parts[-1].codes.size() != index.ntotal * index.d * 4:
        return "its vectors are not as many as its ids"
    if isinstance(inner, faiss.IndexHNSWFlat):
        graph: Any = inner.hnsw  # the stubs of faiss lack its fields
        neighbours = faiss.vector_to_array(graph.neighbors)
        if len(neighbours) and not -1 <= neighbours.min() <= neighbours.max() < index.ntotal:
            return "a link of its graph leads nowhere"
    return ""


def _reason(error: Exception) -> str:
    """REASON from a faiss error, 'Error in FUNCTION at FILE:LINE: Error: CONDITION failed: REASON'."""
    text = str(error).strip().splitlines()[-1]
    if "deserialization" in text:
        return "a list in it is longer than the file"
    reason = re.sub(r"^Error in .* at \S+:\d+: ", "", text).split("failed:")[-1].strip()
    if reason.startswith("read error"):
        reason = re.sub(r" \([^()]*\)$", "", reason)  # a reason of the system that may be that of an earlier error
    return "".join(character if character.isprintable() else "?" for character in reason)  # it may quote the file
