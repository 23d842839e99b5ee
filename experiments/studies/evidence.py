"""Do the maps tell the truth? Every method by every metric, for several encoders and kinds of pictures.

    python -m experiments.studies.evidence --data DATA
    python -m experiments.studies.evidence --data DATA --metrics robustness sanity --name evidence_sanity --count 5

The encoders are those of `experiments.recipes.train_kvasir`, which must have run and are built as the bundled
one, or the published ones of `experiments.recipes.published`. Pictures and truths:

kvasir     colonoscopies, the polyp's outline          bccd      blood smears, boxes around white blood cells
composed   an object on a texture, exact outline       imagenet  photographs, no truth: only metrics without labels
cifar10    test pictures of 32 x 32 px, no truth

Every pair of pictures and encoder is written to RUNS when it is finished, and not computed twice. results/NAME.csv has
mean, 95 % bootstrap interval over pictures, rank and cost of every method; NAME.json the mean rank of each method in
each family of metrics, and how often RELAX is better or worse than each other method beyond chance: the 95 % bootstrap
interval of the paired difference, picture by picture, excludes zero.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

import relax
from experiments.data.pictures import DATASETS, pictures
from experiments.named import PUBLISHED, encoder_of_study
from experiments.options import Options
from experiments.recipes.train_kvasir import OUT
from experiments.record import write_results
from relax.metrics import METRICS, Evaluation, gains, metrics_named, read_outcomes

ENCODERS = ("random", "default", "simclr", "vicreg", "supervised")
METHODS = ("relax", "lafam", "gradcam", "layercam", "eigencam", "scorecam", "lime", "occlusion", "sbsm", "saliency",
           "smoothgrad", "integrated-gradients", "random", "centre")  # fmt: skip
FAMILIES = ("localisation", "faithfulness", "complexity")
CONTRASTIVE = ("contrastive-insertion", "contrastive-deletion")  # need a corpus and a foil
RUNS = Path("runs/evidence")
MASKS = 1024


def evaluated(dataset: str, encoder: str, args: argparse.Namespace) -> Evaluation:
    """One pair, from RUNS if it was computed with the same settings."""
    folder = args.runs / args.name / f"{dataset}-{encoder}"
    sample = pictures(dataset, args.data, args.count)
    truths = None if sample[0].truth is None else [picture.truth for picture in sample]
    names = [
        metric.name
        for metric in metrics_named(args.metrics)
        if metric.name not in CONTRASTIVE and (truths is not None or metric.needs != "truth")
    ]
    outcomes, settings = read_outcomes(folder)
    requested = {"masks": args.masks, "seed": args.seed, "pictures": [picture.name for picture in sample]}
    if outcomes and {key: settings.get(key) for key in requested} == requested and settings["metrics"] == names:
        finished = list(dict.fromkeys(outcome.method for outcome in outcomes))
        if finished == list(args.methods):
            return Evaluation(tuple(outcomes), tuple(metrics_named(names)), settings)
    evaluation = relax.evaluate(
        [picture.pixels for picture in sample],
        truths,
        encoder_of_study(encoder, args.encoders_in),
        methods=args.methods,
        metrics=names,
        masks=args.masks,
        seed=args.seed,
    )
    evaluation.settings["pictures"] = requested["pictures"]
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.save(folder)
    return evaluation


def table(dataset: str, encoder: str, evaluation: Evaluation) -> list[dict[str, Any]]:
    """The summary of one pair: a row per method and metric."""
    rows = []
    for mean in evaluation.summary():
        row = {"dataset": dataset, "encoder": encoder, "family": METRICS[mean.metric].family, **asdict(mean)}
        rows.append({name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()})
    return rows


def compared(pairs: Iterable[Evaluation], method: str, others: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By other method and family: in how many comparisons `method` is better or worse than it beyond chance."""
    tally: dict[str, dict[str, dict[str, int]]] = {}
    for evaluation in pairs:
        for other in others:
            families = tally.setdefault(other, {})
            for metric, (low, high) in gains(evaluation, method, other).items():
                counts = families.setdefault(METRICS[metric].family, {"better": 0, "worse": 0, "undecided": 0})
                counts["better" if low > 0 else "worse" if high < 0 else "undecided"] += 1
    return tally


def mean_ranks(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By family and method, best first: the rank, averaged over metrics, datasets and encoders."""
    ranks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["rank"]:
            ranks[row["family"]][row["method"]].append(row["rank"])
    return {
        family: dict(
            sorted(((name, round(float(np.mean(places)), 2)) for name, places in methods.items()), key=itemgetter(1))
        )
        for family, methods in ranks.items()
    }


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg, bccd, imagenet_sample and cifar10")
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--encoders", nargs="+", choices=(*ENCODERS, *PUBLISHED), default=ENCODERS)
    parser.add_encoders_in(OUT)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--metrics", nargs="+", default=FAMILIES, help="metrics or families")
    parser.add_count(20, "pictures of each dataset")
    parser.add_masks(MASKS, "of relax; other methods have numbers of their own")
    parser.add_seed()
    parser.add_name("evidence")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished pairs are kept")
    args = parser.parse_args()
    pairs: dict[tuple[str, str], Evaluation] = {}
    for dataset in args.datasets:
        for encoder in args.encoders:
            pairs[dataset, encoder] = evaluated(dataset, encoder, args)
            print(dataset, encoder, flush=True)
    rows = [row for pair, evaluation in pairs.items() for row in table(*pair, evaluation)]
    summary = {
        **{name: getattr(args, name) for name in ("count", "masks", "seed")},
        "mean_rank": mean_ranks(rows),
        "relax_against": compared(pairs.values(), "relax", [name for name in args.methods if name != "relax"]),
        "failures": [
            f"{'-'.join(pair)} {outcome.method}: {outcome.failure}"
            for pair, evaluation in pairs.items()
            for outcome in evaluation.failures
        ],
    }
    write_results(args.name, rows, summary)


if __name__ == "__main__":
    main()
