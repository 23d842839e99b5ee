"""Nearest neighbours among many embeddings: a FAISS index with this project's measures, sign convention and stable ids.

    index = Index.build(embeddings, kind="hnsw", metric="cosine")
    similarities, ids = index.search(queries, k=10)

flat    compares with every vector; exact
hnsw    walks a graph of neighbours; fast, keeps all vectors in memory
ivfpq   searches the nearest of many lists of compressed vectors; about 15 times smaller

Millions of vectors go from file to file (`similarity/streaming.py`), and are searched where they lie:

    write_index("index.faiss", [embeddings], kind="ivfpq")
    index = Index.load("index.faiss", mapped=True)

`similarity/kinds.py` has the settings of each kind, with their sources.
"""

from __future__ import annotations

import os
from typing import Any

import faiss
import numpy as np

from similarity.kinds import (
    EF_SEARCH,
    MIN_RERANKED,
    RERANKED,
    check_settings,
    empty_index,
    fill,
    list_count,
)
from similarity.lists import stored_ids
from similarity.opening import opened, reason_of
from similarity.vectors import (
    Ids,
    Lookup,
    Vectors,
    checked_ids,
    checked_vectors,
    exact_similarities,
    is_among,
    shaped_vectors,
    unit,
)

MAX_GPU_NEIGHBOURS = 2048  # per query; limit of faiss
OUTGROWN, UNEVEN = 2, 4  # ivfpq: times as many lists would fit its vectors; times as long as even ones


