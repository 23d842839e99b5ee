"""Copies of this process that do a task and are killed meanwhile, and the workers of Ray below a process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


class Child:
    """A copy of this process that does a task: begun at once, since all is imported.

    Args:
        task: What it does.
        errors: A file for the error that ends it.
    """

    def __init__(self, task: Callable[[], Any], errors: Path) -> None:
        self.errors = errors
        self.pid = os.fork()
        if self.pid == 0:
            try:
                task()
                os._exit(0)
            except BaseException as error:
                errors.write_text(f"{type(error).__name__}: {error}")
                os._exit(1)

    def has_ended(self) -> bool:
        """Whether the task is done.

        Raises:
            RuntimeError: If it failed, with its error.
        """
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return pid != 0 and self._succeeded(status)

    def finish(self) -> None:
        """Wait until the task is done; raises as `has_ended`."""
        self._succeeded(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _succeeded(self, status: int) -> bool:
        if status != 0:
            raise RuntimeError(self.errors.read_text() if self.errors.exists() else f"ended with status {status}")
        return True


def wait(until: Callable[[], bool], child: Child, pause: float = 0.1, seconds: float = 900) -> bool:
    """Wait until something is so; whether the child has ended before.

    Raises:
        RuntimeError: If the child failed.
        TimeoutError: If neither comes.
    """
    end = time.monotonic() + seconds
    while not until():
        if child.has_ended():
            return True
        if time.monotonic() > end:
            raise TimeoutError("nothing happens any more")
        time.sleep(pause)
    return False


def wait_for(seconds: float, child: Child, pause: float = 0.1) -> bool:
    """Wait so long; whether the child has ended before, see `wait`."""
    moment = time.monotonic() + seconds
    return wait(lambda: time.monotonic() >= moment, child, pause)


def workers_below(pid: int) -> list[psutil.Process]:
    """The workers of Ray among the descendants of a process."""
    return [process for process in _below(pid) if _title(process).startswith("ray::Worker")]


def kill_tree(process: psutil.Process) -> None:
    """SIGKILL to a process and all that it has started."""
    for each in [*_below(process.pid), process]:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _below(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        yield from psutil.Process(pid).children(recursive=True)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, IndexError):
        return process.cmdline()[0]
    return ""
