"""Inverted lists in files: filled a segment at a time, merged from file to file, never in memory as a whole.

A merged file is what `faiss.write_index` writes of the same vectors in memory, byte for byte, so that faiss opens it
either way: into memory, or memory-mapped, lists staying on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from similarity.vectors import Ids, is_among


def taken_out(index: Any) -> Any:
    """The inverted lists of an ivfpq index, which is empty afterwards, and still trained."""
    held: Any = faiss.downcast_InvertedLists(index.invlists)
    index.own_invlists = False
    fresh: Any = faiss.ArrayInvertedLists(index.nlist, index.code_size)
    index.replace_invlists(fresh, True)
    fresh.this.disown()  # the index frees it
    held.this.own(True)  # Python frees these
    index.ntotal = 0
    return held


def sizes_of(lists: Any) -> NDArray[np.int64]:
    """How many vectors each list holds."""
    return np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)


def ids_of(lists: Any, number: int) -> Ids:
    """The ids in a list, a view of them: it is gone when the lists are."""
    size = lists.list_size(number)
    return faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.empty(0, np.int64)


def stored_ids(index: Any) -> Ids:
    """The ids in an index of these kinds, ascending, without those of removed vectors."""
    if isinstance(index, faiss.IndexIDMap2):
        ids = faiss.vector_to_array(index.id_map)
    else:
        lists = index.invlists
        ids = np.concatenate([ids_of(lists, number) for number in range(lists.nlist)])
    return np.sort(ids[ids >= 0].astype(np.int64, copy=False))


def write_merged(path: str | os.PathLike[str], trained: Any, parts: Sequence[tuple[Any, Ids | None]]) -> None:
    """Write an ivfpq index whose lists are those of several, one behind the other.

    Args:
        path: The file.
        trained: The empty index: centroids and codes.
        parts: Inverted lists of indexes with the same training, in memory or mapped, each with the ids to leave out
            of it, ascending, or None.

    Raises:
        OSError: If the file cannot be written.
    """
    sizes = np.zeros(trained.nlist, np.int64)
    for lists, without in parts:
        sizes += sizes_of(lists)
        if without is not None and len(without):
            sizes -= [np.count_nonzero(is_among(ids_of(lists, number), without)) for number in range(trained.nlist)]
    _write_head(path, trained, sizes)
    with open(path, "ab") as file:
        for number in range(trained.nlist):
            pieces = [piece for lists, without in parts for piece in _kept(lists, number, without)]
            for codes, _ in pieces:
                codes.tofile(file)
            for _, ids in pieces:
                ids.tofile(file)


def _write_head(path: str | os.PathLike[str], trained: Any, sizes: NDArray[np.int64]) -> None:
    """Write an ivfpq file up to where its lists begin.

    That faiss ends the file of an empty index with the line of its lists ("ilar", their number, bytes of a code,
    "sprs" for few of them filled, and how many those are) is checked here, and that it reads what becomes of it by
    `tests/similarity/test_streaming.py`.
    """
    line = b"ilar" + np.array([trained.nlist, trained.code_size], np.uint64).tobytes()
    trained.ntotal = int(sizes.sum())
    try:
        faiss.write_index(trained, os.fspath(path))
    finally:
        trained.ntotal = 0
    empty = line + b"sprs" + bytes(8)
    with open(path, "r+b") as file:
        file.seek(-len(empty), os.SEEK_END)
        if file.read() != empty:
            raise RuntimeError(f"faiss {faiss.__version__} writes inverted lists in another way than is known here")
        file.seek(-len(empty), os.SEEK_END)
        file.truncate()
        filled = np.flatnonzero(sizes)
        if len(filled) > len(sizes) // 2:
            file.write(line + b"full" + np.uint64(len(sizes)).tobytes() + sizes.astype(np.uint64).tobytes())
        else:
            pairs = np.stack([filled, sizes[filled]], 1).astype(np.uint64)
            file.write(line + b"sprs" + np.uint64(pairs.size).tobytes() + pairs.tobytes())


def _kept(lists: Any, number: int, without: Ids | None) -> Iterator[tuple[NDArray[np.uint8], Ids]]:
    """Codes (M, bytes) and ids (M,) of a list, without some; nothing if it is empty."""
    size = lists.list_size(number)
    if size:
        codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).reshape(size, -1)
        ids = ids_of(lists, number)
        if without is None or not len(without):
            yield codes, ids
        else:
            keep = ~is_among(ids, without)
            yield codes[keep], ids[keep]


class Spills:
    """Segments of an index that grows: files of their inverted lists, which are opened again memory-mapped.

    Attributes:
        folder: Where they lie; the caller deletes it.
        files: Those written, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, list[Path]()

    def put(self, index: Any) -> None:
        """Write what an index holds, and empty it."""
        self.files.append(self.folder / f"{len(self.files):04d}.faiss")
        faiss.write_index(index, str(self.files[-1]))
        index.reset()

    def lists(self) -> Iterator[Any]:
        """Inverted lists of every segment."""
        for file in self.files:
            yield taken_out(faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY))
