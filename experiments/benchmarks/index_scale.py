"""What does an index of ten million embeddings take on the disk, in memory and in time, and what does it miss?

    OMP_NUM_THREADS=1 python -m experiments.benchmarks.index_scale --folder scratch

Vectors (N, 384) of `experiments/benchmarks/mixture.py`, in falling clouds, lie in ten files. An index is built of them
in a stream, searched in its file, and rewritten without 1 % of its vectors and with as many new ones. Recall@10 is
against the nearest by cosine, of products of 200 queries with all vectors. Each step is a process of its own on one
thread, whose resident memory is looked at ten times a second; 0.45 GB of it and 0.69 GB of mapped files are those of
torch and faiss. "Cold" is the mean of the first 20 searches after the system gave up what it keeps of index and
vectors, "warm" that of 200, one after the other, that were all made before. What is done stays in the folder (15.4 GB
of vectors for 10 million), and the same command goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.measuring import in_watched_process
from experiments.benchmarks.mixture import Mixture
from experiments.options import Options
from experiments.record import write_results
from relax.files import written_aside
from similarity.index import Index
from similarity.kinds import KINDS
from similarity.opening import opened
from similarity.streaming import rewrite_index, write_index
from similarity.vectors import Ids, Lookup, Vectors, forget, unit

D, QUERIES, K, SHARDS = 384, 200, 10, 10
DEPTH = 50  # nearest vectors that are kept, so that ten are left when some are removed
BLOCK = 2**15  # vectors that are drawn, and compared, at once
FIRST = 20  # searches that are called cold
INDEX, CHANGED, TRUTH = "index.faiss", "changed.faiss", "truth.npy"


class Files:
    """The vectors of a measurement: ten shards of N / 10, and N / 100 more that are added later, under the ids from N.

    Attributes:
        folder: Where everything lies.
        count: N.
    """

    def __init__(self, folder: Path, count: int) -> None:
        if count % 100:
            raise SystemExit(f"--count must be a multiple of 100; got {count}")
        self.folder, self.count = folder, count
        self._sizes = [count // SHARDS] * SHARDS + [count // 100]
        self.paths = [folder / f"{number:02d}.npy" for number in range(SHARDS + 1)]

    def write(self) -> None:
        """Make the files that are not there, and the queries."""
        mixture = Mixture("falling", self.count, D, np.random.default_rng(0))
        for number, (path, size) in enumerate(zip(self.paths, self._sizes, strict=True), 1):
            if path.exists():
                continue
            rng = np.random.default_rng([0, number])
            with written_aside(path) as aside:
                vectors = np.lib.format.open_memmap(aside, "w+", np.float32, (size, D))
                for start in range(0, size, BLOCK):
                    vectors[start : start + BLOCK] = mixture.draw(min(BLOCK, size - start), rng)
                vectors.flush()
        np.save(self.folder / "queries.npy", mixture.draw(QUERIES, np.random.default_rng([0, 0])))

    def shards(self) -> list[Vectors]:
        """Memory-mapped; the last are those that are added."""
        return [np.load(path, mmap_mode="r") for path in self.paths]

    def queries(self) -> Vectors:
        """(200, D)."""
        queries: Vectors = np.load(self.folder / "queries.npy")
        return queries

    def removed(self) -> Ids:
        """(N / 100,) ids, at random."""
        return np.random.default_rng(1).choice(self.count, self._sizes[-1], replace=False)

    def lookup(self) -> Lookup:
        """From ids to vectors, read from the files."""
        shards = self.shards()

        def vectors_of(ids: Ids) -> Vectors:
            vectors, numbers = np.empty((len(ids), D), np.float32), ids // self._sizes[0]
            for number in np.unique(numbers):
                here = numbers == number
                vectors[here] = shards[number][ids[here] - number * self._sizes[0]]
            return vectors

        return vectors_of


def compare(files: Files, _: str) -> dict[str, Any]:
    """Find the true neighbours of the queries."""
    return _timed(lambda: np.save(files.folder / TRUTH, nearest(files.queries(), files.shards())))


def nearest(queries: Vectors, shards: list[Vectors]) -> Ids:
    """(Q, DEPTH) numbers of the vectors with the largest cosines, descending, all compared with all."""
    best, ids = np.full((len(queries), DEPTH), -np.inf, np.float32), np.full((len(queries), DEPTH), -1)
    queries, first = unit(queries), 0
    for shard in shards:
        for start in range(0, len(shard), BLOCK):
            block = unit(shard[start : start + BLOCK])
            scores, rows = faiss.knn(queries, block, DEPTH, faiss.METRIC_INNER_PRODUCT)
            scores, numbers = np.concatenate([best, scores], 1), np.concatenate([ids, first + start + rows], 1)
            order = np.argsort(-scores, axis=1)[:, :DEPTH]
            best, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)
        first += len(shard)
        forget(shard)
    return ids


def build(files: Files, kind: str) -> dict[str, Any]:
    """Write the index of all shards but the last."""
    return _timed(lambda: write_index(files.folder / INDEX, files.shards()[:-1], kind=kind))


def encode(files: Files, _: str) -> dict[str, Any]:
    """Assign vectors to the lists of an ivfpq index, and assign and compress them: microseconds of processor each."""
    index = opened(files.folder / INDEX, mapped=True)
    vectors = unit(files.shards()[-1][:BLOCK])
    assigned, both = _timed(partial(index.quantizer.assign, vectors, 1)), _timed(partial(index.sa_encode, vectors))
    return {"assign_us": 1e6 * assigned["cpu_s"] / len(vectors), "encode_us": 1e6 * both["cpu_s"] / len(vectors)}


def rewrite(files: Files, _: str) -> dict[str, Any]:
    """Write it without some vectors and with those of the last shard."""
    added = files.shards()[-1]
    change = [(added, np.arange(files.count, files.count + len(added)))]
    return _timed(
        lambda: rewrite_index(files.folder / INDEX, files.folder / CHANGED, removed=files.removed(), added=change)
    )


def search(files: Files, _: str) -> dict[str, Any]:
    """Search the index as it was built."""
    return _searches(files, INDEX, lambda ids: ids < files.count)


def search_changed(files: Files, _: str) -> dict[str, Any]:
    """Search the index as it was changed."""
    removed = files.removed()
    return _searches(files, CHANGED, lambda ids: ~np.isin(ids, removed))


def _searches(files: Files, name: str, present: Callable[[Ids], NDArray[np.bool_]]) -> dict[str, Any]:
    """Times and recall of searches in a file, from compressed vectors alone and with exact ones."""
    truth = [row[present(row)][:K] for row in np.load(files.folder / TRUTH)]
    row: dict[str, Any] = {"gb_on_disk": (files.folder / name).stat().st_size / 1e9}
    for how in ("", "_exact"):
        for path in [*files.paths, files.folder / name]:
            _give_up(path)
        start = time.perf_counter()
        index, lookup = Index.load(files.folder / name, mapped=True), files.lookup() if how else None
        row["open_s"] = time.perf_counter() - start
        (_, cold), (ids, warm) = (_searched(index, files.queries(), lookup) for _ in range(2))
        row[f"cold_ms{how}"], row[f"warm_ms{how}"] = cold[:FIRST, 0].mean(), warm[:, 0].mean()
        row[f"warm_cpu_ms{how}"] = warm[:, 1].mean()
        if not (present(ids) & (ids >= 0)).all():
            raise AssertionError("a search returned a vector that is not there")
        hits = [len(np.intersect1d(a, b)) for a, b in zip(ids, truth, strict=True)]
        row[f"recall_at_10{how}"] = sum(hits) / (K * QUERIES)
    return {name: round(float(value), 4) for name, value in row.items()}


def _searched(index: Index, queries: Vectors, lookup: Lookup | None) -> tuple[Ids, NDArray[np.float64]]:
    """Ids (Q, K) of searches one after the other, and of each (Q, 2) the milliseconds by the clock and of processor."""
    times, ids = np.empty((len(queries), 2)), []
    for number, query in enumerate(queries):
        before = np.array([time.perf_counter(), time.process_time()])
        ids.append(index.search(query[None], K, lookup)[1])
        times[number] = 1000 * (np.array([time.perf_counter(), time.process_time()]) - before)
    return np.concatenate(ids), times


def _timed(action: Callable[[], object]) -> dict[str, Any]:
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - processor, 2),
    }


def _give_up(path: Path) -> None:
    """Let the system forget what it keeps of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


