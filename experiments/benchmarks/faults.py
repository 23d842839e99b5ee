"""Two nodes of Ray on this machine, whose workers, nodes and drivers are killed, whose files are damaged and whose disk
fills up: is anything lost or doubled, and is the content that of one process?

    python -m experiments.benchmarks.scale cluster
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from experiments.benchmarks.bulk_runs import FAST, compared, damage, files, pictures, slow_means
from experiments.benchmarks.children import Child, kill_tree, wait, wait_for, workers_below
from relax.bulk import work
from relax.bulk.explaining import explain_all

SHARD = 2  # pictures
COUNTS = ("worker_kills", "node_kills", "driver_kills", "damaged", "disk_full")


def cluster(count: int, worker_kills: int, runs: int, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The pictures by one process, by two workers and by two nodes; then by two nodes with faults, in several runs."""
    torch.set_num_threads(1)
    work.PART_SECONDS = 0.2
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  as Ray writes it; its own 15 starves workers here
    tar, reference = pictures(folder / "pictures.tar", count), folder / "one"
    _explain(tar, reference, None)  # here, so that all is imported before the first child
    import ray  # noqa: F401  likewise, now that the token is there; not started here, since children are copies

    rows: list[dict[str, Any]] = []

    def row(how: str, out: Path, start: float, **counts: int) -> None:
        seconds = round(time.monotonic() - start, 1)
        rows.append(
            {"how": how, **dict.fromkeys(COUNTS, 0), **counts, **compared(out, reference, count), "seconds": seconds}
        )
        print(rows[-1], flush=True)

    start = time.monotonic()
    _finish(tar, folder / "two", None)
    row("two workers", folder / "two", start)
    with _nodes(folder / "ray") as nodes:
        start = time.monotonic()
        _finish(tar, folder / "nodes", nodes.address)
        row("two nodes", folder / "nodes", start)
        for run in range(runs):
            start, out = time.monotonic(), folder / f"run-{run}"
            share = worker_kills * (run + 1) // runs - worker_kills * run // runs
            row("two nodes, disturbed", out, start, **_disturbed(tar, out, nodes, share, random.Random(run)))
        with _small_disk(folder / "disk", sum(map(_size, (reference / "shards").rglob("*.*"))) // 2) as enlarge:
            start, out = time.monotonic(), folder / "disk" / "out"
            try:
                _finish(tar, out, nodes.address)
            except RuntimeError as error:
                if "No space left" not in str(error):
                    raise
            else:
                raise AssertionError("the disk should be full")
            enlarge()
            _finish(tar, out, nodes.address)
            row("two nodes, disk full", out, start, disk_full=1)
    names = (*COUNTS, "lost", "doubled", "other_files")
    return rows, {"pictures": count, **{name: sum(row[name] for row in rows) for name in names}}


def _explain(tar: Path, out: Path, address: str | None, workers: int | None = None) -> None:
    explain_all(tar, slow_means, out=out, shard=SHARD, workers=workers, ray=address, progress=False, **FAST)


def _driver(tar: Path, out: Path, address: str | None) -> Child:
    """A child that spreads a run over two workers; what stops it is written beside the run."""
    return Child(partial(_explain, tar, out, address, 2), out.parent / f"{out.name}-error.txt")


def _finish(tar: Path, out: Path, address: str | None) -> None:
    _driver(tar, out, address).finish()


def _disturbed(tar: Path, out: Path, nodes: Nodes, worker_kills: int, rng: random.Random) -> dict[str, int]:
    """A run whose workers are killed again and again, then the second node, then the driver; then a file is damaged."""
    done = dict.fromkeys(COUNTS, 0)
    driver = _driver(tar, out, nodes.address)

    def until_more(ready: Callable[[], bool] = lambda: True) -> None:
        before = len(files(out))
        if wait(lambda: len(files(out)) > before and ready(), driver):
            raise AssertionError("the run ended before all kills: take more pictures")

    for _ in range(worker_kills):
        until_more(lambda: bool(nodes.workers()))
        wait_for(rng.uniform(0, 0.5), driver)
        rng.choice(nodes.workers()).kill()
        done["worker_kills"] += 1
        print(done, len(files(out)), flush=True)
    until_more()
    nodes.kill_second()
    done["node_kills"] = 1
    until_more()
    driver.kill()
    done["driver_kills"] = 1
    done["damaged"] = int(damage(out, rng))
    nodes.start_second()
    _finish(tar, out, nodes.address)
    return done


@dataclass
class Nodes:
    """Two nodes of a cluster of Ray, of which this machine may run others.

    Attributes:
        folder: For Ray's own files.
        port: Of the first node.
        first: Process of the first node.
        second: Process of the second node.
    """

    folder: Path
    port: int
    first: psutil.Process = field(init=False)
    second: psutil.Process = field(init=False)

    def __post_init__(self) -> None:
        self.first = self._start(
            "--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder}"
        )
        self.start_second()

    @property
    def address(self) -> str:
        """Of the cluster."""
        return f"127.0.0.1:{self.port}"

    def start_second(self) -> None:
        """Start the second node, or another in its place."""
        self.second = self._start(f"--address={self.address}")

    def kill_second(self) -> None:
        """SIGKILL to the second node and all that it has started."""
        kill_tree(self.second)

    def workers(self) -> list[psutil.Process]:
        """Processes of both nodes that do shards."""
        return [*workers_below(self.first.pid), *workers_below(self.second.pid)]

    def stop(self) -> None:
        """SIGKILL to all of it; `ray stop` would stop clusters of others, too."""
        for process in (self.second, self.first, *self._processes()):
            kill_tree(process)

    def _start(self, *options: str) -> psutil.Process:
        before = {process.pid for process in self._processes("raylet")}
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--object-store-memory=100000000"]
        subprocess.run([*ray, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        (node,) = (process for process in self._processes("raylet") if process.pid not in before)
        return node

    def _processes(self, name: str = "") -> list[psutil.Process]:
        """Those of this cluster, whose command lines name its folder."""
        processes = []
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or [""]
            if str(self.folder) in " ".join(line) and Path(line[0]).name.startswith(name):
                processes.append(process)
        return processes


@contextmanager
def _nodes(folder: Path) -> Iterator[Nodes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = Nodes(folder, port)
    try:
        yield nodes
    finally:
        nodes.stop()


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """A file system in memory of so many bytes, and what makes it large; root alone can make one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=256m", str(folder)], check=True) and None
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _size(path: Path) -> int:
    return path.stat().st_size
