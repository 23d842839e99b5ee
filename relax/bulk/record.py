"""run.json: by which encoder and settings a run is made. Another run is not continued with its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from encoders import Encoder
from encoders.identity import differences, recipe
from relax.bulk.folder import RECORD
from relax.directions import read_direction
from relax.files import written_aside
from relax.provenance import versions
from relax.records import read_record as read
from relax.references import reference_name
from relax.settings import Settings

FORMAT = 1
TYPES: dict[str, Any] = {
    "format": int,
    "encoder": {"name": str},
    "settings": dict,
    "question": dict,
    "shard": int,
    "numbers": str,
    "sources": list,
}
"""Of the entries that are read again."""


def record_of(encoder: Encoder, settings: Settings, shard: int, numbers: str, sources: Sequence[str]) -> dict[str, Any]:
    """What determines the maps of a run, and how it came about, as JSON types."""
    request = settings.request
    record = {
        "format": FORMAT,
        "encoder": recipe(encoder),
        "settings": settings.record(),
        "question": {
            "method": request.method,
            "reference": reference_name(request.reference),
            "foil": reference_name(request.foil),
            "direction": None if request.direction is None else read_direction(request.direction).record(),
        },
        "shard": shard,
        "numbers": numbers,
        "sources": list(sources),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(record))
    return as_json


def read_record(folder: Path) -> dict[str, Any]:
    """run.json.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or of a later format.
    """
    return read(folder / RECORD, TYPES, FORMAT, f"delete {folder}, and run again")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write run.json."""
    with written_aside(folder / RECORD) as aside:
        aside.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_same(record: dict[str, Any], current: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run by another encoder, or under other settings.

    Raises:
        ValueError: Names what differs, as it was and as it is.
    """
    then, now = record["encoder"], current["encoder"]
    if different := differences(then, now):
        raise ValueError(
            f"{folder} holds maps through encoder {then['name']!r}, and {now['name']!r} has another "
            f"{', '.join(different)}: name another folder to write to"
        )
    for entry in ("settings", "question"):
        for name, value in current[entry].items():
            if (was := record[entry].get(name)) != value:
                raise ValueError(
                    f"{name} must be that of the run in {folder}, {was!r}; got {value!r}: name another folder to write "
                    "to"
                )
    for name, word in (("shard", "pictures in a shard"), ("numbers", "type of the maps' numbers")):
        if record[name] != current[name]:
            raise ValueError(
                f"{name} is the {word}, and must stay that of the run in {folder}, {record[name]!r}; got "
                f"{current[name]!r}"
            )
