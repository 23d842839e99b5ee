"""Which pictures a run explains, in shards: a Parquet file with a row per picture, and a row group per shard.

A picture belongs to one shard, and stays in it when others are added, which come after it. What is read of the plan at
a time is one row group, so that a plan may be longer than the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from relax.bulk.folder import PLAN, undamaged
from relax.files import written_aside

OWN = [
    ("name", pa.string()),  # of the picture in the results, unique
    ("address", pa.string()),  # where it is read from, see `relax.io.sources`
    ("size", pa.int64()),  # bytes of its file; null where that is not known
    ("modified", pa.int64()),  # when its file was last changed, in nanoseconds
]
"""Columns of every plan; those of a manifest follow."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Planned:
    """A picture of a plan; the fields are the columns.

    Attributes:
        name: In the results.
        address: Where it is read from.
        size, modified: State of its file: bytes, and nanoseconds; None where that is not known.
        columns: Further values of a manifest, by column.
    """

    name: str
    address: str
    size: int | None = None
    modified: int | None = None
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> tuple[int | None, int | None]:
        """Of the file; another one means that the picture has changed."""
        return self.size, self.modified


@dataclass(frozen=True)
class Plan:
    """A plan on the disk.

    Attributes:
        path: Its file.
        pictures: How many pictures.
        shards: How many shards.
    """

    path: Path
    pictures: int
    shards: int

    @classmethod
    def open(cls, folder: Path) -> Plan:
        """The plan of a run.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged.
        """
        path = folder / PLAN
        with undamaged(path), pq.ParquetFile(path) as file:
            return cls(path, file.metadata.num_rows, file.num_row_groups)

    @classmethod
    def write(cls, folder: Path, pictures: Iterable[Planned], columns: pa.Schema, shard: int) -> Plan:
        """Write a plan, one shard at a time.

        Args:
            folder: Of the run.
            pictures: In their order.
            columns: Names and types of the further columns.
            shard: Pictures in a shard.

        Raises:
            WriteError: If it cannot be written.
        """
        schema = pa.schema([*OWN, *columns])
        with written_aside(folder / PLAN) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
            for several in chunks(pictures, shard):
                writer.write_table(_table(several, schema), row_group_size=shard)
        return cls.open(folder)

    def shard(self, number: int) -> list[Planned]:
        """The pictures of a shard.

        Raises:
            ValueError: If the plan is damaged.
        """
        with undamaged(self.path), pq.ParquetFile(self.path) as file:
            return _pictures(file.read_row_group(number))

    def __iter__(self) -> Iterator[list[Planned]]:
        """The pictures of one shard after the other."""
        with undamaged(self.path), pq.ParquetFile(self.path) as file:
            for number in range(file.num_row_groups):
                yield _pictures(file.read_row_group(number))

    def names(self) -> list[str]:
        """Of all pictures, in their order."""
        with undamaged(self.path):
            names: list[str] = pq.read_table(self.path, columns=["name"], partitioning=None)["name"].to_pylist()
            return names

    @property
    def columns(self) -> pa.Schema:
        """The further columns."""
        with undamaged(self.path):
            return pa.schema(list(pq.read_schema(self.path))[len(OWN) :])


def digest(pictures: Iterable[Planned]) -> str:
    """SHA-256 of what a shard is to hold: names, states and further values, in their order."""
    lines = (repr((picture.name, *picture.state, sorted(picture.columns.items()))) for picture in pictures)
    return sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last of as many as are left."""
    iterator = iter(items)
    while several := list(islice(iterator, size)):
        yield several


def _table(pictures: list[Planned], schema: pa.Schema) -> pa.Table:
    own = {name: [getattr(picture, name) for picture in pictures] for name, _ in OWN}
    further = {name: [picture.columns.get(name) for picture in pictures] for name in schema.names[len(OWN) :]}
    return pa.table({**own, **further}, schema=schema)


def _pictures(table: pa.Table) -> list[Planned]:
    own = [name for name, _ in OWN]
    return [
        Planned(**{name: row.pop(name) for name in own}, columns=row)  # of which the further columns are left
        for row in table.to_pylist()
    ]
