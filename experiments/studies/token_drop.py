"""Is a vision transformer that is not shown hidden patches explained alike, and how much sooner?

    OMP_NUM_THREADS=1 python -m experiments.studies.token_drop
    OMP_NUM_THREADS=1 python -m experiments.studies.token_drop --encoder vit --name token_drop_vit

The same masks of whole patches, half of them hidden, once filled with the mean pixel and once left out
(`fill="drop"`): correlation of the two maps, beside that of two maps with different masks and the same fill, which is
what the number of masks allows. Speed: the two in turn, round after round; the median ratio of their times.

By default the network's weights are random, because none are at hand offline. Such a network was never trained to fill
in what it does not see, so the agreement here says that the two fills ask nearly the same question of it, and not what
they would ask of a trained one: "vit" is the small one of `experiments.recipes.train_vit`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

import relax
from experiments.benchmarks.overhead import seconds
from experiments.named import encoder_named
from experiments.record import write_results

PICTURE = Path(__file__).parents[1] / "samples" / "blood_smear.jpg"
FILLS = ("mean", "drop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="random:timm:vit_tiny_patch16_224")
    parser.add_argument("--name", default="token_drop", help="of the files in results/")
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)

    def importance(fill: str, masks: int, seed: int = 0) -> torch.Tensor:
        made = relax.explain(PICTURE, encoder, masks=masks, regions="patches", fill=fill, seed=seed)
        return torch.from_numpy(made.importance[np.isfinite(made.importance)])

    def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
        return round(float(torch.corrcoef(torch.stack([one, other]))[0, 1]), 4)

    maps = {fill: importance(fill, args.masks) for fill in FILLS}
    again = {fill: importance(fill, args.masks, seed=1) for fill in FILLS}
    rows: list[dict[str, Any]] = []
    for number in range(args.rounds):
        taken = [seconds(lambda fill=fill: importance(fill, 100)) for fill in FILLS]
        row = {"round": number, "mean_s": taken[0], "drop_s": taken[1], "times_faster": taken[0] / taken[1]}
        rows.append({name: round(value, 4) for name, value in row.items()})
        print(rows[-1], flush=True)
    ratios = [row["times_faster"] for row in rows]
    summary = {
        "encoder": args.encoder,
        "masks": args.masks,
        "map_correlation": {
            "drop with mean, same masks": correlation(maps["mean"], maps["drop"]),
            "mean with mean, other masks": correlation(maps["mean"], again["mean"]),
            "drop with drop, other masks": correlation(maps["drop"], again["drop"]),
        },
        "times_faster": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
    }
    write_results(args.name, rows, summary)
    print(summary)


if __name__ == "__main__":
    main()
