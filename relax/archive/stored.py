"""What an output folder holds, and how the images of the folder differ from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders import Encoder
from relax.archive.files import RECORD, TABLE, ImageRow, read_rows, undamaged
from relax.archive.parts import part_files, read_part
from relax.archive.record import check_same_encoder, read_record
from relax.records import read_json

ARCHIVE = -1  # in place of the number of a part: the embedding is in the archive itself


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
        rows: The same, updated with those of the parts.
        places: Where the embedding of each path is: the number of its part, or ARCHIVE, and the row in it.
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
            archived = {row.path: row for row in read_rows(out / TABLE) if row.status == "ok"}
        rows = dict(archived)
        places = {path: (ARCHIVE, number) for number, path in enumerate(archived)}
        for part, file in enumerate(part_files(out)):
            part_rows, _, part_encoder = read_part(file)
            with undamaged(file):
                identity = read_json(part_encoder)
            check_same_encoder(identity, encoder, out)
            for number, row in enumerate(part_rows):
                rows[row.path], places[row.path] = row, (part, number)
        return cls(record, archived, rows, places)

    def is_current(self, row: ImageRow) -> bool:
        """Whether a file is stored, with the same size and time; of an object in a store, bytes must tell."""
        return row.path in self.rows and row.modified is not None and row.same_file(self.rows[row.path])

    def checksum(self, path: str) -> str | None:
        """SHA-256 that a file had when it was embedded; None if it was not."""
        return self.rows[path].sha256 if path in self.rows else None

    def in_archive(self, path: str) -> bool:
        """Whether the embedding of a path is in the archive itself, not in a part."""
        return self.places[path][0] == ARCHIVE

    def touch(self, rows: Iterable[ImageRow]) -> None:
        """Take over the size and time of files whose bytes are the same as before."""
        for row in rows:
            self.rows[row.path] = replace(self.rows[row.path], size=row.size, modified=row.modified)

    def with_ids(self, paths: Iterable[str]) -> list[ImageRow]:
        """The rows of these paths: an archived image keeps its id, a new one gets an id that no image ever had."""
        next_id = self.record["next_id"] if self.record else 0
        rows = []
        for path in paths:
            if path in self.archived:
                rows.append(replace(self.rows[path], id=self.archived[path].id))
            else:
                rows.append(replace(self.rows[path], id=next_id))
                next_id += 1
        return rows
