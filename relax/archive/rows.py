"""The rows of an archive's table, read from the file when they are asked for: a search of millions needs a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relax.archive.files import ImageRow, to_rows, undamaged

Ids = NDArray[np.int64]


class Rows(Sequence[ImageRow]):
    """The images of an archive that have an embedding, as rows, in the order of the table.

    Ids are in memory, 8 bytes each; the other columns are read a group of rows at a time, the last of which is kept.

    Attributes:
        ids: (N,) int64.
        failed: The rows without an embedding.
    """

    def __init__(self, path: Path) -> None:
        """Open a table.

        Raises:
            ValueError: If it is damaged.
        """
        self.path = path
        with undamaged(path):
            self._file: Any = pq.ParquetFile(path)
            sizes = [self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)]
            self._starts = np.cumsum([0, *sizes])
            table = self._file.read(["id", "status"])
            usable = pc.equal(table.column("status"), "ok").to_numpy()
            count = int(usable.sum())
            if not usable[:count].all():
                raise ValueError("images with an embedding do not come first")
            self.ids: Ids = table.column("id").slice(0, count).to_numpy().astype(np.int64)
        self._group = lru_cache(1)(self._read_group)
        self.failed = list(self._between(count, len(usable)))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ImageRow]:
        return self._between(0, len(self))

    @overload
    def __getitem__(self, number: int) -> ImageRow: ...

    @overload
    def __getitem__(self, number: slice) -> list[ImageRow]: ...

    def __getitem__(self, number: int | slice) -> ImageRow | list[ImageRow]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        row = range(len(self))[number]
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        return self._group(group)[row - int(self._starts[group])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_same, self, other))

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __repr__(self) -> str:
        return f"{len(self):,} rows of {self.path}"

    def path_of(self, row: int) -> str:
        """The path of one row, for which no other column is read."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        with undamaged(self.path):
            paths = self._file.read_row_group(group, ["path"]).column("path")
            return str(paths[row - int(self._starts[group])].as_py())

    def paths(self) -> list[str]:
        """(N) paths, relative to the root."""
        with undamaged(self.path):
            paths: list[str] = self._file.read(["path"]).column("path").slice(0, len(self)).to_pylist()
        return paths

    def _between(self, start: int, stop: int) -> Iterator[ImageRow]:
        """The rows of the table from `start` to `stop`, a group of them in memory."""
        for group, first in enumerate(self._starts[:-1].tolist()):
            if first < stop and self._starts[group + 1] > start:
                yield from self._group(group)[max(0, start - first) : stop - first]

    def _read_group(self, number: int) -> list[ImageRow]:
        with undamaged(self.path):
            return to_rows(pa.Table.from_batches(self._file.read_row_group(number).to_batches()))


class Places:
    """In which row each id stands."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self._order = None if (np.diff(ids) > 0).all() else np.argsort(ids, kind="stable")
        self._sorted = ids if self._order is None else ids[self._order]

    def __call__(self, ids: Ids) -> Ids:
        """Rows of ids; -1 stays -1.

        Raises:
            KeyError: If there is no such id.
        """
        places = np.searchsorted(self._sorted, ids).clip(max=len(self.ids) - 1)
        if (unknown := (self._sorted[places] != ids) & (ids != -1)).any():
            raise KeyError(int(ids[unknown][0]))
        rows: Ids = np.where(ids == -1, -1, places if self._order is None else self._order[places])
        return rows


def _same(a: object, b: object) -> bool:
    return a == b