STEPS = {step.__name__: step for step in (build, compare, search, rewrite, search_changed, encode)}


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="scratch: it and what is in it stays")
    parser.add_argument("--kind", choices=KINDS, default="ivfpq")
    parser.add_count(10_000_000, "vectors")
    parser.add_name("index_scale")
    parser.add_argument("--step", choices=STEPS, help="measure in this process")
    args = parser.parse_args()
    files = Files(args.folder, args.count)
    if args.step:
        print(json.dumps(STEPS[args.step](files, args.kind)))
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    files.write()
    rows: list[dict[str, Any]] = []
    for step in STEPS if args.kind == "ivfpq" else [step for step in STEPS if step != "encode"]:
        rows.append(row_of(step, args.folder, args.kind, args.count))
        columns = dict.fromkeys(column for row in rows for column in row)
        table = [{column: row.get(column, "") for column in columns} for row in rows]
        write_results(args.name, table, settings(args))  # so that a run that is cut short leaves its rows


def row_of(step: str, folder: Path, kind: str, count: int) -> dict[str, Any]:
    """What a step measured, now or before."""
    kept = folder / f"{step}.json"
    if not kept.exists():
        arguments = ("--folder", folder, "--kind", kind, "--count", count, "--step", step)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        measured, memory = in_watched_process("experiments.benchmarks.index_scale", *arguments, environment=one_thread)
        with written_aside(kept) as aside:
            aside.write_text(json.dumps({"step": step, **measured, **memory}))
    row: dict[str, Any] = json.loads(kept.read_text())
    print(row, flush=True)
    return row


def settings(args: Any) -> dict[str, Any]:
    """What was measured."""
    about = {"kind": args.kind, "vectors": args.count, "dimension": D, "queries": QUERIES}
    return {**about, "threads": 1, "faiss": faiss.__version__}


if __name__ == "__main__":
    main()
