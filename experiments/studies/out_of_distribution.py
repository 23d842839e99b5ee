"""Does the uncertainty show that a picture is of another kind than those the encoder was trained on?

    python -m experiments.studies.out_of_distribution --data DATA

Encoders trained on colonoscopies see other colonoscopies (Kvasir-SEG, validation), blood smears (BCCD) and photographs
(ImageNet sample). Per picture: the mean of RELAX's uncertainty and of its importance over the pixels, and a number that
needs no masks, the mean cosine distance to the 10 nearest training pictures. How well each separates the other kinds
from colonoscopies is the area under the ROC curve: 0.5 = not at all, below 0.5 = in the wrong direction.
results/out_of_distribution.csv has a row per picture; the JSON file the areas with 95 % bootstrap intervals.
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
from experiments.summaries import grouped
from relax.metrics.separation import auroc, auroc_interval
from relax.questions.strangers import EXPECTED, NEIGHBOURS, distance_to

ENCODERS, KNOWN, OTHERS = ("simclr", "supervised", "default"), "kvasir", ("bccd", "imagenet")


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per picture of every kind."""
    encoder = encoder_of_study(name, args.encoders_in)
    bank = embed_pictures(encoder, [sample.pixels() for sample in kvasir_seg(args.data, "train")])
    rows = []
    for kind in (KNOWN, *OTHERS):
        sample = pictures(kind, args.data, args.count)
        embeddings = embed_pictures(encoder, [picture.pixels for picture in sample])
        for picture, distance in zip(sample, distance_to(embeddings, bank, NEIGHBOURS), strict=True):
            explanation = relax.explain(picture.pixels, encoder, masks=args.masks, seed=args.seed)
            row = {"encoder": name, "kind": kind, "picture": picture.name}
            row["uncertainty"] = round(float(np.nanmean(explanation.uncertainty)), 7)
            row["importance"] = round(float(np.nanmean(explanation.importance)), 6)
            row["distance"] = round(float(distance), 6)
            rows.append(row)
    return rows


def areas(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How well each number separates each other kind from the known one."""
    table, groups = [], grouped(rows, "encoder", "kind")
    for name in dict.fromkeys(row["encoder"] for row in rows):
        for kind in OTHERS:
            for number, sign in EXPECTED.items():
                known, other = (sign * np.array([row[number] for row in groups[name, side]]) for side in (KNOWN, kind))
                low, high = auroc_interval(known, other)
                line = {"encoder": name, "kind": kind, "by": number, "auroc": round(auroc(known, other), 4)}
                table.append({**line, "low": round(low, 4), "high": round(high, 4)})
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg, bccd and imagenet_sample")
    parser.add_encoders_in(OUT)
    parser.add_argument("--encoders", nargs="+", choices=(*ENCODERS, *PUBLISHED), default=ENCODERS)
    parser.add_count(50, "pictures of each kind")
    parser.add_masks(512)
    parser.add_seed()
    parser.add_name("out_of_distribution")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.encoders:
        rows += measure(name, args)
        print(name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count, "neighbours": NEIGHBOURS}
    write_results(args.name, rows, {**settings, "auroc": areas(rows)})


if __name__ == "__main__":
    main()
