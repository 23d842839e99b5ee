"""How far can the maps and embeddings of an encoder be trusted, and do these numbers warn of maps that miss the polyp?

    python -m experiments.studies.trust --data DATA

Validation pictures of Kvasir-SEG through each encoder of `experiments.recipes.train_kvasir`: the numbers of
`relax.assess`, with the training pictures as corpus, and how well the map finds the polyp (`auc`, the probability that
a pixel inside its outline has more importance than one outside; 0.5: not at all). results/trust.csv has a row per
picture; the JSON file the means with 95 % bootstrap intervals over pictures, and the rank correlation of each number
with `auc` within each encoder.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import relax
from experiments.data.datasets import kvasir_seg
from experiments.data.pictures import pictures
from experiments.named import PUBLISHED, encoder_of_study
from experiments.options import Options
from experiments.recipes.kvasir_probe import embed_pictures
from experiments.recipes.train_kvasir import OUT
from experiments.record import write_results
from experiments.studies.evidence import ENCODERS
from experiments.summaries import grouped, with_interval
from relax import Corpus
from relax.metrics import auc
from relax.metrics.maps import spearman

NUMBERS = ("ceiling", "mirrored", "shifted", "stability", "neighbours")


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per picture."""
    encoder = encoder_of_study(name, args.encoders_in)
    corpus = Corpus(embed_pictures(encoder, [sample.pixels() for sample in kvasir_seg(args.data, "train")]), "training")
    rows = []
    for picture in pictures("kvasir", args.data, args.count):
        trust = relax.assess(picture.pixels, encoder, corpus=corpus, masks=args.masks, seed=args.seed)
        explanation = relax.explain(picture.pixels, encoder, masks=args.masks, seed=args.seed)
        assert picture.truth is not None
        numbers = {number: getattr(trust, number) for number in NUMBERS}
        row = {"encoder": name, "picture": picture.name, "auc": round(auc(explanation.importance, picture.truth), 5)}
        rows.append({**row, **numbers, "moved_most_by": trust.moved_most_by})
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Per encoder: means, which small change moved the embeddings most, and rank correlations with `auc`."""
    table: dict[str, Any] = {}
    for (name,), group in grouped(rows, "encoder").items():
        values = {number: np.array([row[number] for row in group], np.float64) for number in ("auc", *NUMBERS)}
        worst = [row["moved_most_by"] for row in group]
        table[name] = {
            "pictures": len(group),
            **{
                key: value for number in values for key, value in with_interval(number, values[number].tolist()).items()
            },
            "moved_most_by": {change: worst.count(change) for change in sorted(set(worst), key=worst.count)[::-1]},
            "rank_correlation_with_auc": {
                number: round(spearman(values[number], values["auc"]), 3) for number in NUMBERS
            },
        }
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg")
    parser.add_encoders_in(OUT)
    parser.add_argument("--encoders", nargs="+", choices=(*ENCODERS, *PUBLISHED), default=ENCODERS)
    parser.add_count(30, "pictures")
    parser.add_masks(512, "of each map")
    parser.add_seed()
    parser.add_name("trust")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.encoders:
        rows += measure(name, args)
        print(name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count}
    write_results(args.name, rows, {**settings, "encoders": summarise(rows)})


if __name__ == "__main__":
    main()
