"""Run cases in a process that may die or hang of one: a new one goes on with the next."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.fuzzing.case import Case
from experiments.fuzzing.judge import CRASH, HANG, Verdict
from experiments.fuzzing.samples import Sample

READY = "ready\n"  # what a process says once its libraries are loaded
LIMIT = 20.0  # seconds of processor time for one case; the good samples take a fraction of one
WAITING = 10  # times the limit that a case may take by the clock: something else may want the processor


@dataclass
class Runner:
    """Cases, one after the other.

    Attributes:
        table: The samples, as MODULE:NAME.
        samples: The same.
        folder: Where they are written.
        seed: Of all cases.
        limit: Seconds of processor time for one case.
        waiting: Times the limit that a case may take by the clock.
    """

    table: str
    samples: tuple[Sample, ...]
    folder: Path
    seed: int
    limit: float = LIMIT
    waiting: float = WAITING
    _child: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The row of each case, as it comes."""
        try:
            for number in numbers:
                yield self._row(number)
        finally:
            self._stop()

    def _row(self, number: int) -> dict[str, Any]:
        child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        sample = self.samples[number % len(self.samples)]
        file = self.folder / sample.name / sample.file
        good = file.read_bytes()
        try:
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
            verdict = self._wait(child)
            line = child.stdout.readline() if verdict is None else ""
        except BrokenPipeError:
            verdict, line = None, ""
        if line:
            row: dict[str, Any] = json.loads(line)
            return row
        if verdict is None:
            verdict = Verdict(CRASH, _death(child.wait()))
        self._stop()
        file.write_bytes(good)
        return Case.of(number, self.seed, self.samples, self.folder).row(verdict)

    def _wait(self, child: subprocess.Popen[str]) -> Verdict | None:
        """None, once there is an answer or the process is gone; else that it hangs."""
        start, used = time.monotonic(), _processor_seconds(child.pid)
        while not select.select([child.stdout], [], [], 0.2)[0]:
            waited = time.monotonic() - start
            if waited > self.limit * self.waiting:
                return Verdict(HANG, f"no answer after {waited:.0f} s")
            if _processor_seconds(child.pid) - used > self.limit * 1.5:
                return Verdict(HANG, f"no answer after {self.limit * 1.5:.0f} s of processor time")
        return None

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "experiments.fuzzing.child", self.table, str(self.folder)]
        command += ["--seed", str(self.seed), "--limit", str(self.limit)]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "CUDA_VISIBLE_DEVICES": ""}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables, start_new_session=True
        )
        assert self._child.stdout is not None
        if self._child.stdout.readline() != READY:
            raise RuntimeError(f"a process for cases does not start: {' '.join(command)}")
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _death(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # gone
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
