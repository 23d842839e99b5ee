"""The line of explanations: so many run at once, the others wait and are told their place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Tell = Callable[[dict[str, Any]], None]  # an event for the page; may be called from any thread


class Job:
    """One explanation, waiting or running.

    Args:
        work: What it does, in a thread; it looks at `stopped` often, and calls `end` at last.
        tell: Sends an event to whoever waits for it.
    """

    def __init__(self, work: Callable[[Job], None], tell: Tell) -> None:
        self.work, self.tell = work, tell
        self._stopped, self._over = threading.Event(), threading.Event()
        self.line: Line | None = None

    @property
    def stopped(self) -> bool:
        """Whether it should end."""
        return self._stopped.is_set()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def stop(self) -> None:
        """Ask it to end; one that waits ends at once."""
        self._stopped.set()
        if self.line is not None and self.line.drop(self):
            self.end({"kind": "stopped", "words": "taken out of the line; nothing was computed"})

    def end(self, event: dict[str, Any]) -> None:
        """Tell the last event; from then on the next job may be asked for."""
        self._over.set()
        self.tell(event)


class Line:
    """Jobs in the order in which they came.

    Args:
        at_once: How many run at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, "explaining")
        self._waiting: list[Job] = []
        self._running = 0
        self._at_once = at_once
        self._lock = threading.Lock()

    def join(self, job: Job) -> None:
        """Let a job wait for its turn."""
        job.line = self
        with self._lock:
            self._waiting.append(job)
        self._pool.submit(self._turn)
        self._tell_places()

    def drop(self, job: Job) -> bool:
        """Take a job out if it still waits; whether it did."""
        with self._lock:
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)
        if waits:
            self._tell_places()
        return waits

    def close(self) -> None:
        """Take no more jobs; those that run should have been stopped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _turn(self) -> None:
        with self._lock:
            job = self._waiting.pop(0) if self._waiting else None
            self._running += job is not None
        if job is None:  # its job was taken out
            return
        self._tell_places()
        try:
            job.work(job)
        finally:
            with self._lock:
                self._running -= 1

    def _tell_places(self) -> None:
        with self._lock:
            ahead = max(0, self._running - self._at_once + 1)
            places = [(job, ahead + place) for place, job in enumerate(self._waiting)]
        for job, place in places:
            job.tell({"kind": "waiting", "ahead": place})
