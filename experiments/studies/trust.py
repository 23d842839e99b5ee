"""How far can a map and an embedding be trusted, per encoder, and do those numbers warn of maps that miss the polyp?

    python -m experiments.studies.trust --data DATA

Validation pictures of Kvasir-SEG through each encoder of `experiments.recipes.train_kvasir`: what `relax.assess` finds,
with the training pictures as corpus, and how well the map finds the polyp (`auc`, the chance that a pixel inside its
outline has more importance than one outside; 0.5: not at all). results/trust.csv has a row per picture; the JSON file
the means with 95 % bootstrap intervals over pictures, and the rank correlation of each number with `auc` within each
encoder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import relax
from experiments.data.datasets import kvasir_seg
from experiments.recipes.train_kvasir import OUT, kvasir_encoder
from experiments.record import write_results
from experiments.studies.evidence import ENCODERS, pictures
from experiments.studies.out_of_distribution import embedded
from experiments.studies.shortcuts import with_interval
from relax import Corpus
from relax.metrics import auc
from relax.metrics.maps import spearman

NUMBERS = ("ceiling", "mirrored", "shifted", "stability", "neighbours")


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per picture."""
    encoder = kvasir_encoder(name, args.encoders_in)
    corpus = Corpus(embedded(encoder, [sample.pixels() for sample in kvasir_seg(args.data, "train")]), "training")
    rows = []
    for one in pictures("kvasir", args.data, args.count):
        trust = relax.assess(one.pixels, encoder, corpus=corpus, masks=args.masks, seed=args.seed)
        found = relax.explain(one.pixels, encoder, masks=args.masks, seed=args.seed)
        assert one.truth is not None
        numbers = {number: getattr(trust, number) for number in NUMBERS}
        row = {"encoder": name, "picture": one.name, "auc": round(auc(found.importance, one.truth), 5)}
        rows.append({**row, **numbers, "moved_most_by": trust.moved_most_by})
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Per encoder: means, the change that moved most embeddings most, and whether the numbers tell good maps."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == name]
        values = {number: np.array([row[number] for row in own], np.float64) for number in ("auc", *NUMBERS)}
        worst = [row["moved_most_by"] for row in own]
        found[name] = {
            "pictures": len(own),
            **{
                key: value for number in values for key, value in with_interval(number, values[number].tolist()).items()
            },
            "moved_most_by": {change: worst.count(change) for change in sorted(set(worst), key=worst.count)[::-1]},
            "rank_correlation_with_auc": {
                number: round(spearman(values[number], values["auc"]), 3) for number in NUMBERS
            },
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kvasir_seg")
    parser.add_argument(
        "--encoders-in", type=Path, default=OUT, help="where experiments.recipes.train_kvasir left its encoders"
    )
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument("--count", type=int, default=30, help="pictures")
    parser.add_argument("--masks", type=int, default=512, help="of each map")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.encoders:
        rows += measure(name, args)
        print(name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count}
    write_results("trust", rows, {**settings, "encoders": summarise(rows)})


if __name__ == "__main__":
    main()
