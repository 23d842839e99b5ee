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
    command = [sys.executable, "-m", module, *map(str, arguments)]
    variables = {**os.environ, **(environment or {})}
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return json.loads(run.stdout)
