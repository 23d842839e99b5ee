"""From what a user names to the pictures of a plan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relax.bulk.folder import PLAN
from relax.bulk.plan import Plan, Planned
from relax.io.choice import discreet_name, split_choice
from relax.io.elsewhere import is_elsewhere, is_url
from relax.io.errors import ImageError
from relax.io.sources import Row, Sources, sources_of, state_of


@dataclass
class Listed:
    """The pictures that are named, one after the other.

    Attributes:
        sources: What was named.
        columns: Names and types of further columns.
        passed_over: Name, why and detail of files that are no pictures.
    """

    sources: list[Sources]
    columns: pa.Schema = field(default_factory=lambda: pa.schema([]))

    @classmethod
    def of(cls, named: Sequence[str | Path], leave_out: Path | None = None) -> Listed:
        """List what is named, by absolute addresses, which hold for workers elsewhere; no picture is read.

        Raises:
            ImageError: If one of them names no picture, or cannot be listed.
        """
        sources = [sources_of(_absolute(name), leave_out=leave_out) for name in named]
        for name, source in zip(named, sources, strict=True):
            if not source.pictures:
                raise ImageError(f"{discreet_name(str(name))}: holds no picture that can be read")
            if source.pictures == [_absolute(name)] and not _is_there(source.pictures[0]):
                raise ImageError(f"{name}: no such file or folder")
            source.warn()
        schemas = [source.columns.schema for source in sources if source.columns is not None]
        if any(not schema.equals(schemas[0]) for schema in schemas):
            raise ImageError("tables of pictures must have the same columns, to be one run: make them one table")
        return cls(sources, *schemas[:1])

    @property
    def passed_over(self) -> list[Row]:
        """Name, why and detail of files that are no pictures."""
        return [row for source in self.sources for row in source.passed_over()]

    def __iter__(self) -> Iterator[Planned]:
        """The pictures; of several sources, named by their path in the folder that holds all of them."""
        roots = [source.root for source in self.sources if not source.prefix]
        root = Path(os.path.commonpath(roots)) if len(roots) > 1 else None
        several = len(self.sources) > 1
        for source in self.sources:
            named = source if root is None else replace(source, root=root)
            for address, columns in zip(source.pictures, _rows(source), strict=False):
                name = address if several and is_url(address) else named.name(address)
                yield Planned(name, address, *_state(address), columns)


@dataclass(frozen=True)
class Changes:
    """How a plan differs from that of an earlier run.

    Attributes:
        new, changed, gone: Pictures.
    """

    new: int = 0
    changed: int = 0
    gone: int = 0

    def __str__(self) -> str:
        counts = {"new": self.new, "changed since": self.changed, "no longer there, whose maps are kept": self.gone}
        return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


def up_to_date(folder: Path, listed: Listed, shard: int) -> tuple[Plan, Changes]:
    """The plan of a run, written anew where pictures are new or have changed; those that are gone stay in it.

    Raises:
        ValueError: If the plan of an earlier run is damaged, or has other columns.
        WriteError: If it cannot be written.
    """
    if not (folder / PLAN).is_file():
        plan = Plan.write(folder, listed, listed.columns, shard)
        names = pa.array(plan.names())
        if pc.count_distinct(names).as_py() != len(names):
            plan = Plan.write(folder, _each_once(listed), listed.columns, shard)
        return plan, Changes()
    plan = Plan.open(folder)
    if not plan.columns.equals(listed.columns):
        then, now = (", ".join(columns.names) or "none" for columns in (plan.columns, listed.columns))
        raise ValueError(
            f"the columns of the manifest must be those of the run in {folder}, {then}; got {now}: name another folder "
            "to write to"
        )
    by_name = {picture.name: picture for picture in listed}
    before = [picture for part in plan for picture in part]
    changed = sum(picture.name in by_name and by_name[picture.name] != picture for picture in before)
    gone = sum(picture.name not in by_name for picture in before)
    pictures = [by_name.pop(picture.name, picture) for picture in before]
    if by_name or changed:
        plan = Plan.write(folder, [*pictures, *by_name.values()], listed.columns, shard)
    return plan, Changes(len(by_name), changed, gone)


def _each_once(pictures: Iterable[Planned]) -> Iterator[Planned]:
    seen: set[str] = set()
    for picture in pictures:
        if picture.name not in seen:
            seen.add(picture.name)
            yield picture


def _rows(source: Sources) -> Iterator[dict[str, Any]]:
    """What else a table says of each picture."""
    if source.columns is None:
        yield from repeat({})
    else:
        for batch in source.columns.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()


def _absolute(name: str | Path) -> str:
    """The address for a worker elsewhere."""
    return str(name) if is_url(str(name)) else os.path.abspath(name)


def _is_there(address: str) -> bool:
    return is_elsewhere(address) or os.path.lexists(split_choice(address)[0])


def _state(address: str) -> tuple[int | None, int | None]:
    try:
        return state_of(address)
    except (OSError, ImageError):  # told when it is read
        return None, None
