"""`relax index` by workers: pictures per second, and archives whose drivers and workers are killed.

    python -m experiments.benchmarks.scale index
    python -m experiments.benchmarks.scale index_kills

Pictures per second are counted from the moment when as many shards (by one process: batches) are done as there are
workers to the last; what passed before that, less the passes in it, is the start. The archives of all that make one are
compared byte for byte, but for archive.json, which says how long it took.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.benchmarks.bulk_runs import pictures, slow_bundled, summary_of
from experiments.benchmarks.children import Child, wait_for, workers_below
from relax.archive.archive import load_archive, make_archive
from relax.archive.files import EMBEDDINGS, INDEX, TABLE
from relax.cluster import connected
from relax.scene import EncoderSource

SIDE = 96  # px of a picture
HOW = {"one process": None, "1 worker": 1, "2 workers": 2}


def throughput(encoder: str, count: int, runs: int, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Pictures per second and the start, by one process, by one worker and by two, in turn."""
    _prepare()
    tar = pictures(folder / "pictures.tar", count, side=SIDE)
    make_archive(pictures(folder / "few.tar", 64, side=SIDE), encoder, folder / "few")  # warms up
    rows = []
    for run in range(runs):
        for how, workers in HOW.items():
            out = folder / f"{run}-{how}"
            row = {"how": how, "run": run, **_timed(tar, encoder, out, workers), "load": os.getloadavg()[0]}
            rows.append({**row, "other_files": _others(out, folder / "0-one process")})
            print(rows[-1], flush=True)
    paces = [np.array([row["pictures_per_second"] for row in rows if row["how"] == how]) for how in HOW]
    one_process, one_worker, two_workers = paces
    about = {"encoder": encoder, "pictures": count, "side": SIDE, "runs": runs}
    about |= {
        "gain": summary_of(two_workers / one_worker),
        "gain_over_one_process": summary_of(two_workers / one_process),
    }
    for column in ("pictures_per_second", "start_seconds", "seconds"):
        about[column] = {how: summary_of(np.array([row[column] for row in rows if row["how"] == how])) for how in HOW}
    return rows, about | {"other_files": sum(row["other_files"] for row in rows)}


def kills(count: int, wanted: int, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Two workers and what drives them, killed so many times at random moments, in as many runs as that takes."""
    _prepare()
    tar = pictures(folder / "pictures.tar", count, side=SIDE)
    _index(tar, folder / "undisturbed")  # by one process, here, so that all is imported before the first child
    import ray  # noqa: F401  likewise, now that the token is there; not started here, since children are copies

    start = time.monotonic()
    rows: list[dict[str, Any]] = []
    rng, rest, seconds = random.Random(0), 0, 0.0
    while not rows or rest > 0:
        out = folder / f"run-{len(rows)}"
        done = _disturbed(tar, out, seconds, rest, rng)
        rows.append({"run": len(rows), **done, **_compared(out, folder / "undisturbed", count)})
        print(rows[-1], flush=True)
        if len(rows) == 1:  # nobody disturbed it: the moments are in so much time
            rest, seconds = wanted, time.monotonic() - start
        rest -= sum(done.values())
    names = ("driver_kills", "worker_kills", "lost", "doubled", "other_files")
    about = {"pictures": count, "runs": len(rows), "seconds_undisturbed": round(seconds, 1)}
    return rows, about | {name: sum(row[name] for row in rows) for name in names}


def _prepare() -> None:
    torch.set_num_threads(1)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _timed(tar: Path, encoder: EncoderSource, out: Path, workers: int | None) -> dict[str, float]:
    """Of an index: pictures per second, seconds before the first is embedded, and seconds of all."""
    reports: list[tuple[float, int]] = []

    def report(done: int, total: int) -> None:
        reports.append((time.perf_counter(), done))

    start = time.perf_counter()
    with ExitStack() as cluster:
        if workers == 1:  # which, without a cluster, would be this process
            cluster.enter_context(connected(1, None))
        ray = "auto" if workers == 1 else None
        make_archive(tar, encoder, out, workers=workers, ray=ray, progress=report)
    seconds = time.perf_counter() - start
    first, last = reports[workers or 1], reports[-1]  # after the one of 0
    pace = (last[1] - first[1]) / (last[0] - first[0])
    start_seconds = first[0] - start - first[1] / pace
    return {
        "pictures_per_second": round(pace, 1),
        "start_seconds": round(start_seconds, 1),
        "seconds": round(seconds, 1),
    }


def _index(tar: Path, out: Path, workers: int | None = None) -> None:
    make_archive(tar, slow_bundled, out, batch_size=8, workers=workers, progress=False)


def _disturbed(tar: Path, out: Path, seconds: float, most: int, rng: random.Random) -> Counter[str]:
    """An index of which the driver or a worker is killed at random moments, so many times at most, until it is done."""
    done = Counter(driver_kills=0, worker_kills=0)
    driver = _driver(tar, out)
    while done.total() < most and not wait_for(rng.uniform(0, seconds), driver):
        workers = workers_below(driver.pid)
        if workers and rng.random() < 0.5:
            rng.choice(workers).kill()
            done["worker_kills"] += 1
        else:
            driver.kill()
            driver = _driver(tar, out)
            done["driver_kills"] += 1
        print(dict(done), flush=True)
    if done.total() == most:
        driver.finish()
    return done


def _index_by_two(tar: Path, out: Path) -> None:
    """Again and again, where the machine has so much to do that Ray does not start."""
    while True:
        try:
            return _index(tar, out, 2)
        except ConnectionError as error:
            print(error, flush=True)


def _driver(tar: Path, out: Path) -> Child:
    return Child(partial(_index_by_two, tar, out), out.parent / f"{out.name}-error.txt")


def _compared(out: Path, undisturbed: Path, count: int) -> dict[str, int]:
    """How many pictures are lost and doubled, and files other than in the archive that nobody disturbed."""
    names = load_archive(out).paths
    return {
        "lost": count - len(set(names)),
        "doubled": len(names) - len(set(names)),
        "other_files": _others(out, undisturbed),
    }


def _others(out: Path, undisturbed: Path) -> int:
    """Files of an archive that differ from those of another."""
    return sum((out / name).read_bytes() != (undisturbed / name).read_bytes() for name in (EMBEDDINGS, INDEX, TABLE))
