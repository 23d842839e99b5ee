"""Does the uncertainty tell that a picture is of another kind than those the encoder knows?

    python -m experiments.studies.out_of_distribution --data DATA

Encoders trained on colonoscopies see other colonoscopies (Kvasir-SEG, validation), blood smears (BCCD) and photographs
(ImageNet sample). Per picture: the mean of RELAX's uncertainty and of its importance over the pixels, and beside them
what needs no masks at all: the mean cosine distance to the 10 nearest of the training pictures. Each is asked how well
it tells the other kinds from colonoscopies: the area under the ROC curve, 0.5 = not at all; below 0.5 it is turned the
wrong way. results/out_of_distribution.csv has a row per picture; the JSON file the areas with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.datasets import kvasir_seg
from experiments.recipes.knn import embed
from experiments.recipes.kvasir_probe import resized
from experiments.recipes.train_default import SIZE
from experiments.recipes.train_kvasir import OUT, kvasir_encoder
from experiments.record import write_results
from experiments.studies.evidence import pictures

ENCODERS, KNOWN, OTHERS = ("simclr", "supervised", "default"), "kvasir", ("bccd", "imagenet")
SIGNS = {"uncertainty": 1, "importance": -1, "distance": 1}  # 1: higher is thought to mean another kind
NEIGHBOURS, DRAWS = 10, 2000


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per picture of every kind."""
    encoder = kvasir_encoder(name, args.encoders_in)
    bank = embedded(encoder, [sample.pixels() for sample in kvasir_seg(args.data, "train")])
    rows = []
    for kind in (KNOWN, *OTHERS):
        some = pictures(kind, args.data, args.count)
        near = np.sort(embedded(encoder, [one.pixels for one in some]) @ bank.T, axis=1)[:, -NEIGHBOURS:]
        for one, closeness in zip(some, near, strict=True):
            found = relax.explain(one.pixels, encoder, masks=args.masks, seed=args.seed)
            row = {"encoder": name, "kind": kind, "picture": one.name}
            row["uncertainty"] = round(float(np.nanmean(found.uncertainty)), 7)
            row["importance"] = round(float(np.nanmean(found.importance)), 6)
            row["distance"] = round(float(1 - closeness.mean()), 6)
            rows.append(row)
    return rows


def embedded(encoder: Encoder, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """(N, D) unit vectors of pictures of any size."""
    return embed(encoder, np.stack([np.asarray(resized(image, (SIZE, SIZE))) for image in images])).numpy()


def areas(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How well each number tells each other kind from the known one."""
    found = []
    for name in dict.fromkeys(row["encoder"] for row in rows):
        for kind in OTHERS:
            known, other = (
                [row for row in rows if (row["encoder"], row["kind"]) == (name, one)] for one in (KNOWN, kind)
            )
            for number, sign in SIGNS.items():
                first, second = (sign * np.array([row[number] for row in some]) for some in (known, other))
                low, high = interval(first, second)
                line = {"encoder": name, "kind": kind, "by": number, "auroc": area(first, second)}
                found.append({**line, "low": low, "high": high})
    return found


def area(known: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The chance that a picture of the other kind has the higher number."""
    return round(float(in_order(known, other).mean()), 4)


def in_order(known: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(known, other): 1 where the other is higher, a half for a tie."""
    difference = other - known[:, None]
    return (difference > 0) + 0.5 * (difference == 0)


def interval(known: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """95 %, pictures of both kinds drawn with replacement."""
    random, pairs = np.random.default_rng(0), in_order(known, other)
    weights = [random.multinomial(count, np.full(count, 1 / count), DRAWS) / count for count in pairs.shape]
    drawn = ((weights[0] @ pairs) * weights[1]).sum(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kvasir_seg, bccd and imagenet_sample")
    parser.add_argument(
        "--encoders-in", type=Path, default=OUT, help="where experiments.recipes.train_kvasir left its encoders"
    )
    parser.add_argument("--count", type=int, default=50, help="pictures of each kind")
    parser.add_argument("--masks", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in ENCODERS:
        rows += measure(name, args)
        print(name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count, "neighbours": NEIGHBOURS}
    write_results("out_of_distribution", rows, {**settings, "auroc": areas(rows)})


if __name__ == "__main__":
    main()
