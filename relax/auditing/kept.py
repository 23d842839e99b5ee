"""What takes minutes for very many pictures, kept on the disk: a run that was stopped, or one more, goes on from there.

Measures of pictures are kept one by one, the nearest neighbours as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import Neighbours, nearest
from relax.files import written_aside
from relax.npz import read_npz
from relax.records import undamaged

VERSION = "2"  # of the measures: another one measures anew
EVERY = 30.0  # seconds: the most that a kill loses


class Kept:
    """Numbers by picture, in a Parquet file that is written every half minute, and when the context ends.

    The file holds no paths, which may name patients: a picture is known by a checksum of its path and its bytes.

    Args:
        file: Where they are kept; one that is damaged, or of another version, counts as empty.
        digests: The SHA-256 of each picture now; numbers of another one are forgotten.
    """

    def __init__(self, file: Path, digests: Mapping[str, str | None]) -> None:
        self.file = file
        self.keys = {path: _key(path, digest) for path, digest in digests.items() if digest is not None}
        known = _read(file)
        self.rows = {path: known[key] for path, key in self.keys.items() if key in known}
        self.written, self.since = len(self.rows), time.monotonic()

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()

    def get(self, path: str) -> dict[str, float] | None:
        """The numbers of a picture, if they are known."""
        return self.rows.get(path)

    def add(self, path: str, numbers: dict[str, float]) -> None:
        """Keep the numbers of one more picture."""
        self.rows[path] = numbers
        if time.monotonic() - self.since > EVERY:
            self.write()

    def write(self) -> None:
        """Write the file, whole or not at all, if there is anything new."""
        import pyarrow
        from pyarrow import parquet

        self.since = time.monotonic()
        known = {self.keys[path]: row for path, row in self.rows.items() if path in self.keys}
        if len(self.rows) == self.written or not known:
            return
        names = list(next(iter(known.values())))
        numbers = {name: [float(row[name]) for row in known.values()] for name in names}
        table = pyarrow.table({"key": list(known), **numbers}).replace_schema_metadata({"version": VERSION})
        with written_aside(self.file) as aside:
            parquet.write_table(table, aside)
        self.written = len(self.rows)


def kept_nearest(
    file: Path, embeddings: NDArray[np.float32], k: int, progress: Callable[[int, int], None]
) -> Neighbours:
    """The k nearest neighbours of every image by cosine, from a file if they are those of these embeddings."""
    digest = sha256(np.ascontiguousarray(embeddings).data).hexdigest()
    try:
        arrays = read_npz(file, ("digest", "indices", "similarities"))
        if str(arrays["digest"]) == digest and arrays["indices"].shape == (len(embeddings), k):
            return Neighbours("cosine", arrays["indices"], arrays["similarities"])
    except (OSError, ValueError):
        pass
    neighbours = nearest(embeddings, k, progress=progress)
    with written_aside(file) as aside, aside.open("wb") as stream:
        np.savez(stream, digest=np.array(digest), indices=neighbours.indices, similarities=neighbours.similarities)
    return neighbours


def _key(path: str, digest: str) -> str:
    return sha256(f"{digest} {path}".encode(errors="surrogateescape")).hexdigest()


def _read(file: Path) -> dict[str, dict[str, float]]:
    """Numbers of each picture in a file, by its key."""
    from pyarrow import parquet

    try:
        with undamaged(file, "delete it"):
            table = parquet.read_table(file, partitioning=None)
            if (table.schema.metadata or {}).get(b"version") != VERSION.encode():
                return {}
            columns = table.to_pydict()
            keys = columns.pop("key")
            rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
            return dict(zip(keys, rows, strict=True))
    except (OSError, ValueError):
        return {}
