"""Indexes of more vectors than memory holds: written from shards, and changed, from file to file.

    write_index("index.faiss", [first, second], kind="ivfpq")      # arrays, which may be memory-mapped
    rewrite_index("index.faiss", "index.faiss", removed=gone, added=[(vectors, ids)])
    Index.load("index.faiss", mapped=True).search(queries, 10, exact=lambda ids: embeddings[ids])

An ivfpq index is trained on a sample and filled a segment at a time, each of which goes to a file; then the lists of
all segments are merged (`similarity/lists.py`). In memory are the sample (64 vectors for each list), one segment, and
16 bytes per vector for ids. A flat index and a graph are built in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from similarity.index import Index
from similarity.kinds import check_settings, empty_index, fill
from similarity.lists import Spills, stored_ids, taken_out, write_merged
from similarity.opening import opened, reason_of
from similarity.vectors import PIECE, Ids, Vectors, checked_ids, is_among, shaped_vectors

SEGMENT = 2**20  # vectors of an ivfpq index that are in memory at once


def write_index(
    path: str | os.PathLike[str],
    shards: Sequence[Vectors],
    ids: Ids | None = None,
    *,
    kind: str = "ivfpq",
    metric: str = "cosine",
    seed: int = 0,
) -> None:
    """Build an index of the vectors of several arrays, one after the other, into a file.

    What it holds is that of `Index.build` of all vectors at once. The file appears whole or not at all; meanwhile a
    hidden folder beside it takes as much space again.

    Args:
        path: The file, for `Index.load`.
        shards: Arrays (N_i, D) float32, finite; they may be memory-mapped.
        ids: (N,) distinct whole numbers, 0 or more, for all vectors in order; default 0 to N - 1.
        kind: "flat", "hnsw" or "ivfpq", as in `similarity.index`.
        metric: "cosine" or "l2".
        seed: Seed of the sample and of k-means, for ivfpq.

    Raises:
        ValueError: As for `Index.build`; rows are counted within their shard.
        OSError: If a file cannot be written.
    """
    if not len(shards):
        raise ValueError("shards must be one array of vectors or more; got none")
    shards = [shaped_vectors(shard, None if number == 0 else shards[0].shape[1]) for number, shard in enumerate(shards)]
    count = sum(map(len, shards))
    check_settings(kind, metric, count)
    ids = checked_ids(np.arange(count) if ids is None else ids, count)
    index, pieces = empty_index(shards, kind, metric, seed), _pieces(shards, ids)
    if kind == "ivfpq":
        _write_in_segments(path, index, pieces)
        return
    for vectors, numbers, first in pieces:
        fill(index, vectors, numbers, first)
    Index(index).save(path)


def rewrite_index(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    removed: Ids | None = None,
    added: Iterable[tuple[Vectors, Ids]] = (),
) -> None:
    """Write an index without some of its vectors, and with others; it keeps the lists from its training.

    An ivfpq index goes from file to file, and is read once; the other kinds are changed in memory.

    Args:
        path: The index.
        out: The file to write; it may be `path`.
        removed: Ids to leave out; unknown ones are ignored.
        added: Vectors (M_i, D) float32, which may be memory-mapped, with their ids (M_i,), unused or among `removed`.

    Raises:
        ValueError: As for `Index.load` and `Index.add`.
        OSError: If a file cannot be opened or written.
    """
    gone = np.unique(np.asarray([] if removed is None else removed, dtype=np.int64))
    trained = opened(path, mapped=True)
    if not isinstance(trained, faiss.IndexIVFPQ):
        index = Index.load(path)
        index.remove(gone)
        for vectors, ids in added:
            index.add(vectors, ids)
        index.save(out)
        return
    before = stored_ids(trained)
    kept = before[~is_among(before, gone)]
    held = taken_out(trained)
    _write_in_segments(out, trained, _unused(added, trained.d, kept), [(held, gone)])


def _pieces(shards: Sequence[Vectors], ids: Ids) -> Iterator[tuple[Vectors, Ids, int]]:
    """The shards cut into pieces, each with its ids and its first row."""
    start = 0
    for shard in shards:
        for first in range(0, len(shard), PIECE):
            piece = shard[first : first + PIECE]
            yield piece, ids[start : start + len(piece)], first
            start += len(piece)


def _unused(added: Iterable[tuple[Vectors, Ids]], dimension: int, taken: Ids) -> Iterator[tuple[Vectors, Ids, int]]:
    """The same as `_pieces`, of vectors whose ids must be none of those that are taken, ascending, nor come twice."""
    for vectors, given in added:
        vectors, ids = shaped_vectors(vectors, dimension), checked_ids(given, len(vectors))
        if (doubled := is_among(ids, taken)).any():
            raise ValueError(f"ids must be unused or removed; got {ids[doubled][0]}, which is taken")
        taken = np.sort(np.concatenate([taken, ids]))
        yield from _pieces([vectors], ids)


def _write_in_segments(
    path: str | os.PathLike[str],
    trained: Any,
    pieces: Iterable[tuple[Vectors, Ids, int]],
    held: Sequence[tuple[Any, Ids | None]] = (),
) -> None:
    """Fill a trained, empty ivfpq index and write it, behind lists that there are, each without some ids."""
    with _beside(path) as folder:
        spills = Spills(folder)
        for vectors, ids, first in pieces:
            fill(trained, vectors, ids, first)
            if trained.ntotal >= SEGMENT:
                spills.put(trained)
        spills.put(trained)
        write_merged(folder / "whole", trained, [*held, *((lists, None) for lists in spills.lists())])


@contextmanager
def _beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder beside a file; what is written in it as "whole" becomes the file unless there is an error."""
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as folder:
        try:
            yield Path(folder)
        except RuntimeError as error:  # the only error that faiss raises
            raise OSError(f"{path} cannot be written: {reason_of(error)}") from None
        os.replace(Path(folder) / "whole", path)
