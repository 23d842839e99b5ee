"""The files of a run.

    run.json                   how it is made, so that a run under other settings is not mixed with it
    plan.parquet               the pictures, in shards
    shards/000/000012.json     that shard 12 is done: the name and checksum of its file, what failed, and why
    shards/000/000012-9a3f….parquet   its maps
    parts/                     what is done of shards that are not
    manifest.json              what is done, what failed and why, of the whole run; written when it ends or is stopped
    passed_over.csv            what was passed over or failed, for a table program

The .json of a shard is written last, aside and renamed, and is what counts: what is on the disk without one is nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from relax import records

RECORD, PLAN, MANIFEST, SHARDS, PARTS = "run.json", "plan.parquet", "manifest.json", "shards", "parts"
TOGETHER = 1000  # shards in a folder


def is_run(folder: str | Path) -> bool:
    """Whether a folder holds a run."""
    return (Path(folder) / RECORD).is_file() and (Path(folder) / PLAN).is_file()


def shard_folder(folder: Path, number: int) -> Path:
    """Where the files of a shard lie."""
    return folder / SHARDS / f"{number // TOGETHER:03d}"


def undamaged(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a damaged file makes its reader raise into a ValueError that names it."""
    return records.undamaged(path, "delete its folder, and run the command again")
