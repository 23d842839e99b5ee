"""How every experiment writes its results: a table, and a JSON file with the summary and how it was produced."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from relax.files import written_aside
from relax.provenance import versions
from relax.text import csv_text

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parent.parent / "docs" / "images"


def machine() -> dict[str, Any]:
    """Processor, cores, threads, GPU and system."""
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
    }


def write_results(name: str, rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Write `results/NAME.csv` with one row per measurement and `results/NAME.json` with the summary."""
    columns = list(rows[0])
    if unknown := {column for row in rows for column in row} - {*columns}:
        raise ValueError(f"rows must have the columns of the first, {', '.join(columns)}; got {', '.join(unknown)}")
    table = csv_text([columns, *([row.get(column, "") for column in columns] for row in rows)])
    with written_aside(RESULTS / f"{name}.csv") as aside:
        aside.write_text(table, encoding="utf-8", newline="")
    record = {
        "command": shlex.join(["python", "-m", _running_module(), *map(_without_folder, sys.argv[1:])]),
        **summary,
        "machine": machine(),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_aside(RESULTS / f"{name}.json") as aside:
        aside.write_text(json.dumps(record, indent=1) + "\n")


def _running_module() -> str:
    """The name after `python -m`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else "__main__"


def _without_folder(argument: str) -> str:
    """The last part of a path that exists: where data lie on this machine is private."""
    return Path(argument).name if Path(argument).exists() else argument


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
