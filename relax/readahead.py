"""Work of a few threads that are some items ahead of the one who uses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from typing import Any, TypeVar

READERS = min(4, cpu_count() or 1)  # threads that read and decode pictures

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(work: Callable[[Item], Result], items: Iterable[Item], limit: int) -> Iterator[Result]:
    """`work` of each item, in order, by threads that are up to `limit` items ahead."""
    running: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(READERS)
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) >= limit:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
