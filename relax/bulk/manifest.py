"""manifest.json: what is done of a run, what failed and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relax.bulk.folder import MANIFEST
from relax.bulk.plan import Plan, Planned, digest
from relax.bulk.shards import Done, is_whole, read_done
from relax.files import written_aside
from relax.io.choice import discreet_name
from relax.io.sources import CANNOT_BE_USED, Row


@dataclass
class Standing:
    """How far a run is.

    Attributes:
        pictures: In the plan.
        explained: With maps on the disk, in shards that are done.
        failed: Name and reason.
        pending: Shards that are not done, or not as they are planned, or damaged.
        damaged: How many of these had a file that is not what was written.
    """

    pictures: int
    explained: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    damaged: int = 0

    @classmethod
    def of(cls, folder: Path, plan: Plan, *, retry_failed: bool = False, check: bool = True) -> Standing:
        """Compare the shards on the disk with the plan.

        Args:
            folder: Of the run.
            plan: Its plan.
            retry_failed: Whether shards with failures count as pending.
            check: Whether to read every file for its checksum.
        """
        standing = cls(plan.pictures)
        for number, (pictures, done) in enumerate(_beside(folder, plan)):
            whole = done is not None and (not check or is_whole(folder, done))
            standing.damaged += done is not None and not whole
            if done is None or not whole or done.plan != digest(pictures) or (retry_failed and done.failed):
                standing.pending.append(number)
            if done is not None and whole:
                standing.explained += done.rows
                standing.failed += [(row.name, row.reason) for row in done.failed]
        return standing

    def passed_over(self, plan: Plan) -> list[Row]:
        """Rows of passed_over.csv: a hash for a name that may be a patient's."""
        reasons = dict(self.failed)
        failed = (picture for shard in plan for picture in shard if picture.name in reasons) if reasons else ()
        return [(_discreet(picture), CANNOT_BE_USED, reasons[picture.name]) for picture in failed]


def write_manifest(folder: Path, plan: Plan, about: dict[str, Any]) -> Path:
    """Write what is done, shard by shard, what failed and why, and further entries."""
    shards, failed, missing, explained = [], [], 0, 0
    for number, (pictures, done) in enumerate(_beside(folder, plan)):
        if done is None:
            missing += len(pictures)
            continue
        explained += done.rows
        missing += max(0, len(pictures) - done.rows - len(done.failed))
        shards.append({"shard": number, "file": done.file, "sha256": done.sha256, "rows": done.rows})
        failed += [{"name": row.name, "why": row.reason} for row in done.failed]
    record = {
        **about,
        **{"pictures": plan.pictures, "explained": explained, "missing": missing},
        **{"failed": failed, "shards": shards},
    }
    with written_aside(folder / MANIFEST) as aside:
        aside.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder / MANIFEST


def _beside(folder: Path, plan: Plan) -> Iterator[tuple[list[Planned], Done | None]]:
    """The pictures of each shard, and its record."""
    for number, pictures in enumerate(plan):
        yield pictures, read_done(folder, number)


def _discreet(picture: Planned) -> str:
    return picture.name if discreet_name(picture.address) == picture.address else discreet_name(picture.address)