class Index:
    """Vectors under permanent ids, searchable by similarity.

    Where faiss sees a GPU, flat and ivfpq search on it; the stored and saved index is always on the CPU.

    Attributes:
        metric: "cosine" (of the angle, in [-1, 1]; 0 between a zero vector and any vector, itself included) or
            "l2" (negative Euclidean distance, not squared).
        mapped: Whether it is searched where it lies, in its file; it cannot be changed then.
    """

    def __init__(self, faiss_index: Any, mapped: bool = False) -> None:
        """Wrap a faiss index; use `build` or `load`."""
        self._faiss, self.mapped = faiss_index, mapped
        has_map = hasattr(faiss_index, "id_map")
        self._inner: Any = faiss.downcast_index(faiss_index.index) if has_map else faiss_index
        self._gpu: Any = None
        self.metric = "cosine" if faiss_index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"
        self._ids: Ids | None = None

    @property
    def ids(self) -> Ids:
        """(N,) int64, ascending: those of the searchable vectors; looked up when they are first asked for."""
        if self._ids is None:
            self._ids = stored_ids(self._faiss)
        return self._ids

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
        vectors = shaped_vectors(vectors, None)
        check_settings(kind, metric, len(vectors))
        index = cls(empty_index([vectors], kind, metric, seed))
        index._append(vectors, checked_ids(np.arange(len(vectors)) if ids is None else ids, len(vectors)))
        return index

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return {faiss.IndexHNSWFlat: "hnsw", faiss.IndexIVFPQ: "ivfpq"}.get(type(self._inner), "flat")

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._faiss.d)

    @property
    def outgrown(self) -> str:
        """Why an ivfpq index should be built anew, with the number that says so; empty if it need not.

        Its lists stay those of its training. They get long where it grows, and uneven where what is added is unlike
        what it was trained on: searches slow down, and compressed vectors lie further from the true ones.
        """
        if self.kind != "ivfpq" or not len(self):
            return ""
        lists, fitting = self._inner.nlist, list_count(len(self))
        if fitting > OUTGROWN * lists:
            return f"it has {lists:,} lists, and {fitting:,} would fit its {len(self):,} vectors"
        uneven = self._inner.invlists.imbalance_factor()
        return f"a search meets lists {uneven:.1f} times as long as even ones" if uneven > UNEVEN else ""

    def __len__(self) -> int:
        return int(self._faiss.ntotal) if self.kind == "ivfpq" else len(self.ids)

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
        self._check_changeable()
        vectors = checked_vectors(vectors, self.dimension)
        if ids is None:
            start = int(self.ids[-1]) + 1 if len(self) else 0
            ids = np.arange(start, start + len(vectors))
        ids = checked_ids(ids, len(vectors))
        if (taken := is_among(ids, self.ids)).any():
            raise ValueError(
                f"ids must be unused; got {ids[taken][0]}, which is taken: use update to replace its vector"
            )
        self._append(vectors, ids)
        return ids

    def _append(self, vectors: Vectors, ids: Ids) -> None:
        """Add vectors under ids that are known to be unused."""
        before = self._ids
        fill(self._faiss, vectors, ids)
        if before is not None:
            grown = np.concatenate([before, ids])
            above = len(before) == 0 or len(ids) == 0 or before[-1] < ids.min()
            self._ids = grown if above and (np.diff(ids) > 0).all() else np.sort(grown)
        self._gpu = None

    def remove(self, ids: Ids) -> int:
        """Remove vectors; unknown ids are ignored.

        A graph cannot lose a node, so hnsw keeps removed vectors as nodes that searches pass through and never
        return; it is rebuilt from the others once more than half of its nodes are of that sort.

        Returns:
            Number of removed vectors.
        """
        self._check_changeable()
        ids = np.unique(np.asarray(ids, dtype=np.int64))
        removed = is_among(self.ids, ids)
        if not removed.any():
            return 0
        if self.kind == "hnsw":
            self._disable(ids)
        else:
            self._faiss.remove_ids(ids)
        self._ids = self.ids[~removed]
        self._gpu = None
        if self.kind == "hnsw" and len(self) < self._faiss.ntotal / 2:
            rebuilt = Index.build(self._reconstructed(self.ids), self.ids, kind="hnsw", metric=self.metric)
            self._faiss, self._inner = rebuilt._faiss, rebuilt._inner  # ids stay
        return int(removed.sum())

    def update(self, vectors: Vectors, ids: Ids) -> None:
        """Replace the vectors (M, D) of ids (M,), and add those whose ids are new."""
        vectors, ids = checked_vectors(vectors, self.dimension), checked_ids(ids, len(vectors))
        self.remove(ids)
        self.add(vectors, ids)

    def search(
        self, queries: Vectors, k: int, exact: Lookup | None = None, lists: int | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest vectors of each query.

        Args:
            queries: (Q, D) float32, finite.
            k: Neighbours per query, 1 or more.
            exact: From ids (M,) to their original vectors (M, D). An ivfpq index holds only compressed vectors: with
                `exact` it retrieves 10 times as many candidates, at least 100, and compares those exactly. The other
                kinds hold the vectors and do not need it.
            lists: How many lists of an ivfpq index are looked into, 1 or more; by default 32, or one in 50 of more than
                4,096. More find more, in more time; the other kinds have none.

        Returns:
            Similarities (Q, k) float32, descending (ties by id), and ids (Q, k) int64; -inf and -1 where there are
            fewer than k neighbours. Without `exact` the similarities of ivfpq are those to compressed vectors.
        """
        queries = checked_vectors(queries, self.dimension, "queries")
        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}")
        if lists is not None and (lists < 1 or self.kind != "ivfpq"):
            raise ValueError(f"lists must be at least 1, and are those of an ivfpq index; got {lists} for {self.kind}")
        rerank = self.kind == "ivfpq" and exact is not None
        count = max(k * RERANKED, MIN_RERANKED) if rerank else k
        scores, ids = self._candidates(queries, min(count, max(1, len(self))), lists)
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
            raise OSError(f"{os.fspath(path)} cannot be written: {reason_of(error)}") from None
        finally:
            if os.path.exists(aside):
                os.unlink(aside)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mapped: bool = False) -> Index:
        """Read a file that `save` or `write_index` wrote.

        Args:
            path: The file.
            mapped: Whether to leave it on the disk, from where searches read what they need. It opens faster, takes
                little memory, and cannot be changed; the file must stay as it is meanwhile.

        Raises:
            OSError: If the file cannot be opened.
            ValueError: If it does not hold an index of these kinds, or is damaged.
        """
        return cls(opened(path, mapped), mapped)

    def _check_changeable(self) -> None:
        if self.mapped:
            raise ValueError("an index that is memory-mapped cannot be changed: load it, or use rewrite_index")

    def _candidates(self, queries: Vectors, count: int, lists: int | None) -> tuple[Vectors, Ids]:
        """(Q, count) similarities as faiss computes them, and ids."""
        untyped: Any = faiss  # its stubs lack some classes
        queries = unit(queries) if self.metric == "cosine" else queries
        if self.kind == "hnsw":
            not_removed = faiss.IDSelectorRange(0, np.iinfo(np.int64).max)
            parameters = untyped.SearchParametersHNSW(sel=not_removed, efSearch=max(EF_SEARCH, 2 * count))
            scores, ids = self._faiss.search(queries, count, params=parameters)
        else:
            parameters = None if lists is None else untyped.SearchParametersIVF(nprobe=lists)
            scores, ids = self._searcher(count).search(queries, count, params=parameters)
        scores = scores.clip(-1, 1) if self.metric == "cosine" else 0 - np.sqrt(scores.clip(0, None))
        return np.where(ids < 0, np.float32(-np.inf), scores), ids

    def _searcher(self, count: int) -> Any:
        """The index, or its copy on the GPU."""
        if self.mapped or faiss.get_num_gpus() == 0 or count > MAX_GPU_NEIGHBOURS:
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
        stored = faiss.rev_swig_ptr(self._faiss.id_map.data(), self._faiss.id_map.size())
        stored[is_among(stored, ids)] = -1
