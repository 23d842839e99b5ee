"""Does a vision transformer give the same map when hidden patches are left out instead of filled, and how much sooner?

    OMP_NUM_THREADS=1 python -m experiments.studies.token_drop
    OMP_NUM_THREADS=1 python -m experiments.studies.token_drop --encoder vit --name token_drop_vit

The same masks of whole patches, half of them hidden, once filled with the mean pixel and once left out
(`fill="drop"`): correlation of the two maps, beside that of two maps with different masks and the same fill, the most
that this number of masks allows. Speed: the two in turn, round after round; the median ratio of their times.

By default the weights are random, since no trained ones are at hand offline. Such a network never learnt to fill in
hidden patches, so agreement on it says nothing about a trained one; "vit" is the small trained one of
`experiments.recipes.train_vit`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from experiments.benchmarks.measuring import seconds
from experiments.data.pictures import SMEAR
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import map_correlation, median_and_range

FILLS = ("mean", "drop")


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoder", default="random:timm:vit_tiny_patch16_224", help=NAMES)
    parser.add_name("token_drop")
    parser.add_masks(1000)
    parser.add_rounds(7)
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)

    def importance(fill: str, masks: int, seed: int = 0) -> NDArray[np.float32]:
        return relax.explain(SMEAR, encoder, masks=masks, regions="patches", fill=fill, seed=seed).importance

    def correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
        return round(map_correlation(first, second), 4)

    maps = {fill: importance(fill, args.masks) for fill in FILLS}
    other_maps = {fill: importance(fill, args.masks, seed=1) for fill in FILLS}
    rows: list[dict[str, Any]] = []
    for number in range(args.rounds):
        mean, drop = [seconds(lambda fill=fill: importance(fill, 100)) for fill in FILLS]
        row = {"round": number, "mean_s": mean, "drop_s": drop, "times_faster": mean / drop}
        rows.append({name: round(value, 4) for name, value in row.items()})
        print(rows[-1], flush=True)
    summary = {
        "encoder": args.encoder,
        "masks": args.masks,
        "map_correlation": {
            "drop with mean, same masks": correlation(maps["mean"], maps["drop"]),
            "mean with mean, other masks": correlation(maps["mean"], other_maps["mean"]),
            "drop with drop, other masks": correlation(maps["drop"], other_maps["drop"]),
        },
        "times_faster": median_and_range([row["times_faster"] for row in rows]),
    }
    write_results(args.name, rows, summary)
    print(summary)


if __name__ == "__main__":
    main()
