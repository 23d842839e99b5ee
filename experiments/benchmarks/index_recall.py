"""How much do the approximate indexes miss, and what do they cost? Recall@10 of hnsw and ivfpq against flat.

    OMP_NUM_THREADS=1 python -m experiments.benchmarks.index_recall

Vectors (N, 384) in clusters of some 200: centres evenly over the unit sphere, around each a Gaussian cloud, then
lengths that vary by 10 %, so that cosine and L2 order them differently. "flat" clouds have the same width in all 384
directions, which is the worst case: within a cluster everything is about as far from everything. "falling" ones have
widths that fall as 1 / sqrt(i) in a rotated frame, which makes about 26 effective dimensions, closer to embeddings of
images. 1,000 queries come from the same clusters. Every build is a process of its own on one thread; times are
processor times, which other programs on the machine lengthen less than they do wall-clock times.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.measuring import in_fresh_process, peak_mib
from experiments.benchmarks.mixture import Mixture
from experiments.options import Options
from experiments.record import write_results
from similarity.index import Index
from similarity.kinds import EF_CONSTRUCTION, EF_SEARCH, KINDS, LINKS, METRICS, PER_LIST, RERANKED

D, QUERIES, K = 384, 1000, 10
CASES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("flat", 10_000, METRICS),
    ("falling", 10_000, METRICS),
    ("falling", 100_000, METRICS),
    ("falling", 1_000_000, ("cosine",)),
)
CHUNK = 50_000


def write_vectors(path: Path, cloud: str, count: int, seed: int = 0) -> None:
    """Write (count + QUERIES, D) float32 to a .npy, a chunk at a time."""
    rng = np.random.default_rng(seed)
    mixture = Mixture(cloud, count, D, rng)
    total = count + QUERIES
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (total, D))
    for start in range(0, total, CHUNK):
        vectors[start : start + CHUNK] = mixture.draw(min(CHUNK, total - start), rng)
    vectors.flush()


def measure(path: Path, kind: str, metric: str, truth: Path) -> list[dict[str, Any]]:
    """Build and search one index in this process; flat writes the truth, the others are compared with it."""
    stored = np.load(path, mmap_mode="r")
    vectors, queries = stored[:-QUERIES], np.array(stored[-QUERIES:])
    before = peak_mib()
    start = time.process_time()
    index = Index.build(vectors, kind=kind, metric=metric)
    built = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index.faiss")
        size = (Path(folder) / "index.faiss").stat().st_size
    rows = []
    for exact in [False, True] if kind == "ivfpq" else [False]:
        start = time.process_time()
        _, ids = index.search(queries, K, (lambda numbers: vectors[numbers]) if exact else None)
        searched = time.process_time() - start
        if kind == "flat":
            np.save(truth, ids)
        hits = [len(set(a) & set(b)) for a, b in zip(ids.tolist(), np.load(truth).tolist(), strict=True)]
        rows.append(
            {
                "kind": "ivfpq, compared exactly" if exact else kind,
                "recall_at_10": round(sum(hits) / (K * QUERIES), 4),
                "build_cpu_s": round(built, 1),
                "search_cpu_ms_per_query": round(1000 * searched / QUERIES, 3),
                "index_mib": round(size / 2**20, 1),
                "peak_mib": round(peak_mib()),
                "peak_before_mib": round(before),
            }
        )
    return rows


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="leave out larger cases")
    parser.add_argument(
        "--one", nargs=4, metavar=("VECTORS", "KIND", "METRIC", "TRUTH"), help="measure in this process"
    )
    args = parser.parse_args()
    if args.one:
        path, kind, metric, truth = args.one
        print(json.dumps(measure(Path(path), kind, metric, Path(truth))))
        return
    rows: list[dict[str, Any]] = []
    for cloud, count, metrics in CASES:
        if count > args.most:
            continue
        with tempfile.TemporaryDirectory() as folder:
            vectors, truth = Path(folder) / "vectors.npy", Path(folder) / "truth.npy"
            write_vectors(vectors, cloud, count)
            for metric in metrics:
                for kind in KINDS:
                    rows += [
                        {"cloud": cloud, "vectors": count, "metric": metric, **row}
                        for row in measured_apart(vectors, kind, metric, truth)
                    ]
                    print(rows[-1], flush=True)
                    write_results("index_recall", rows, settings())  # so that a run that is cut short leaves its rows


def measured_apart(vectors: Path, kind: str, metric: str, truth: Path) -> list[dict[str, Any]]:
    """`measure` in a fresh process with one thread."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    arguments = ("--one", vectors, kind, metric, truth)
    rows: list[dict[str, Any]] = in_fresh_process(
        "experiments.benchmarks.index_recall", *arguments, environment=one_thread
    )
    return rows


def settings() -> dict[str, Any]:
    """How the indexes were built and searched."""
    import faiss

    return {
        "dimension": D,
        "queries": QUERIES,
        "hnsw": {"links": LINKS, "ef_construction": EF_CONSTRUCTION, "ef_search": EF_SEARCH},
        "ivfpq": {"vectors_per_list_in_training": PER_LIST, "candidates_per_neighbour": RERANKED},
        "threads": 1,
        "faiss": faiss.__version__,
    }


if __name__ == "__main__":
    main()
