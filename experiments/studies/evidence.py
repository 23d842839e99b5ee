"""Do the maps tell the truth? Every method, judged by every metric, for several encoders and kinds of pictures.

    python -m experiments.studies.evidence --data DATA
    python -m experiments.studies.evidence --data DATA --metrics robustness sanity --name evidence_sanity --count 5

The encoders are those of `experiments.recipes.train_kvasir`, which must have run; all have the architecture of the
bundled one. Pictures and truths:

kvasir     colonoscopies, the polyp's outline          bccd      blood smears, boxes around white blood cells
composed   an object on a texture, exact outline       imagenet  photographs, no truth: only metrics without labels
cifar10    test pictures of 32 x 32 px, no truth

Every pair of pictures and encoder is written to RUNS as it is done, and not done again. results/NAME.csv has mean,
95 % bootstrap interval over pictures, rank and cost of every method; NAME.json the mean rank of each method in each
family of metrics, and how often RELAX is better or worse than each other method beyond chance: the paired difference,
picture by picture, whose 95 % bootstrap interval leaves out zero.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from experiments.data.composed import composed
from experiments.data.datasets import Sample, bccd, cifar10, imagenet_sample, kvasir_seg
from experiments.recipes.train_kvasir import OUT, kvasir_encoder
from experiments.record import write_results
from relax.metrics import METRICS, Evaluation, bootstrap_interval, metrics_named, read_outcomes

DATASETS = ("kvasir", "bccd", "composed", "imagenet", "cifar10")
ENCODERS = ("random", "default", "simclr", "vicreg", "supervised")
METHODS = ("relax", "lafam", "gradcam", "layercam", "eigencam", "scorecam", "lime", "occlusion", "sbsm", "saliency",
           "smoothgrad", "integrated-gradients", "random", "centre")  # fmt: skip
FAMILIES = ("localisation", "faithfulness", "complexity")
CONTRASTIVE = ("contrastive-insertion", "contrastive-deletion")  # need a corpus and a foil
RUNS = Path("runs/evidence")
MASKS = 1024


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8, and where the truth lies, (H, W) bool, if that is known."""

    name: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None = None


def pictures(dataset: str, data: Path, count: int) -> list[Picture]:
    """`count` pictures of one of `DATASETS`, evenly spaced over the sorted names (of those that have the truth)."""
    if dataset == "composed":
        return [Picture(one.name, one.pixels(), one.truth()) for one in composed(count)]
    if dataset == "cifar10":
        images, _ = cifar10(data, "test")
        return [Picture(f"cifar10-{index}", images[index]) for index in spaced(len(images), count)]
    if dataset == "imagenet":
        return [Picture(one.name, one.pixels()) for one in chosen(imagenet_sample(data), count)]
    if dataset == "kvasir":
        return [Picture(one.name, one.pixels(), one.truth()) for one in chosen(kvasir_seg(data, "val"), count)]
    smears = [one for one in bccd(data) if any(box.kind == "WBC" for box in one.find_boxes())]
    return [Picture(one.name, one.pixels(), one.truth("WBC")) for one in chosen(smears, count)]


