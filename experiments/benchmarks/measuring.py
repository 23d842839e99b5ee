"""How time and memory are measured: the clock, the peak of a process, and processes that do one thing only."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def seconds(action: Callable[[], object]) -> float:
    """Time that an action takes, with everything that it leaves to a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mib() -> float:
    """Peak resident memory of this process in MiB; pages of mapped files count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_forked_process(function: Callable[..., Any], *arguments: object) -> Any:
    """The result of a function in a process that begins as a copy of this one, with a peak of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def resident_mib() -> float:
    """Resident memory of this process now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def in_fresh_process(module: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    """Run `python -m MODULE ARGUMENTS` and read the JSON that it prints.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    return in_watched_process(module, *arguments, environment=environment)[0]


def in_watched_process(
    module: str, *arguments: object, environment: dict[str, str] | None = None
) -> tuple[Any, dict[str, float]]:
    """As `in_fresh_process`, with its highest resident memory in GB, looked at ten times a second (Linux).

    Returns:
        The JSON, and {"peak_gb": of all, "anon_gb": of its own, "file_gb": of the files that it maps}.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    peaks = {"peak_gb": 0.0, "anon_gb": 0.0, "file_gb": 0.0}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:
        while process.poll() is None:
            for name, size in _resident_gb(process.pid).items():
                peaks[name] = round(max(peaks[name], size), 3)
            time.sleep(0.1)
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(printed), peaks


def _resident_gb(process: int) -> dict[str, float]:
    """Resident memory of a process now; nothing if it has just ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {
        line.split(":")[0]: int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(("VmRSS", "Rss"))
    }
    names = {"peak_gb": "VmRSS", "anon_gb": "RssAnon", "file_gb": "RssFile"}
    return {name: sizes[field] for name, field in names.items() if field in sizes}
