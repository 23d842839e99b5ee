"""Is the standard error honest? How often do 95 % intervals cover the truth?

    python -m experiments.studies.coverage --images FOLDER
    python -m experiments.studies.coverage --images FOLDER --encoder sscd --truth 15000 --name coverage_sscd

Per image: the truth comes from 50,000 masks; then 12,000 other masks are cut into independent estimates of 300, 1,000
and 3,000 masks each, and the share of pixels and estimates is counted whose importance +- 1.96 standard errors covers
the truth. The truth has an error of its own, which lowers the coverage of a perfect interval from 0.950 to 0.949, 0.947
and 0.943, and further with fewer masks (--truth, for slow encoders): "best_possible" in the results says to what.
"""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

import relax
from encoders import Encoder
from experiments.data.pictures import photographs_in
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from masking import RandomGrid
from relax.estimators.blocks import BlockedMoments, averages
from relax.metrics.calibration import Z95, coverage
from similarity import cosine

TRUTH, POOL, SIZES = 50_000, 12_000, (300, 1000, 3000)


def moments_of(scores: Tensor, grid: RandomGrid, start: int, stop: int) -> BlockedMoments:
    """Moments of masks `start` to `stop - 1`, whose scores are `scores[start:stop]`."""
    moments = averages(grid)
    for first in range(start, stop, 500):
        last = min(first + 500, stop)
        moments.add(scores[first:last], grid.masks(first, last))
    return moments


def covered(image: Path, encoder: Encoder, seed: int, truth_masks: int) -> dict[str, float | str]:
    """Share of pixels and estimates, per number of masks, whose interval covers the truth."""
    truth_probe = relax.probe(str(image), encoder, masks=truth_masks, seed=seed + 1_000_000, preset="paper-rise")
    truth_scores = cosine(truth_probe.embeddings, truth_probe.image_embedding)
    size = truth_probe.scene.size
    truth = moments_of(truth_scores, RandomGrid(size, seed=seed + 1_000_000), 0, truth_masks).importance

    probe = relax.probe(str(image), encoder, masks=POOL, seed=seed, preset="paper-rise")
    scores, grid = cosine(probe.embeddings, probe.image_embedding), RandomGrid(size, seed=seed)
    row: dict[str, float | str] = {"image": image.stem}
    for count in SIZES:
        inside = []
        for start in range(0, POOL, count):
            estimate = moments_of(scores, grid, start, start + count)
            maps = (estimate.importance, estimate.standard_error, truth)
            inside.append(coverage(*(values.cpu().numpy() for values in maps)))
        row[f"coverage_{count}"] = round(sum(inside) / len(inside), 4)
    return row


def best_possible(count: int, truth_masks: int) -> float:
    """Coverage of a perfect interval from `count` masks when the truth itself is estimated from `truth_masks`."""
    return math.erf(Z95 / math.sqrt(1 + count / truth_masks) / math.sqrt(2))


def main() -> None:
    parser = Options(__doc__)
    parser.add_images(20)
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--truth", type=int, default=TRUTH, help="masks that the truth comes from")
    parser.add_seed()
    parser.add_name("coverage")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    rows = []
    for number, path in enumerate(photographs_in(args.images, args.count, offset=0)):
        rows.append(covered(path, encoder, args.seed + number, args.truth))
        print(rows[-1], flush=True)
    summary = {
        "encoder": {"name": encoder.name, "checksum": encoder.checksum},
        "seed": args.seed,
        "truth_masks": args.truth,
        "coverage": {
            count: {
                "mean": round(sum(float(row[f"coverage_{count}"]) for row in rows) / len(rows), 4),
                "lowest_image": min(row[f"coverage_{count}"] for row in rows),
                "highest_image": max(row[f"coverage_{count}"] for row in rows),
                "best_possible": round(best_possible(count, args.truth), 4),
            }
            for count in SIZES
        },
    }
    write_results(args.name, rows, summary)
    print(summary["coverage"])


if __name__ == "__main__":
    main()
