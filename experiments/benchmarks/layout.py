"""How long does a map of very many images take, and does it keep neighbours?

    python -m experiments.benchmarks.layout

Embeddings of 256 numbers: groups of different sizes and spreads, each a plane of eight directions of its own within
noise. Measured are the seconds of the processor and, for 2,000 images, the share of their 10 nearest on the map that
belong to their group, beside that in the space itself. Of more than 5,000 images, most are placed amid others.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from experiments.options import Options
from experiments.record import write_results
from relax.auditing.layout import lay_out
from relax.auditing.neighbours import unit

GROUPS, WIDTH, JUDGED, NEIGHBOURS = 40, 256, 2000, 10


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 100_000], help="images")
    parser.add_argument("--methods", nargs="+", default=["tsne"], help="tsne, umap, pca")
    parser.add_name("layout")
    args = parser.parse_args()
    rows = []
    for count in args.sizes:
        points, groups = embeddings(count)
        judged = np.random.default_rng(1).permutation(count)[:JUDGED]
        for method in args.methods:
            start = time.process_time()
            layout = lay_out(points, method)
            row: dict[str, Any] = {"images": count, "method": method, "seconds": round(time.process_time() - start, 1)}
            row |= {"arranged": layout.arranged, "of_its_group": same_group(layout.points, groups, judged)}
            row["in_the_space"] = same_group(unit(points), groups, judged)
            rows.append(row)
            print(row, flush=True)
    write_results(args.name, rows, {"groups": GROUPS, "width": WIDTH, "rows": rows})


def embeddings(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count, 256) and the group of each, the largest group some twenty times the smallest."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.05, 1, GROUPS)
    groups = rng.choice(GROUPS, count, p=shares / shares.sum())
    middles, planes = rng.normal(size=(GROUPS, WIDTH)), rng.normal(size=(GROUPS, 8, WIDTH))
    points = np.empty((count, WIDTH), np.float32)
    for group in range(GROUPS):
        members = groups == group
        spread = rng.normal(size=(members.sum(), 8)) @ planes[group]
        points[members] = middles[group] + 0.3 * spread + 0.5 * rng.normal(size=(members.sum(), WIDTH))
    return points, groups


def same_group(points: NDArray[np.floating], groups: NDArray[np.int64], judged: NDArray[np.int64]) -> float:
    """Share of the nearest that belong to the same group."""
    if points.shape[1] > 2:
        import faiss

        index = faiss.IndexFlatL2(points.shape[1])
        index.add(np.ascontiguousarray(points, dtype=np.float32))
        nearest = index.search(np.ascontiguousarray(points[judged], dtype=np.float32), NEIGHBOURS + 1)[1]
    else:
        nearest = cKDTree(points).query(points[judged], k=NEIGHBOURS + 1)[1]
    return round(float((groups[nearest[:, 1:]] == groups[judged][:, None]).mean()), 3)


if __name__ == "__main__":
    main()
