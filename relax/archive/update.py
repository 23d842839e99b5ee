"""Bring an archive up to date with its folder: embed what is new or changed, forget what is gone, join all of it."""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
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
    finish_replacing,
    list_images,
    read_table,
    replaced_together,
    to_rows,
    to_table,
    write_table,
)
from relax.archive.parts import Parts, embed_files, part_files, read_part
from relax.estimators.budget import Budget, Progress
from relax.provenance import surroundings
from relax.settings import BatchSize
from similarity.index import Index, check_settings

FORMAT = 1
ARCHIVE = -1  # where an embedding is: in the archive itself, or in the part of a number
CHUNK = 4096  # embeddings that are copied at once


@dataclass(frozen=True)
class Changes:
    """Images of a folder against those that its archive had before; `embedded` counts only this call's passes."""

    new: int
    changed: int
    unchanged: int
    removed: int
    failed: int
    embedded: int
    seconds: float


@dataclass
class Stored:
    """What an output folder holds, in the archive and in parts that are not joined yet.

    Attributes:
        record: archive.json; None if there is no archive.
        archived: Rows of the archive that have an embedding, by path.
        rows: The same, with those of the parts.
        places: By path, where the embedding is: number of the part or ARCHIVE, and the row there.
    """

    record: dict[str, Any] | None
    archived: dict[str, ImageRow]
    rows: dict[str, ImageRow]
    places: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, out: Path, encoder: Encoder) -> Stored:
        """Read an output folder.

        Raises:
            ValueError: If it belongs to another encoder, or is damaged.
        """
        record, archived = None, {}
        if (out / RECORD).is_file():
            record = read_record(out)
            check_same_encoder(record["encoder"], encoder, out)
            archived = {row.path: row for row in to_rows(read_table(out / TABLE)[0]) if row.status == "ok"}
        rows = dict(archived)
        places = {path: (ARCHIVE, number) for number, path in enumerate(archived)}
        for part, file in enumerate(part_files(out)):
            some, _, made = read_part(file)
            check_same_encoder(json.loads(made), encoder, out)
            for number, row in enumerate(some):
                rows[row.path], places[row.path] = row, (part, number)
        return cls(record, archived, rows, places)


def bring_up_to_date(
    root: Path,
    encoder: Encoder,
    out: Path,
    *,
    kind: str,
    metric: str,
    batch_size: BatchSize,
    recursive: bool,
    progress: Progress | None,
) -> Changes:
    """As `relax.archive.archive.make_archive`."""
    started = time.monotonic()
    budget = Budget.of(None, None, batch_size)
    files, failed = _files(root, recursive, out, kind, metric)
    out.mkdir(parents=True, exist_ok=True)
    finish_replacing(out)
    stored = Stored.read(out, encoder)
    _check_root(stored.record, root, out)
    todo = [row for path, row in files.items() if path not in stored.rows or not row.same_file(stored.rows[path])]
    with Parts(out, json.dumps(identity(encoder))) as parts:
        others = embed_files(
            [(row, stored.rows[row.path].sha256 if row.path in stored.rows else None) for row in todo],
            root,
            encoder,
            parts,
            budget,
            _counted(progress, len(todo)),
        )
    stored = Stored.read(out, encoder)
    for row in others:  # touched, but the same bytes as before
        if row.status == "ok":
            stored.rows[row.path] = replace(stored.rows[row.path], size=row.size, modified=row.modified)
    bad = {row.path: row for row in others if row.status != "ok"}
    good = [stored.rows[path] for path in files if path not in bad]
    failed += bad.values()
    if not good:
        raise ValueError(
            f"none of the {len(failed)} images in {root} can be used; {failed[0].path}: {failed[0].reason}"
        )

    good = _with_ids(good, stored)
    fresh = {row.path for row in good if stored.places[row.path][0] != ARCHIVE}
    changes = Changes(
        new=sum(path not in stored.archived for path in fresh),
        changed=sum(path in stored.archived for path in fresh),
        unchanged=len(good) - len(fresh),
        removed=len(stored.archived.keys() - files.keys()),
        failed=len(failed),
        embedded=len(todo) - len(others),
        seconds=time.monotonic() - started,
    )
    about = {"root": str(root), "recursive": recursive, "encoder": identity(encoder), "metric": metric, "kind": kind}
    _join(out, stored, good, sorted(failed, key=lambda row: row.path), about, encoder, changes)
    return replace(changes, seconds=time.monotonic() - started)


def identity(encoder: Encoder) -> dict[str, Any]:
    """What decides over the embeddings, as JSON types."""
    made = {
        "name": encoder.name,
        "checksum": encoder.checksum,
        "pooling": encoder.pooling,
        "preprocess": asdict(encoder.preprocess),
    }
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def check_same_encoder(made: dict[str, Any], encoder: Encoder, out: Path) -> None:
    """Refuse an encoder whose embeddings cannot stand beside those in `out`; its name decides only for functions.

    Raises:
        ValueError: Naming both.
    """
    now = identity(encoder)
    parts = ("checksum", "pooling", "preprocess") if now["checksum"] else ("name", "checksum", "pooling", "preprocess")
    if other := [part for part in parts if made.get(part) != now[part]]:
        raise ValueError(
            f"{out} holds embeddings of encoder {made['name']!r}, and {now['name']!r} has another {', '.join(other)}: "
            "choose another folder to write to, or delete this one"
        )


