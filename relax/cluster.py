"""Work on items spread over processes and machines by Ray, which does again what a worker that died had begun.

An actor of Ray is a worker; its pool gives each the next item when it is done with one, so that no more is under way
than there are workers, and memory does not grow with the number of items.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from encoders.errors import one_line
from encoders.values import described, is_whole

Item = TypeVar("Item")
Work: TypeAlias = Callable[[Item], dict[str, Any]]
"""Does one item, and says how it went, as JSON types."""
INSTALL = 'several workers need Ray; install it with: pip install "relax-explainer[ray]"'
SECONDS = 10.0  # until a machine that does not answer is none
STORE_BYTES = 1 << 30  # of memory at most for what is sent between the processes of one machine


def check_workers(workers: int | None, address: str | None) -> None:
    """Refuse what Ray cannot do here, before anything is loaded.

    Raises:
        ValueError: If it is no number of workers, or no address.
        ImportError: If Ray is needed and is not installed.
        ConnectionError: If nothing answers at the address.
    """
    if workers is not None and not is_whole(workers, 1):
        raise ValueError(f"workers must be a number of processes, 1 or more; got {described(workers)}")
    if address is not None and not isinstance(address, str):
        raise ValueError(f"ray must be the address of a Ray cluster; got {described(address)}")
    if needs_ray(workers, address):
        _ray()
    if address is not None:
        _check_answers(address)


def needs_ray(workers: int | None, address: str | None) -> bool:
    """Whether this is more than one process can do."""
    return address is not None or (workers or 1) > 1


def spread(
    make: Callable[[], Work[Item]], items: Sequence[Item], workers: int | None = None, address: str | None = None
) -> Generator[dict[str, Any], None, None]:
    """Do each item by one of several workers; the answers come as they are ready, in any order.

    An item is done at least once: it is done again if its worker, or the machine that it runs on, dies, so that doing
    it twice must leave the same.

    Args:
        make: Makes the work of a worker, in its process, to which it is sent.
        items: Small ones, as JSON types.
        workers: How many; None is one for each GPU of the cluster, or for each CPU if it has none.
        address: Of a Ray cluster, "auto" for one that runs here; None starts one on this machine and ends it.

    Raises:
        ImportError: If Ray is not installed.
        ConnectionError: If there is no cluster at the address, or Ray does not start here.
        RuntimeError: If a worker raises an error.
    """
    with connected(workers, address) as ray:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        wanted = workers or gpus or int(resources.get("CPU", 1))
        count = min(wanted, len(items))
        # by what was asked for, not by what is left to do: with other threads, sums are rounded otherwise
        threads = max(1, (os.cpu_count() or 1) // wanted) if address is None else None
        options = {"max_restarts": -1, "max_task_retries": -1, "num_gpus": 1 if gpus else 0}
        actor = ray.remote(scheduling_strategy="SPREAD", **options)(Worker)
        sent = [ray.put(make)]  # kept until the end: a worker that starts again needs it
        pool = ray.util.ActorPool([actor.remote(threads) for _ in range(count)])
        try:
            yield from pool.map_unordered(lambda worker, item: worker.work.remote(item, sent), list(items))
        except ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"a worker failed: {type(error.cause).__name__}: {one_line(error.cause)}") from error


class Worker:
    """What runs in the process of a worker.

    Args:
        threads: Of torch; None is what Ray has chosen.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._work: Work[Any] | None = None

    def work(self, item: Any, sent: list[Any]) -> dict[str, Any]:
        """Do an item, after what does it was taken from where Ray keeps it."""
        if self._work is None:
            import torch

            if self._threads is not None:
                torch.set_num_threads(self._threads)
            (make,) = _ray().get(sent)
            self._work = make()
        return self._work(item)


@contextmanager
def connected(workers: int | None, address: str | None) -> Iterator[Any]:
    """Ray with a cluster, as for `spread`, which inside the block uses it rather than one of its own."""
    ray = _ray()
    started = not ray.is_initialized()
    with _sigterm_as_it_was(), _in_words():
        if started and address is None:
            ray.init(
                address="local",
                num_cpus=workers,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _system_config={"worker_niceness": 0},  # its own 15 starves them on a machine that does other things
            )
        elif started:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse a host and port at which nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdecimal():  # "auto"
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"ray must be the address of a Ray cluster that runs, HOST:PORT as `ray start --head` says it; nothing "
            f"answers at {address} ({one_line(error)})"
        ) from None


@contextmanager
def _sigterm_as_it_was() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts, also when it cannot, and would keep it."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


@contextmanager
def _in_words() -> Iterator[None]:
    """Ray gives up where its processes take more than half a minute to start, with an error of no kind of its own."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionError(
            f"Ray did not start ({one_line(error)}): run the same again when this machine has less to do, or without "
            "workers"
        ) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        import ray
        import ray.util
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return ray
