"""How every experiment leaves its results: a table and a JSON file that says how it was made."""

from __future__ import annotations

import csv
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

RESULTS = Path(__file__).parent / "results"


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
    with written_aside(RESULTS / f"{name}.csv") as aside, aside.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    made = {
        "command": shlex.join(["python", "-m", _running_module(), *map(_without_folder, sys.argv[1:])]),
        **summary,
        "machine": machine(),
        "versions": dict(versions()),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_aside(RESULTS / f"{name}.json") as aside:
        aside.write_text(json.dumps(made, indent=1) + "\n")


def _running_module() -> str:
    """What stands after `python -m`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else "__main__"


def _without_folder(argument: str) -> str:
    """Where the data lie on this machine is nobody else's business."""
    return Path(argument).name if Path(argument).exists() else argument


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
