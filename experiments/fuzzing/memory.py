"""How much memory some work takes, and an end to it before the machine runs out. Needs /proc, as Linux has it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST = 2 << 30  # bytes of address space by which the process may grow


@dataclass
class Growth:
    """By how much the memory in use grew at its peak, in MiB."""

    mib: float = 0.0


@contextmanager
def growing(most: int = MOST) -> Iterator[Growth]:
    """Measure the growth inside; beyond `most` bytes of address space, memory is refused, a MemoryError in Python."""
    growth = Growth()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _kib("VmRSS")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_kib("VmSize") * 1024 + most, hard))
    try:
        yield growth
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        growth.mib = (_kib("VmHWM") - before) / 1024


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))