def read_record(out: Path) -> dict[str, Any]:
    """archive.json.

    Raises:
        ValueError: If it is damaged, or of a later format.
    """
    try:
        record: dict[str, Any] = json.loads((out / RECORD).read_text(encoding="utf-8"))
        known = record["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{out / RECORD} is damaged: delete {out} and make the archive again") from None
    if not known:
        raise ValueError(f"{out / RECORD} has format {record['format']!r}, and this version reads {FORMAT}: update it")
    return record


def _files(
    root: Path, recursive: bool, out: Path, kind: str, metric: str
) -> tuple[dict[str, ImageRow], list[ImageRow]]:
    if not root.is_dir():
        raise ValueError(f"root must be a folder of images; {root} is {'a file' if root.exists() else 'not there'}")
    files, failed = list_images(root, recursive, out)
    if not files:
        way_out = f"; {failed[0].path} {failed[0].reason}" if failed else ""
        raise ValueError(f"{root} holds no image (.png, .jpg, .tif, .webp, .bmp, .gif){way_out}")
    check_settings(kind, metric, len(files))
    return files, failed


def _check_root(record: dict[str, Any] | None, root: Path, out: Path) -> None:
    """A folder that was moved is fine; another one would replace everything."""
    if record and record["root"] != str(root) and Path(record["root"]).is_dir():
        raise ValueError(f"{out} is the archive of {record['root']}; for {root} choose another folder to write to")


def _counted(progress: Progress | None, most: int) -> Any:
    """From "so many more" to "so many of all"."""
    through = 0

    def more(count: int) -> None:
        nonlocal through
        through += count
        if progress is not None:
            progress(through, most)

    more(0)
    return more


def _with_ids(rows: list[ImageRow], stored: Stored) -> list[ImageRow]:
    """Every image keeps its id; new ones get ids that no image ever had."""
    following = stored.record["next_id"] if stored.record else 0
    found = []
    for row in rows:
        if row.path in stored.archived:
            found.append(replace(row, id=stored.archived[row.path].id))
        else:
            found.append(replace(row, id=following))
            following += 1
    return found


def _join(
    out: Path,
    stored: Stored,
    good: list[ImageRow],
    failed: list[ImageRow],
    about: dict[str, Any],
    encoder: Encoder,
    changes: Changes,
) -> None:
    """Write the archive of these rows, then drop the parts."""
    before = stored.record or {}
    record = {
        "format": FORMAT,
        **about,
        "images": len(good),
        "failed": len(failed),
        "next_id": max(before.get("next_id", 0), max(row.id for row in good) + 1),
        **surroundings(encoder.device, changes.seconds),
    }
    same_index = all(before.get(key) == about[key] for key in ("metric", "kind"))
    with replaced_together(out) as aside:
        if changes.new or changes.changed or len(good) != len(stored.archived) or not same_index:
            embeddings = _embeddings(aside / EMBEDDINGS, out, stored, good)
            index = _updated_index(out, stored, good, embeddings) if same_index else None
            index = index or Index.build(embeddings, _ids(good), kind=about["kind"], metric=about["metric"])
            index.save(aside / INDEX)
            record["dimension"] = index.dimension
            del embeddings
        else:
            record["dimension"] = before["dimension"]
        write_table(aside / TABLE, to_table([*good, *failed]))
        (aside / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _embeddings(path: Path, out: Path, stored: Stored, rows: list[ImageRow]) -> NDArray[np.float32]:
    """(N, D) in a file, gathered from the archive and its parts, one at a time."""
    sources: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, image in enumerate(rows):
        part, number = stored.places[image.path]
        sources[part].append((row, number))
    found: np.memmap[Any, np.dtype[np.float32]] | None = None
    files = part_files(out)
    for part, pairs in sources.items():
        vectors = np.load(out / EMBEDDINGS, mmap_mode="r") if part == ARCHIVE else read_part(files[part])[1]
        if found is None:
            found = np.lib.format.open_memmap(path, "w+", np.float32, (len(rows), vectors.shape[1]))
        for start in range(0, len(pairs), CHUNK):
            to, origin = np.array(pairs[start : start + CHUNK]).T
            found[to] = vectors[origin]
    assert found is not None  # noqa: S101  there is at least one row
    found.flush()
    return found


def _updated_index(out: Path, stored: Stored, rows: list[ImageRow], embeddings: NDArray[np.float32]) -> Index | None:
    """The index that is there, with what is gone taken out and what is new put in; None if a new one is better.

    That is where most images changed: lists and graphs fit what they were built for.
    """
    ids = _ids(rows)
    fresh = np.array([stored.places[row.path][0] != ARCHIVE for row in rows])
    old = np.array([row.id for row in stored.archived.values()])
    gone = np.setdiff1d(old, ids[~fresh])
    if 2 * (fresh.sum() + len(gone)) > len(rows):
        return None
    try:
        index = Index.load(out / INDEX)
    except (OSError, ValueError):
        return None
    index.remove(gone)
    index.add(embeddings[fresh], ids[fresh])
    return index if np.array_equal(index.ids, np.sort(ids)) else None


def _ids(rows: list[ImageRow]) -> NDArray[np.int64]:
    return np.array([row.id for row in rows], dtype=np.int64)
