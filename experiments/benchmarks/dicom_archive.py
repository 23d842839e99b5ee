"""Does an archive of DICOM survive a kill? Indexed and audited, killed in the middle, continued; time and peak memory.

    python -m experiments.benchmarks.dicom_archive --files 1000

The archive is synthetic (`experiments/data/dicom_archive.py`). `relax index` and `relax audit` run as commands, are
killed (SIGKILL) once they have kept something, and run again; an index that nobody killed must hold the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.dicom_archive import write_archive
from experiments.options import Options
from experiments.record import write_results
from relax.archive.archive import Archive, load_archive
from relax.archive.parts import kept_images
from relax.io.sources import PASSED_OVER

AUDIT = ("--masks", "128", "--explain", "8", "--hide", "16", "--layouts", "pca")


def main() -> None:
    options = Options(__doc__)
    options.add_argument("--files", type=int, default=1000)
    options.add_argument("--size", type=int, default=192, help="px of a picture's side")
    options.add_name("dicom_archive")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = write_archive(folder / "disk", args.files, args.size)
        named = f"{folder / 'disk'}#frame=all"
        index, audit, whole = folder / "index", folder / "audit", folder / "whole"
        maps = lambda: len(list((audit / "maps").glob("*"))) if (audit / "maps").is_dir() else 0  # noqa: E731
        rows = [
            run("index, killed", ["index", named, "--out", index], until=lambda: kept_images(index)),
            run("index, continued", ["index", named, "--out", index]),
            run("index, once more", ["index", named, "--out", index]),
            run("index, never killed", ["index", named, "--out", whole]),
            run("audit, killed", ["audit", named, "--out", audit, *AUDIT], until=lambda: maps() >= 12 and maps()),
            run("audit, continued", ["audit", named, "--out", audit, *AUDIT]),
        ]
        summary = {"files": kinds, **compared(load_archive(index), load_archive(whole))}
        summary["passed_over"] = len((index / PASSED_OVER).read_text().splitlines()) - 1
        summary["report"] = (audit / "report.html").is_file()
    write_results(args.name, rows, {**summary, "peak_mib": max(row["peak_mib"] for row in rows)})
    print(summary)


def run(stage: str, command: list[Any], until: Callable[[], int] | None = None) -> dict[str, Any]:
    """Run `relax COMMAND`, and kill it once `until` says how much is kept; seconds and peak memory of the process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "relax", *map(str, command), "--quiet"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    kept = 0
    while until is not None and not kept and process.poll() is None:
        time.sleep(0.2)
        kept = until()
    if until is not None:
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return {
        "stage": stage,
        "exit": os.waitstatus_to_exitcode(status),
        "kept_when_killed": kept or "",
        "seconds": round(time.perf_counter() - start, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def compared(killed: Archive, whole: Archive) -> dict[str, Any]:
    """Whether an archive that was killed and continued is that of an undisturbed run."""
    return {
        "pictures": len(killed),
        "failed": len(killed.failed),
        "same_pictures": [row.path for row in killed.rows] == [row.path for row in whole.rows],
        "largest_difference": float(np.abs(killed.embeddings - whole.embeddings).max()),
    }


if __name__ == "__main__":
    main()
