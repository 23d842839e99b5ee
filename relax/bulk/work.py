"""What a worker does: one shard after the other, each until it is on the disk.

Every half minute what is done of a shard is kept as a part, so that a worker that is killed loses no more than that.
Masks come from the seed of the settings, the same for each picture as in `relax.explain`, so that a map depends on
neither the place of its picture, the shard nor the worker, but for rounding where pictures share a batch.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from encoders import Encoder, EncoderError
from relax.bulk.plan import Plan, Planned, digest
from relax.bulk.preparing import Prepared, prepared
from relax.bulk.record import read_record
from relax.bulk.rows import PictureMaps, schema_of, to_table
from relax.bulk.shards import (
    Failed,
    is_whole,
    kept,
    read_done,
    read_parts,
    read_shard,
    state_in,
    state_of,
    write_part,
    write_shard,
)
from relax.bulk.sharing import embedded_together, pictures_in_batch
from relax.cluster import Work
from relax.estimators.budget import Budget
from relax.files import WriteError
from relax.io.images import name_of
from relax.method import WatchImage, image_watcher, scene_maker
from relax.notes import collected, heeded
from relax.provenance import versions
from relax.settings import Settings

PART_SECONDS = 30.0  # of work that a kill may lose


@dataclass
class Shard:
    """A shard while it is made: the rows that there are, in tables, and what failed."""

    number: int
    pictures: list[Planned]
    tables: list[pa.Table] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def present(self) -> set[tuple[str, int | None, int | None]]:
        """Name and state of the pictures that have maps."""
        return {
            state_in(row) for table in self.tables for row in table.select(["name", "size", "modified"]).to_pylist()
        }

    def add(self, table: pa.Table) -> None:
        """Take the rows of pictures that are to be in it and are not yet."""
        wanted = {*map(state_of, self.pictures)} - self.present
        table = kept(table, lambda row: state_in(row) in wanted)
        if table.num_rows:
            self.tables.append(table)

    def table(self, schema: pa.Schema) -> pa.Table:
        """All rows, in the order of the plan."""
        whole = pa.concat_tables([schema.empty_table(), *self.tables]).combine_chunks()
        place = {name: at for at, name in enumerate(whole["name"].to_pylist())}
        order = [place[picture.name] for picture in self.pictures if picture.name in place]
        return whole.take(pa.array(order, pa.int64()))


class Worker:
    """Explains the pictures of shards.

    Args:
        folder: Of the run, with its plan and record.
        encoder: The encoder.
        settings: Those of the run.
        retry_failed: Whether pictures that failed before are tried again.
    """

    def __init__(self, folder: Path, encoder: Encoder, settings: Settings, *, retry_failed: bool = False) -> None:
        self.folder, self.retry_failed = folder, retry_failed
        self.plan, self.numbers = Plan.open(folder), read_record(folder)["numbers"]
        self.columns = self.plan.columns
        self.schema = schema_of(self.numbers, self.columns)
        self.watch: WatchImage = image_watcher(encoder, settings)
        self.make = scene_maker(encoder, settings)
        self.budget = Budget(settings.count, settings.estimation.tolerance, settings.execution.batch_size)
        self.together = 1 if self.make is None else pictures_in_batch(encoder, settings.hiding, self.budget)

    def steps(self, number: int) -> Generator[int, None, None]:
        """Make a shard, or what it lacks.

        Args:
            number: Of the shard.

        Yields:
            How many pictures were there already, and then how many more are done or have failed; when it ends, the
            shard is on the disk.

        Raises:
            WriteError: If it cannot be written.
            EncoderError: If the encoder fails on each of its pictures.
            KeyboardInterrupt: On Ctrl-C, after what is done was kept.
        """
        pictures = self.plan.shard(number)
        shard = self._begun(number, pictures)
        present = shard.present
        missing = [
            picture for picture in pictures if state_of(picture) not in present and picture.name not in shard.failed
        ]
        yield len(pictures) - len(missing)
        yield from self._explain(shard, missing)
        failed = [
            Failed(picture.name, shard.failed[picture.name], *picture.state)
            for picture in pictures
            if picture.name in shard.failed
        ]
        by = f"{platform.node()} process {os.getpid()}"
        shard.record |= {"by": by, "threads": torch.get_num_threads(), "versions": versions()}
        write_shard(self.folder, number, shard.table(self.schema), digest(pictures), failed, shard.record)

    def _begun(self, number: int, pictures: list[Planned]) -> Shard:
        """What there is of a shard: of earlier runs, or of one that was killed."""
        shard = Shard(number, pictures)
        done = read_done(self.folder, number)
        if done is not None and is_whole(self.folder, done):
            table = read_shard(self.folder, done)
            if table.schema.equals(self.schema):
                shard.add(table)
            if not self.retry_failed:
                states = {*map(state_of, pictures)}
                shard.failed = {row.name: row.reason for row in done.failed if row.state in states}
            shard.record = {"pictures": {**done.made.get("pictures", {})}}
        for table in read_parts(self.folder, number, self.schema):
            shard.add(table)
        return shard

    def _explain(self, shard: Shard, missing: Iterable[Planned]) -> Generator[int, None, None]:
        pending: list[PictureMaps] = []
        since, last_error, tried = time.monotonic(), None, 0
        seconds: dict[str, Any] = shard.record.setdefault("pictures", {})
        try:
            with heeded():
                for group in self._groups(shard, missing):
                    whole: list[PictureMaps] = []
                    for read in group:
                        try:
                            whole.append(self._maps_of(read))
                        except (WriteError, MemoryError):
                            raise
                        except Exception as error:  # of any kind: the other pictures must still be explained
                            shard.failed[read.picture.name], last_error = _reason(read.picture.address, error), error
                    pending, tried = pending + whole, tried + len(group)
                    seconds |= {maps.picture.name: maps.seconds for maps in whole}
                    yield len(group)
                    if time.monotonic() - since > PART_SECONDS:
                        pending, since = self._keep(shard, pending), time.monotonic()
        except BaseException:
            self._keep(shard, pending)
            raise
        if isinstance(last_error, EncoderError) and not pending and len(shard.failed) == tried > 1:
            raise last_error  # the encoder is at fault, not the pictures
        if pending:
            shard.add(to_table(pending, self.numbers, self.columns))

    def _groups(self, shard: Shard, missing: Iterable[Planned]) -> Generator[list[Prepared], None, None]:
        """Pictures that share a batch.

        Their places in the shard decide, and groups are kept as a whole, so that a run that was stopped goes on with
        the batches that it would have had.
        """
        places = {picture.name: place // self.together for place, picture in enumerate(shard.pictures)}
        reading = prepared(missing, self.make, self.together)
        for _, group in groupby(reading, key=lambda read: places[read.picture.name]):
            reads = [*group]
            scenes = iter(embedded_together([read.scene for read in reads if read.scene is not None], self.budget))
            yield [read if read.scene is None else replace(read, scene=next(scenes)) for read in reads]

    def _keep(self, shard: Shard, pending: list[PictureMaps]) -> list[PictureMaps]:
        """Write what came since the last part; returns what is pending then: nothing."""
        if pending:
            table = to_table(pending, self.numbers, self.columns)
            write_part(self.folder, shard.number, table)
            shard.add(table)
        return []

    def _maps_of(self, read: Prepared) -> PictureMaps:
        if read.error is not None:
            raise read.error
        with collected() as notes:
            (explanation,) = self.watch(read.scene or read.picture.address, in_view=True)
        return PictureMaps(read.picture, explanation, tuple(dict.fromkeys([*read.notes, *notes])))


def _reason(address: str, error: Exception) -> str:
    """What went wrong, in one line, without the name of the picture."""
    text = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
    return " ".join(text.removeprefix(f"{name_of(address)}: ").split())


def here(worker: Worker, shards: Sequence[int]) -> Generator[int, None, None]:
    """The pictures of the shards one by one, in this process."""
    for number in shards:
        yield from worker.steps(number)


def work_of(folder: Path, settings: Settings, retry_failed: bool, encoder: Encoder) -> Work[int]:
    """What a worker of a crew does with the number of a shard: arguments as for `Worker`."""
    worker = Worker(folder, encoder, settings, retry_failed=retry_failed)
    return lambda number: {"pictures": sum(worker.steps(number))}
