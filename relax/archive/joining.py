"""Join the archive and its parts into the four files of a new archive."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from relax.archive.files import (
    EMBEDDINGS,
    INDEX,
    PARTS,
    RECORD,
    TABLE,
    ImageRow,
    replaced_together,
    to_table,
    write_table,
)
from relax.archive.parts import part_files, read_part
from relax.archive.record import FORMAT
from relax.archive.stored import ARCHIVE, Changes, Stored
from relax.files import writing
from relax.provenance import surroundings
from similarity.index import Index
from similarity.streaming import rewrite_index, write_index

CHUNK = 4096  # embeddings that are copied at once


def join(
    out: Path,
    stored: Stored,
    images: list[ImageRow],
    failed: list[ImageRow],
    options: dict[str, Any],
    encoder: Encoder,
    changes: Changes,
    workers: dict[str, Any],
) -> None:
    """Write the archive of these rows, then delete the parts.

    Args:
        out: The output folder.
        stored: What it holds.
        images: Rows of the images with an embedding, with their ids.
        failed: Rows of the others.
        options: Root, recursive, encoder, metric and kind, for archive.json.
        encoder: The encoder.
        changes: What the call changes.
        workers: How many embedded, for archive.json.
    """
    previous = stored.record or {}
    record = {
        "format": FORMAT,
        **options,
        "images": len(images),
        "failed": len(failed),
        "next_id": max(previous.get("next_id", 0), max(row.id for row in images) + 1),
        **surroundings(encoder.device, changes.seconds),
        **workers,
    }
    same_index = all(previous.get(key) == options[key] for key in ("metric", "kind"))
    with replaced_together(out) as aside:
        lost = not (out / INDEX).is_file()
        if changes.new or changes.changed or len(images) != len(stored.archived) or not same_index or lost:
            embeddings = _embeddings(aside / EMBEDDINGS, out, stored, images)
            with writing(out / INDEX):
                updated = same_index and _updated_index(aside / INDEX, out, stored, images, embeddings)
                if not updated:
                    write_index(
                        aside / INDEX, [embeddings], _ids(images), kind=options["kind"], metric=options["metric"]
                    )
            record["dimension"] = embeddings.shape[1]
            del embeddings
        else:
            record["dimension"] = previous["dimension"]
        with writing(out / TABLE):
            write_table(aside / TABLE, to_table([*images, *failed]))
        with writing(out / RECORD):
            (aside / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _embeddings(path: Path, out: Path, stored: Stored, rows: list[ImageRow]) -> NDArray[np.float32]:
    """(N, D) memory-mapped, gathered from the archive and its parts, one at a time."""
    sources: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, image in enumerate(rows):
        part, number = stored.places[image.path]
        sources[part].append((row, number))
    embeddings: np.memmap[Any, np.dtype[np.float32]] | None = None
    files = part_files(out)
    for part, pairs in sources.items():
        vectors = np.load(out / EMBEDDINGS, mmap_mode="r") if part == ARCHIVE else read_part(files[part])[1]
        if embeddings is None:
            with writing(out / EMBEDDINGS):
                embeddings = _new_array(path, (len(rows), vectors.shape[1]))
        for start in range(0, len(pairs), CHUNK):
            targets, origins = np.array(pairs[start : start + CHUNK]).T
            embeddings[targets] = vectors[origins]
    assert embeddings is not None  # noqa: S101  there is at least one row
    embeddings.flush()
    return embeddings


def _new_array(path: Path, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.float32]]:
    """A memory-mapped array whose space on the disk is taken at once: writing to a full disk would end the process."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if sys.platform != "win32":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _updated_index(
    path: Path, out: Path, stored: Stored, rows: list[ImageRow], embeddings: NDArray[np.float32]
) -> bool:
    """Write the existing index without removed images and with new ones; False if it should be built anew.

    It should where most images changed, since lists and graphs fit the vectors that they were built for.

    Warns:
        UserWarning: If the lists of the index no longer fit what it holds.
    """
    ids = _ids(rows)
    fresh = np.flatnonzero([not stored.in_archive(row.path) for row in rows])
    old = np.array([row.id for row in stored.archived.values()])
    removed = np.setdiff1d(old, np.delete(ids, fresh))
    if 2 * (len(fresh) + len(removed)) > len(rows):
        return False
    pieces = (fresh[start : start + CHUNK] for start in range(0, len(fresh), CHUNK))
    try:
        rewrite_index(out / INDEX, path, removed=removed, added=((embeddings[rows], ids[rows]) for rows in pieces))
    except (FileNotFoundError, ValueError):
        return False
    index = Index.load(path, mapped=True)
    if reason := index.outgrown:
        warnings.warn(
            f"the index of {out} should be built anew: {reason}; delete {INDEX} there and run the same command, which "
            "embeds nothing again",
            stacklevel=2,
        )
    return np.array_equal(index.ids, np.sort(ids))


def _ids(rows: list[ImageRow]) -> NDArray[np.int64]:
    return np.array([row.id for row in rows], dtype=np.int64)