def chosen(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` of the samples, evenly spaced."""
    return [samples[index] for index in spaced(len(samples), count)]


def spaced(total: int, count: int) -> list[int]:
    """`count` numbers below `total`, evenly spaced, with half a gap at both ends."""
    return [int((number + 0.5) * total / count) for number in range(min(count, total))]


def evaluated(dataset: str, encoder: str, args: argparse.Namespace) -> Evaluation:
    """One pair, from RUNS if it is there with the same settings."""
    folder = args.runs / args.name / f"{dataset}-{encoder}"
    some = pictures(dataset, args.data, args.count)
    truths = None if some[0].truth is None else [one.truth for one in some]
    names = [
        metric.name
        for metric in metrics_named(args.metrics)
        if metric.name not in CONTRASTIVE and (truths is not None or metric.needs != "truth")
    ]
    outcomes, settings = read_outcomes(folder)
    wanted = {"masks": args.masks, "seed": args.seed, "pictures": [one.name for one in some]}
    if outcomes and {key: settings.get(key) for key in wanted} == wanted and settings["metrics"] == names:
        done = list(dict.fromkeys(one.method for one in outcomes))
        if done == list(args.methods):
            return Evaluation(tuple(outcomes), tuple(metrics_named(names)), settings)
    found = relax.evaluate(
        [one.pixels for one in some],
        truths,
        kvasir_encoder(encoder, args.encoders_in),
        methods=args.methods,
        metrics=names,
        masks=args.masks,
        seed=args.seed,
    )
    found.settings["pictures"] = wanted["pictures"]
    folder.mkdir(parents=True, exist_ok=True)
    found.save(folder)
    return found


def table(dataset: str, encoder: str, found: Evaluation) -> list[dict[str, Any]]:
    """The summary of one pair, a row per method and metric."""
    rows = []
    for mean in found.summary():
        row = {"dataset": dataset, "encoder": encoder, "family": METRICS[mean.metric].family, **asdict(mean)}
        rows.append({name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()})
    return rows


def gains(found: Evaluation, method: str, other: str) -> dict[str, tuple[float, float]]:
    """By metric, how much better `method` is than `other` on the same picture: 95 % interval, above 0 is better."""
    values = {(one.image, one.method): one.values for one in found.outcomes if not one.failure}
    intervals = {}
    for metric in found.metrics:
        sign = 1 if metric.direction == "higher" else -1
        pairs = [
            sign * (own[metric.name] - values[image, other][metric.name])
            for (image, name), own in values.items()
            if name == method and metric.name in values.get((image, other), {})
        ]
        if finite := [pair for pair in pairs if np.isfinite(pair)]:
            intervals[metric.name] = bootstrap_interval(finite)
    return intervals


def compared(pairs: Iterable[Evaluation], method: str, others: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By other method and family: in how many metrics `method` is better or worse than it beyond chance."""
    tally: dict[str, dict[str, dict[str, int]]] = {}
    for found in pairs:
        for other in others:
            families = tally.setdefault(other, {})
            for metric, (low, high) in gains(found, method, other).items():
                counts = families.setdefault(METRICS[metric].family, {"better": 0, "worse": 0, "undecided": 0})
                counts["better" if low > 0 else "worse" if high < 0 else "undecided"] += 1
    return tally


def mean_ranks(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By family and method, the best first: the rank, averaged over metrics, datasets and encoders."""
    ranks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["rank"]:
            ranks[row["family"]][row["method"]].append(row["rank"])
    return {
        family: dict(
            sorted(((name, round(float(np.mean(some)), 2)) for name, some in methods.items()), key=itemgetter(1))
        )
        for family, methods in ranks.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with kvasir_seg, bccd, imagenet_sample, cifar10"
    )
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument(
        "--encoders-in", type=Path, default=OUT, help="where experiments.recipes.train_kvasir left its encoders"
    )
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--metrics", nargs="+", default=FAMILIES, help="metrics or families")
    parser.add_argument("--count", type=int, default=20, help="pictures of each dataset")
    parser.add_argument("--masks", type=int, default=MASKS, help="for relax; others take their own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="evidence", help="of the files in results/")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where pairs that are done are kept")
    args = parser.parse_args()
    pairs: dict[tuple[str, str], Evaluation] = {}
    for dataset in args.datasets:
        for encoder in args.encoders:
            pairs[dataset, encoder] = evaluated(dataset, encoder, args)
            print(dataset, encoder, flush=True)
    rows = [row for pair, found in pairs.items() for row in table(*pair, found)]
    summary = {
        **{name: getattr(args, name) for name in ("count", "masks", "seed")},
        "mean_rank": mean_ranks(rows),
        "relax_against": compared(pairs.values(), "relax", [name for name in args.methods if name != "relax"]),
        "failures": [
            f"{'-'.join(pair)} {one.method}: {one.failure}" for pair, found in pairs.items() for one in found.failures
        ],
    }
    write_results(args.name, rows, summary)


if __name__ == "__main__":
    main()
