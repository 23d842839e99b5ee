"""Runs of thousands of pictures: does memory stay flat, do kills lose or double anything, what do two workers gain?

    python -m experiments.benchmarks.scale kills
    python -m experiments.benchmarks.scale memory
    python -m experiments.benchmarks.scale cluster
    python -m experiments.benchmarks.scale workers
    python -m experiments.benchmarks.scale index
    python -m experiments.benchmarks.scale index_kills
    python -m experiments.benchmarks.scale photographs
    python -m experiments.benchmarks.scale rate
    python -m experiments.benchmarks.scale figure

kills: one process is killed (SIGKILL) at random moments and started again, and now and then a byte of a file that is
done is changed; the files are then compared with those of a run that nobody disturbed. memory: peak of a process that
makes maps of pictures in a tar. cluster: two workers, and Ray on this machine as two nodes: workers, nodes and drivers
are killed, files damaged, the disk fills up (root alone can make one that does).
workers: pictures per second by one worker and by two, and what Ray Data's `map_batches` takes for the same forward
passes alone. index, index_kills: `relax index` by one process, by one worker and by two, and archives whose drivers
and workers were killed. photographs: what reading the next photograph of 12 megapixels meanwhile gains. rate: seconds
of a pass with all that is around it. figure: results/scale.json and docs/images/scale.png, of what the other parts
left.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import relax
from experiments.benchmarks import indexing
from experiments.benchmarks.bulk_runs import FAST, compared, damage, files, means, pictures, summary_of
from experiments.benchmarks.children import Child, wait, wait_for
from experiments.benchmarks.faults import cluster
from experiments.benchmarks.measuring import in_fresh_process, peak_mib
from experiments.benchmarks.scale_figure import summarise
from experiments.options import Options
from experiments.record import IMAGES, RESULTS, write_results
from relax.bulk import work
from relax.bulk.explaining import explain_all
from relax.method import scene_maker

PARTS = ("kills", "memory", "cluster", "workers", "index", "index_kills", "photographs", "rate", "figure")
PAUSE = 0.005  # seconds between two looks at a process that is to be killed


def kills(count: int, wanted: int, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Kill a run so many times, in as many runs as that takes."""
    torch.set_num_threads(1)
    work.PART_SECONDS = 0.2
    tar, rng, rows = pictures(folder / "pictures.tar", count), random.Random(0), []

    def explain(out: Path) -> Callable[[], Any]:
        return lambda: explain_all(tar, means, out=out, shard=16, **FAST)

    start = time.monotonic()
    explain(folder / "undisturbed")()  # here, so that all is imported before the first child
    seconds = time.monotonic() - start
    while sum(row["kills"] for row in rows) < wanted:
        out = folder / f"run-{len(rows)}"
        row = {"run": len(rows), "kills": 0, "damaged": 0}
        while not _ends(child := Child(explain(out), folder / "error.txt"), out, rng):
            if sum(row["kills"] for row in rows) + row["kills"] == wanted:
                child.finish()
                break
            child.kill()
            row["kills"] += 1
            print(row, len(files(out)), flush=True)
            row["damaged"] += rng.random() < 0.2 and damage(out, rng)
        rows.append({**row, **compared(out, folder / "undisturbed", count)})
        print(rows[-1], flush=True)
    summary = {name: sum(row[name] for row in rows) for name in ("kills", "damaged", "lost", "doubled", "other_files")}
    return rows, {"pictures": count, "runs": len(rows), **summary, "seconds_undisturbed": round(seconds, 1)}


def _ends(child: Child, out: Path, rng: random.Random) -> bool:
    """Whether a process ends before a random moment: some of its files are written, and less than 0.1 s have passed."""
    before, more = _written(out), rng.randrange(5)
    in_time = wait(lambda: len(_written(out) - before) >= more, child, PAUSE)
    return in_time or wait_for(rng.uniform(0, 0.1), child, PAUSE)


def _written(out: Path) -> set[str]:
    """Names of files of shards and of parts of them."""
    return {name for folder in ("shards/000", "parts") if (out / folder).is_dir() for name in os.listdir(out / folder)}


