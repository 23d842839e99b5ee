"""Two archives of the same pictures, joined by their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relax.archive.archive import Archive, load_archive
from relax.auditing.neighbours import check
from relax.io.choice import name_within

LEAST = 20  # pictures


@dataclass(frozen=True)
class Paired:
    """N pictures that two encoders have embedded.

    Attributes:
        archives: Of the first encoder and of the second.
        encoders: Their names, which differ.
        paths: (N) relative to the root of the first archive.
        names: (N) the same, a hash for a path that names a patient.
        embeddings: (N, D) by the first and (N, E) by the second, float32.
        left_out: Pictures that only one archive has, or of which the two have different bytes.
    """

    archives: tuple[Archive, Archive]
    encoders: tuple[str, str]
    paths: tuple[str, ...]
    names: tuple[str, ...]
    embeddings: tuple[NDArray[np.float32], NDArray[np.float32]]
    left_out: int

    @property
    def root(self) -> Path:
        """The folder of the pictures."""
        return self.archives[0].root

    @classmethod
    def of(cls, archives: Sequence[Archive | str | Path]) -> Paired:
        """The pictures that two archives share.

        Raises:
            FileNotFoundError, ValueError: If there are not two archives, or they share fewer than 20 pictures, or an
                embedding is not finite.
        """
        if len(archives) != 2:
            raise ValueError(f"archives must be two, one by each encoder; got {len(archives)}")
        first, second = (each if isinstance(each, Archive) else load_archive(each) for each in archives)
        others = {row.path: (place, row.sha256) for place, row in enumerate(second.rows)}
        kept = [
            (row.path, place, others[row.path][0])
            for place, row in enumerate(first.rows)
            if row.path in others and row.sha256 == others[row.path][1]
        ]
        if len(kept) < LEAST:
            raise ValueError(
                f"archives must share at least {LEAST} pictures, by address and content; {first.folder} and "
                f"{second.folder} share {len(kept)}: make both of one folder"
            )
        places = np.array([(own, other) for _, own, other in kept])
        embeddings = tuple(
            np.asarray(archive.embeddings[rows], dtype=np.float32)
            for archive, rows in zip((first, second), places.T, strict=True)
        )
        for table in embeddings:
            check(table)
        return cls(
            (first, second),
            _apart(str(first.record["encoder"]["name"]), str(second.record["encoder"]["name"])),
            tuple(path for path, _, _ in kept),
            tuple(name_within(first.root, path) for path, _, _ in kept),
            (embeddings[0], embeddings[1]),
            len(first) + len(second) - 2 * len(kept),
        )


def _apart(first: str, second: str) -> tuple[str, str]:
    """Two names that differ."""
    return (first, second) if first != second else (f"{first} (A)", f"{second} (B)")
