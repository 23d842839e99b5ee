"""A shard on the disk: its Parquet file with the checksum in its name, and the record that it is done.

The record is written last. It names the file, so that two workers who do the same shard, as after a node that was taken
for lost, leave one whole shard and a file that nobody names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from relax.bulk.folder import PARTS, SHARDS, shard_folder, undamaged
from relax.bulk.plan import Planned
from relax.files import written_aside
from relax.records import check_record, missing_entries, read_json

TYPES: dict[str, Any] = {
    "shard": int,
    "file": str,
    "sha256": str,
    "plan": str,
    "rows": int,
    "failed": list,
    "made": dict,
}
NAMED = 12  # digits of the checksum in a name


class Failed(NamedTuple):
    """A picture without maps, the reason, and the state of its file then."""

    name: str
    reason: str
    size: int | None
    modified: int | None

    @property
    def state(self) -> tuple[str, int | None, int | None]:
        """As `state_of` a picture."""
        return self.name, self.size, self.modified


@dataclass(frozen=True)
class Done:
    """That a shard is done.

    Attributes:
        shard: Its number.
        file: The name of its file, in the same folder.
        sha256: Of the file.
        plan: `relax.bulk.plan.digest` of the pictures that it was made for.
        rows: How many have maps.
        failed: The others.
        made: Seconds and time of each picture, and by what, which may differ from run to run.
    """

    shard: int
    file: str
    sha256: str
    plan: str
    rows: int
    failed: list[Failed]
    made: dict[str, Any]


def write_shard(
    folder: Path, number: int, table: pa.Table, plan: str, failed: Sequence[Failed], record: dict[str, Any]
) -> Done:
    """Write a shard: first its file, then that it is done.

    Raises:
        WriteError: If one of them cannot be written.
    """
    content = parquet_bytes(table)
    checksum = sha256(content).hexdigest()
    place = shard_folder(folder, number)
    name = f"{number:06d}-{checksum[:NAMED]}.parquet"
    with written_aside(place / name) as aside:
        aside.write_bytes(content)
    done = Done(number, name, checksum, plan, table.num_rows, list(failed), record)
    with written_aside(place / f"{number:06d}.json") as aside:
        aside.write_text(json.dumps(asdict(done), ensure_ascii=False) + "\n", encoding="utf-8")
    forget_parts(folder, number)
    return done


def parquet_bytes(table: pa.Table) -> bytes:
    """The file of a table: the same bytes for the same rows."""
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd", row_group_size=max(1, table.num_rows))
    return bytes(stream.getvalue())


def read_done(folder: Path, number: int) -> Done | None:
    """The record of a shard; None if it is not done, or its record is damaged."""
    path = shard_folder(folder, number) / f"{number:06d}.json"
    try:
        record = read_json(path.read_bytes())
        check_record(record, TYPES)
        if missing_entries(record, TYPES) or Path(record["file"]).name != record["file"] or record["shard"] != number:
            return None
        return Done(**{**{name: record[name] for name in TYPES}, "failed": [Failed(*row) for row in record["failed"]]})
    except (OSError, ValueError, TypeError):
        return None


def is_whole(folder: Path, done: Done) -> bool:
    """Whether the file of a shard is there, byte for byte."""
    return _has_checksum(shard_folder(folder, done.shard) / done.file, done.sha256)


def read_shard(folder: Path, done: Done, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a shard.

    Raises:
        FileNotFoundError: If its file is gone.
        ValueError: If it is damaged.
    """
    path = shard_folder(folder, done.shard) / done.file
    with undamaged(path):
        return pq.read_table(path, columns=None if columns is None else list(columns), partitioning=None)


def write_part(folder: Path, number: int, table: pa.Table) -> None:
    """Keep rows of a shard that is not done.

    Raises:
        WriteError: If they cannot be written.
    """
    content = parquet_bytes(table)
    with written_aside(folder / PARTS / f"{number:06d}-{sha256(content).hexdigest()}.parquet") as aside:
        aside.write_bytes(content)


def read_parts(folder: Path, number: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows that are kept of a shard; parts that are damaged or of other columns count as not there."""
    for path in sorted((folder / PARTS).glob(f"{number:06d}-*.parquet")):
        if _has_checksum(path, path.stem.partition("-")[2]):
            with undamaged(path):
                table = pq.read_table(path, partitioning=None)
            if table.schema.equals(schema):
                yield table


def kept_in_parts(folder: Path) -> int:
    """How many pictures of shards that are not done are kept."""
    count = 0
    for path in (folder / PARTS).glob("*.parquet"):
        with suppress(Exception):  # a damaged one counts as not there
            count += pq.read_metadata(path).num_rows
    return count


def forget_parts(folder: Path, number: int) -> None:
    """Delete what was kept of a shard, which is done."""
    for path in (folder / PARTS).glob(f"{number:06d}-*.parquet"):
        path.unlink(missing_ok=True)


def sweep_unnamed(folder: Path) -> None:
    """Delete files of shards that no record names, and parts of shards that are done; only while no worker writes."""
    for place in (folder / SHARDS).glob("*"):
        files = {path.name: path for path in place.glob("*.parquet")}
        records = {int(name.partition("-")[0]) for name in files}
        named = {done.file for number in records if (done := read_done(folder, number)) is not None}
        for name, path in files.items():
            if name not in named:
                path.unlink(missing_ok=True)
    for path in (folder / PARTS).glob("*.parquet"):
        if read_done(folder, int(path.name.partition("-")[0])) is not None:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / PARTS).rmdir()


def kept(table: pa.Table, wanted: Callable[[dict[str, Any]], bool]) -> pa.Table:
    """The rows of which a name and a state are wanted."""
    about = table.select(["name", "size", "modified"]).to_pylist()
    return table.filter(pa.array([wanted(row) for row in about], pa.bool_()))


def state_in(row: dict[str, Any]) -> tuple[str, int | None, int | None]:
    """Name and state of a row."""
    return row["name"], row["size"], row["modified"]


def state_of(picture: Planned) -> tuple[str, int | None, int | None]:
    """Name and state of a picture of the plan."""
    return picture.name, *picture.state


def _has_checksum(path: Path, checksum: str) -> bool:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest() == checksum
    except OSError:
        return False
