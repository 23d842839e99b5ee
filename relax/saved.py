"""Results that are saved as one `.npz` file: a record of what they are, as JSON, and arrays. No pickle is opened.

A room describes its file once, as a `Kind`, which packs and reads it; `Saved` is what its result inherits.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from encoders.limits import TooLarge
from relax.files import written_aside
from relax.npz import read_npz, text_of
from relax.records import check_record, missing_entries, read_json

READERS = {
    "explanation": "relax.Explanation.load",
    "links": "relax.LinksExplanation.load",
    "smallest sets": "relax.SmallestSets.load",
    "differences": "relax.Differences.load",
    "inside": "relax.Inside.load",
    "pictures of units": "relax.UnitPictures.load",
    "map of a slide": "relax.SlideMap.load",
}
"""What reads a file, by its kind."""


class Saved(ABC):
    """A result that is one `.npz` file."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """All of it, as the bytes of an `.npz` file."""

    def save(self, path: str | Path) -> Path:
        """Write all of it to one `.npz`, which appears whole or not at all. Returns its path."""
        with written_aside(path) as aside:
            aside.write_bytes(self.to_bytes())
        return Path(path)


@dataclass(frozen=True)
class Kind:
    """One kind of saved result.

    Attributes:
        name: In the record, a key of `READERS`. Files of older versions may lack it.
        words: What such a file is, for messages: "a saved explanation".
        entries: Types of the entries that the record must have, as for `check_record`.
        optional: Types of those that it may have.
        version: Of the format; files of later ones are refused.
        key: Name of the array that holds the record.
    """

    name: str
    words: str
    entries: Mapping[str, Any]
    optional: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    key: str = "how"

    def packed(self, record: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
        """The bytes of a file."""
        text = json.dumps({"format": self.version, "kind": self.name, **record})
        stream = io.BytesIO()
        np.savez_compressed(stream, **{self.key: np.array(text)}, **arrays)  # type: ignore[arg-type]
        return stream.getvalue()

    @contextmanager
    def reading(self, path: str | Path) -> Iterator[dict[str, Any]]:
        """The checked record of a file; what fails inside the block is an error of the file, too.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is none of this kind, is damaged, would take more memory than `encoders.limits` says, or
                is of a later version; the message names the file.
        """
        with self._named(path):
            record = self._record(path)
        if record["format"] > self.version:
            raise ValueError(
                f"{path} has format {record['format']}, this version reads up to {self.version}: update relax-explainer"
            )
        with self._named(path):
            yield record

    def _record(self, path: str | Path) -> dict[str, Any]:
        record = read_json(text_of(read_npz(path, [self.key])[self.key]))
        check_record(record, {"format": int, "kind": str})
        if (kind := record.get("kind") or self.name) != self.name:
            raise ValueError(f"it holds {kind[:40]!r}" + (f": use {READERS[kind]}" if kind in READERS else ""))
        entries = {"format": int, **self.entries}
        check_record(record, {**entries, **self.optional})
        if missing := missing_entries(record, entries):
            raise ValueError(f"its record lacks {', '.join(missing)}")
        checked: dict[str, Any] = record
        return checked

    @contextmanager
    def _named(self, path: str | Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except TooLarge as reason:
            raise TooLarge(f"{path} {reason}") from None
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as reason:
            raise ValueError(f"{path} is not {self.words}: {reason}") from None
