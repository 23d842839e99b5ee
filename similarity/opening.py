"""Open files that faiss wrote, and nothing else: they may come from others, and faiss trusts what it reads."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import faiss
import numpy as np

SPARE = 2**26  # bytes beyond the size of a file that a list in it may claim: of a file cut off, faiss tells that best
OPENING = threading.Lock()  # faiss has one limit for the whole process
HEAD = 37  # bytes before the lists of an index: its kind, dimension, count and metric

Layout = tuple[tuple[int, int], ...]
"""Of each list behind two heads, that of ids and that of what they are of: bytes before it, and of an item."""
FLAT: Layout = ((0, 4), (0, 8))  # vectors and ids
GRAPH: Layout = ((0, 8), (0, 4), (0, 4), (0, 8), (0, 4), (20 + HEAD, 4), (0, 8))  # levels and links come before them
LAYOUTS = {b"IxFI": FLAT, b"IxF2": FLAT, b"IHNf": GRAPH}


def opened(path: str | os.PathLike[str], mapped: bool) -> Any:
    """The faiss index in a file.

    Args:
        path: The file.
        mapped: Whether to leave vectors, links and lists on the disk, from where a search takes what it needs.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it does not hold a flat, hnsw or ivfpq index, or is damaged.
    """
    with open(path, "rb") as file:  # with Python's own errors: no such file, not permitted, a folder
        has_lists = file.read(4) == b"IwPQ"
        layout = None if has_lists else _layout(file)
        whole = not layout or _is_whole(file, layout)
    # A file may name another one for its lists: it is looked for in the same folder, and read only, then refused.
    # A table of distances between lists and codes is made here: faiss would refuse it, as larger than the file.
    flags = faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE
    if mapped:
        flags |= faiss.IO_FLAG_MMAP if has_lists else faiss.IO_FLAG_MMAP_IFC if layout else 0
    if mapped and not whole:  # of a file that ends within an item, faiss would map what lies behind its end
        raise ValueError(f"{os.fspath(path)} must be an index that faiss wrote: it does not end where its lists do")
    size = os.path.getsize(path)
    try:
        with _no_larger_than(size):
            loaded = faiss.read_index(os.fspath(path), flags)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"{os.fspath(path)} must be an index that faiss wrote: {reason_of(error)}") from None
    inner = faiss.downcast_index(loaded.index) if isinstance(loaded, faiss.IndexIDMap2) else loaded
    classes = faiss.IndexIVFPQ if inner is loaded else (faiss.IndexFlat, faiss.IndexHNSWFlat)
    if not isinstance(inner, classes) or loaded.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
        raise ValueError(f"{os.fspath(path)} must hold a flat, hnsw or ivfpq index; got {type(inner).__name__}")
    if damage := _damage(loaded, inner, mapped, size):
        raise ValueError(f"{os.fspath(path)} is damaged: {damage}")
    if isinstance(loaded, faiss.IndexIVFPQ) and not mapped:
        loaded.precompute_table()
    return loaded


def reason_of(error: Exception) -> str:
    """REASON from a faiss error, 'Error in FUNCTION at FILE:LINE: Error: CONDITION failed: REASON'."""
    text = str(error).strip().splitlines()[-1]
    if "deserialization" in text:
        return "a list in it is longer than the file"
    reason = re.sub(r"^Error in .* at \S+:\d+: ", "", text).split("failed:")[-1].strip()
    if reason.startswith("read error"):
        reason = re.sub(r" \([^()]*\)$", "", reason)  # a reason of the system that may be that of an earlier error
    return "".join(character if character.isprintable() else "?" for character in reason)  # it may quote the file


@contextmanager
def _no_larger_than(size: int) -> Iterator[None]:
    """Let faiss read no list that is longer than the file itself: a changed length would fill the memory."""
    with OPENING:
        before = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(size + SPARE)
        faiss.set_deserialization_loop_limit(size + SPARE)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before[0])
            faiss.set_deserialization_loop_limit(before[1])


def _layout(file: BinaryIO) -> Layout | None:
    """The lists in a file of an index with ids; None if it is none that may be mapped."""
    file.seek(HEAD)
    return LAYOUTS.get(file.read(4))


def _is_whole(file: BinaryIO, layout: Layout) -> bool:
    """Whether a file ends where its lists do, each of which begins with how many items it has."""
    size, place = file.seek(0, os.SEEK_END), 2 * HEAD
    for before, width in layout:
        file.seek(place + before)
        place += before + 8 + width * int.from_bytes(file.read(8), "little")
        if place > size:
            return False
    return place == size


def _damage(index: Any, inner: Any, mapped: bool, size: int) -> str:
    """What in an index does not fit together; searching it could read beyond its memory. Empty if nothing.

    Levels and links of a graph are looked at by faiss, when it reads them.
    """
    parts = [inner]
    if isinstance(inner, faiss.IndexHNSWFlat):
        parts.append(faiss.downcast_index(inner.storage))
    if not inner.is_trained:
        return "it was never trained"
    if isinstance(inner, faiss.IndexIVFPQ):
        if inner.quantizer.d != inner.d or inner.quantizer.ntotal != inner.nlist or inner.pq.d != inner.d:
            return "its lists are not those of its vectors"
        return _damaged_lists(inner, mapped, size)
    if any((part.d, part.ntotal, part.metric_type) != (index.d, index.ntotal, index.metric_type) for part in parts):
        return "its parts are of different sizes"
    if index.id_map.size() != index.ntotal or parts[-1].codes.size() != index.ntotal * index.d * 4:
        return "its vectors are not as many as its ids"
    return ""


def _damaged_lists(index: Any, mapped: bool, size: int) -> str:
    """What is wrong with the inverted lists: they must lie in the file, whole, and hold as many vectors as it says.

    Args:
        index: The ivfpq index.
        mapped: Whether the file is mapped.
        size: Of the file, in bytes.
    """
    lists: Any = faiss.downcast_InvertedLists(index.invlists)
    if type(lists).__name__ != ("OnDiskInvertedLists" if mapped else "ArrayInvertedLists") or (
        mapped and lists.filename
    ):
        return "its lists lie elsewhere"
    if (lists.nlist, lists.code_size) != (index.nlist, index.code_size):
        return "its lists are not those of its vectors"
    if sum(lists.list_size(number) for number in range(index.nlist)) != index.ntotal:
        return "its lists do not hold as many vectors as it says"
    if mapped:
        vector_bytes = lists.code_size + np.dtype(np.int64).itemsize
        table = [lists.lists.at(number) for number in range(index.nlist)]
        if any(entry.size > entry.capacity or entry.offset + entry.capacity * vector_bytes > size for entry in table):
            return "a list in it is longer than the file"
    return ""
