"""What `relax diff` takes beside embedding, by the number of pictures: processor seconds and memory of one process.

    OMP_NUM_THREADS=1 python -m experiments.benchmarks.diff_scale

Embeddings are random: 100 clusters in spaces of 512 and 256 numbers, different ones for the two encoders, so that there
is nothing to find. Each number of pictures has a process of its own. results/diff_scale.csv has a row for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.measuring import in_forked_process, peak_mib
from experiments.options import Options
from experiments.record import write_results
from relax.auditing.layout import lay_out
from relax.differences.ranks import sample_of, sights
from relax.differences.redraws import redrawn

NEIGHBOURS, CLUSTERS, WIDTHS, SPREAD = 20, 100, (512, 256), 0.7


def space(count: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """(count, width) embeddings around random centres."""
    centres = random.standard_normal((CLUSTERS, width), dtype=np.float32)
    noise = random.standard_normal((count, width), dtype=np.float32)
    embeddings: NDArray[np.float32] = centres[random.integers(CLUSTERS, size=count)] + np.float32(SPREAD) * noise
    return embeddings


def processor_seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return round(time.process_time() - start, 1)


def measured(count: int, seed: int) -> dict[str, Any]:
    """The parts of one comparison."""
    random = np.random.default_rng(seed)
    a, b = (space(count, width, random) for width in WIDTHS)
    sample = sample_of(count, seed)
    seconds = {
        "ranking": processor_seconds(lambda: sights(a, b, sample, NEIGHBOURS)),
        "noise": processor_seconds(lambda: redrawn((a[sample], b[sample]), NEIGHBOURS, seed=seed)),
        "maps_of_the_spaces": processor_seconds(lambda: [lay_out(each, "tsne", seed=seed) for each in (a, b)]),
    }
    return {"pictures": count, **seconds, "all": round(sum(seconds.values()), 1), "peak_mib": round(peak_mib())}


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[2000, 100_000], help="pictures")
    parser.add_seed()
    parser.add_name("diff_scale")
    args = parser.parse_args()
    rows = []
    for count in args.counts:
        rows.append(in_forked_process(measured, count, args.seed))
        print(rows[-1], flush=True)
    ratio = rows[-1]["all"] / rows[0]["all"]
    write_results(args.name, rows, {"neighbours": NEIGHBOURS, "seed": args.seed, "last_over_first": round(ratio, 2)})


if __name__ == "__main__":
    main()