def memory(counts: list[int]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Peak resident memory of a process by the number of pictures: maps at random, which take no passes."""
    rows = []
    for count in counts:
        start = time.monotonic()
        peak = in_fresh_process("experiments.benchmarks.scale", "memory", "--one", count)
        seconds = time.monotonic() - start
        rows.append({"pictures": count, "peak_mib": round(peak, 1), "seconds": round(seconds, 1)})
        print(rows[-1], flush=True)
    return rows, {"growth": round(rows[-1]["peak_mib"] / rows[0]["peak_mib"], 3)}


def peak_of(count: int) -> float:
    """Peak in MiB of this process after a run of so many pictures."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        tar = pictures(Path(name) / "pictures.tar", count)
        maps = explain_all(tar, means, out=Path(name) / "maps", method="random", device="cpu")
        if len(maps) != count:
            raise AssertionError(f"{maps!r} should have {count} maps")
    return peak_mib()


def photographs(
    encoder: str, count: int, masks: int, runs: int, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Seconds per photograph of 12 megapixels, read while the one before is explained, or after it, in turn."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    (folder / "photographs").mkdir()
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((4000, 3000), Image.Resampling.BICUBIC).save(folder / "photographs" / f"{number}.jpg", quality=90)
    network, rows = relax.load_encoder(encoder, device="cpu"), []
    for run in range(runs + 1):
        for ahead in (True, False):
            work.scene_maker = scene_maker if ahead else lambda *_: None  # type: ignore[assignment]
            start, out = time.perf_counter(), folder / f"{run}-{ahead}"
            explain_all(folder / "photographs", network, out=out, masks=masks, progress=False)
            seconds = (time.perf_counter() - start) / count
            if run:  # the first warms up
                how = "read ahead" if ahead else "one after the other"
                rows.append({"how": how, "run": run, "seconds": round(seconds, 3), "load": os.getloadavg()[0]})
                print(rows[-1], flush=True)
    first, second = (np.array([row["seconds"] for row in rows[place::2]]) for place in range(2))
    about = {"encoder": encoder, "masks": masks, "pictures": count, "runs": runs}
    return rows, about | {"gain": summary_of(second / first), "peak_mib": round(peak_mib(), 1)}


def rate(encoder: str, masks: int, runs: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Seconds of one picture with all that is around its passes, by one thread, after one that warms up."""
    torch.set_num_threads(1)
    network = relax.load_encoder(encoder, device="cpu")
    picture, rows = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8), []
    for run in range(runs + 1):
        start = time.perf_counter()
        relax.explain(picture, network, masks=masks, progress=False)
        if run:
            seconds = time.perf_counter() - start
            rows.append({"run": run, "seconds": round(seconds, 3), "ms_per_pass": round(1000 * seconds / masks, 3)})
            print(rows[-1], flush=True)
    median = float(np.median([row["ms_per_pass"] for row in rows]))
    return rows, {"encoder": encoder, "masks": masks, "runs": runs, "ms_per_pass": round(median, 3)}


def workers(
    encoder: str, count: int, masks: int, runs: int, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Pictures per second, without the start of the workers: one worker, two and the yardstick in turn."""
    tar = pictures(folder / "pictures.tar", count, side=96)
    rows: list[dict[str, Any]] = []
    for run in range(runs):
        for number in (1, 2):
            pace = pace_of(tar, encoder, masks, number, folder / f"{run}-by-{number}")
            rows.append({"how": f"{number} workers", "run": run, "pictures_per_second": round(pace, 4)})
            rows[-1]["load"] = os.getloadavg()[0]
        how = "Ray Data map_batches, 2 actors, forward passes alone"
        pace = bare(encoder, count, masks)
        rows.append({"how": how, "run": run, "pictures_per_second": round(pace, 4), "load": os.getloadavg()[0]})
        print(*rows[-3:], sep="\n", flush=True)
    one_worker, two_workers, yardstick = (
        np.array([row["pictures_per_second"] for row in rows[place::3]]) for place in range(3)
    )  # fmt: skip
    about = {"encoder": encoder, "masks": masks, "pictures": count, "runs": runs}
    return rows, about | {"gain": summary_of(two_workers / one_worker), "of_bare": summary_of(two_workers / yardstick)}


def pace_of(tar: Path, encoder: str, masks: int, number: int, out: Path) -> float:
    """Pictures per second between the first file and the last, each of two pictures."""
    torch.set_num_threads(1)
    explain_all(tar, encoder, out=out, shard=2, workers=number, masks=masks, device="cpu")
    times = sorted(path.stat().st_mtime for path in (out / "shards").rglob("*.parquet"))
    return 2 * (len(times) - number) / (times[-1] - times[number - 1])


def bare(encoder: str, count: int, masks: int) -> float:
    """Pictures per second that as many forward passes make in Ray Data, in batches of 64, first batch to last."""
    import ray

    class Bare:
        def __init__(self) -> None:
            torch.set_num_threads(1)
            self.encoder = relax.load_encoder(encoder, device="cpu")

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            views = torch.rand(64, 3, *self.encoder.preprocess.size)
            return {"at": [time.time()], "sum": [float(self.encoder.embed(views).sum())], "id": batch["id"][:1]}

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False,
             _system_config={"worker_niceness": 0})  # fmt: skip
    batches = -(-count * masks // 64)
    data = ray.data.range(batches, override_num_blocks=-(-batches // 8))  # 8 passes a block: little is left of its cost
    data = data.map_batches(Bare, batch_size=1, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1)
    times = sorted(row["at"] for row in data.iter_rows())
    ray.shutdown()
    return (len(times) - 2) * 64 / masks / (times[-1] - times[1])


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, help="pictures")
    parser.add_argument("--kills", type=int, help="how many; 50, of workers in a cluster and of index 20")
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000], help="of memory")
    parser.add_argument("--encoder", default="default", help="of workers, index, photographs and rate")
    parser.add_argument("--masks", type=int, default=512, help="of workers, photographs and rate")
    parser.add_argument("--runs", type=int, default=3, help="of cluster, workers, index, photographs and rate")
    parser.add_argument("--one", type=int, help="measure the memory of this many in this process")
    args = parser.parse_args()
    if args.one:
        print(peak_of(args.one))
        return
    if args.part == "figure":
        write_results("scale", *summarise(RESULTS, IMAGES / "scale.png"))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.part == "kills":
            rows, summary = kills(args.count or 400, args.kills or 50, folder)
        elif args.part == "memory":
            rows, summary = memory(args.counts)
        elif args.part == "cluster":
            rows, summary = cluster(args.count or 60, args.kills or 20, args.runs, folder)
        elif args.part == "index":
            rows, summary = indexing.throughput(args.encoder, args.count or 8192, args.runs, folder)
        elif args.part == "index_kills":
            rows, summary = indexing.kills(args.count or 500, args.kills or 20, folder)
        elif args.part == "photographs":
            rows, summary = photographs(args.encoder, args.count or 8, args.masks, args.runs, folder)
        elif args.part == "rate":
            rows, summary = rate(args.encoder, args.masks, args.runs)
        else:
            rows, summary = workers(args.encoder, args.count or 24, args.masks, args.runs, folder)
    write_results(f"scale_{args.part}", rows, summary)


if __name__ == "__main__":
    main()
