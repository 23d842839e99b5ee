"""What does each choice do to RELAX's maps? Cells, keep probability, fill, number of masks, measure, U-RELAX, REPEAT.

    python -m experiments.studies.choices --data DATA

One choice is changed at a time; all variants explain the same pictures and are judged by the same metrics, with hidden
pixels of the mean colour, whatever the variant's fill. Pictures and encoders are those of
`experiments.studies.evidence`. The variants "u-relax", "uncertainty" (negative) and "repeat" test whether those maps
are less complex and more faithful, as claimed; pixels that U-RELAX masks out count as least important. Two seek finer
detail at the same cost: "7 and 14 cells" adds two maps, "coarse to fine" has small cells only where the map of large
ones is steep. "keep 0.5 and 0.9" adds what suffices for the embedding and what is necessary in an otherwise whole
picture. For kvasir there is one more question, "polyp": what brings the picture closer to crops of other pictures that
are mostly polyp than to crops that are not. results/choices.csv has means, 95 % bootstrap intervals over pictures and
ranks; choices.json, for each variant, in how many comparisons it is better or worse than the default beyond chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.datasets import kvasir_seg
from experiments.data.pictures import Picture, pictures
from experiments.named import encoder_of_study
from experiments.options import Options
from experiments.recipes.kvasir_probe import contrast, mostly_polyp
from experiments.recipes.train_kvasir import OUT
from experiments.record import write_results
from experiments.studies.evidence import FAMILIES, MASKS, compared, table
from masking import RandomGrid
from relax import Corpus, Explanation
from relax.estimators.budget import Budget
from relax.metrics import Evaluation, Outcome, Trial, metrics_named
from relax.metrics.maps import Map
from relax.scene import Scene
from relax.settings import Hiding
from similarity import cosine

PAIRS = ("kvasir-default", "bccd-default", "composed-default", "kvasir-supervised")
DEFAULT, COARSE_TO_FINE = "relax", "coarse to fine"
ADDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # two maps, from half of the masks each
    "7 and 14 cells": ({}, {"cells": 14}),
    "keep 0.5 and 0.9": ({}, {"keep": 0.9}),
}
RUNS = 8  # of REPEAT, with an eighth of the masks each
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "128 masks": {"masks": 128},
    "5 cells": {"cells": 5},
    "10 cells": {"cells": 10},
    "14 cells": {"cells": 14},
    "superpixels": {"regions": "superpixels"},
    "keep 0.25": {"keep": 0.25},
    "keep 0.75": {"keep": 0.75},
    "keep 0.9": {"keep": 0.9},
    "blur": {"fill": "blur"},
    "noise": {"fill": "noise"},
    "l2": {"similarity": "l2"},
}
VARIANTS = (*SETTINGS, *ADDED, COARSE_TO_FINE, "u-relax", "uncertainty, negative", "repeat", "polyp")


def maps_of(
    picture: Picture, encoder: Encoder, masks: int, seed: int, variants: Collection[str]
) -> dict[str, tuple[Map, float]]:
    """The map (H, W) of the default and of each variant, higher = more important, and the encoder passes it took."""
    names = {DEFAULT, *variants}
    settings = {name: {"masks": masks, "seed": seed, **changed} for name, changed in SETTINGS.items() if name in names}
    explanations = {name: relax.explain(picture.pixels, encoder, **keywords) for name, keywords in settings.items()}
    maps = {name: (explanation.importance, passes_of(explanation)) for name, explanation in explanations.items()}
    default = explanations[DEFAULT]
    maps["u-relax"] = filled(default.u_relax()), passes_of(default)
    maps["uncertainty, negative"] = -default.uncertainty, passes_of(default)
    for name, pair in ADDED.items():
        if name in names:
            maps[name] = added(picture, encoder, masks, seed, pair), float(masks + 2)
    if COARSE_TO_FINE in names:
        maps[COARSE_TO_FINE] = coarse_to_fine(picture, encoder, masks, seed), float(masks + 2)
    if "repeat" in names:
        repeat = relax.probe(picture.pixels, encoder, masks=masks, seed=seed).repeat(RUNS)
        maps["repeat"] = repeat.votes().astype(np.float32), float(masks + 1)
    return {name: both for name, both in maps.items() if name in names}


def added(picture: Picture, encoder: Encoder, masks: int, seed: int, settings: Iterable[dict[str, Any]]) -> Map:
    """The sum of two maps, from half of the masks each, in standard deviations of each."""
    shared: dict[str, Any] = {"masks": masks // 2, "seed": seed}
    maps = [relax.explain(picture.pixels, encoder, **shared, **keywords).importance for keywords in settings]
    return np.sum([(values - np.nanmean(values)) / np.nanstd(values) for values in maps], axis=0)


def coarse_to_fine(picture: Picture, encoder: Encoder, masks: int, seed: int) -> Map:
    """Half of the masks have 7 cells; the others have 14 in the steeper half of the resulting map, and 7 elsewhere."""
    scene = Scene.of(picture.pixels, encoder, Hiding(seed=seed))
    coarse, image_embedding = scene.estimator(), scene.image_embedding
    for visible, embeddings in scene.passes(Budget.of(masks // 2, None, "auto")):
        coarse.add(cosine(embeddings, image_embedding), visible)
    slope = torch.stack(torch.gradient(coarse.importance)).square().sum(0)
    few, many = (RandomGrid(scene.size, cells, seed=seed + cells).masks(0, masks // 2) for cells in (7, 14))
    mixed = torch.where(slope.cpu() > slope.median().cpu(), many, few)
    return relax.explain(picture.pixels, encoder, masks=mixed).importance


def passes_of(explanation: Explanation) -> float:
    """Encoder passes that the explanation took."""
    return float(explanation.provenance["cost"]["passes"])


def filled(importance: NDArray[np.float32]) -> Map:
    """The map with its lowest value where it has none."""
    return np.where(np.isfinite(importance), importance, np.nanmin(importance))


def polyp_question(data: Path, encoder: Encoder, count: int = 100) -> dict[str, Corpus]:
    """Crops of training pictures that are mostly polyp as reference, and those that are not as foil."""
    crops = mostly_polyp(kvasir_seg(data, "train")[:count], 4)
    return contrast(encoder, crops, "polyps", "other tissue")


def judged(picture: Picture, encoder: Encoder, maps: dict[str, tuple[Map, float]], seed: int) -> list[Outcome]:
    """Every map by every metric; the picture is prepared once."""
    trial = Trial.of(Scene.of(picture.pixels, encoder, Hiding(seed=seed)))
    names = metric_names()
    return [
        Outcome(picture.name, name, relax.evaluate_image(values, picture.truth, names, trial=trial, seed=seed), passes)
        for name, (values, passes) in maps.items()
    ]


def metric_names() -> list[str]:
    """The metrics that need neither further explanations nor a corpus."""
    return [metric.name for metric in metrics_named(FAMILIES) if metric.needs in ("map", "truth", "trial")]


def measure(pair: str, args: argparse.Namespace, report: Callable[[str], None]) -> Evaluation:
    """All variants on one kind of pictures, with one encoder."""
    dataset, _, name = pair.partition("-")
    encoder = encoder_of_study(name, args.encoders_in)
    question = polyp_question(args.data, encoder) if dataset == "kvasir" and "polyp" in args.variants else {}
    outcomes: list[Outcome] = []
    for picture in pictures(dataset, args.data, args.count):
        maps = maps_of(picture, encoder, args.masks, args.seed, args.variants)
        if question:
            explanation = relax.explain(picture.pixels, encoder, masks=args.masks, seed=args.seed, **question)
            maps["polyp"] = explanation.importance, passes_of(explanation)
        outcomes += judged(picture, encoder, maps, args.seed)
        report(f"{pair} {picture.name}")
    return Evaluation(tuple(outcomes), tuple(metrics_named(metric_names())), {"seed": args.seed})


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg and bccd")
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar="DATASET-ENCODER")
    parser.add_encoders_in(OUT)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS, metavar="VARIANT")
    parser.add_name("choices")
    parser.add_count(20, "pictures of each dataset")
    parser.add_masks(MASKS)
    parser.add_seed()
    args = parser.parse_args()
    evaluations: dict[str, Evaluation] = {}
    for pair in args.pairs:
        evaluations[pair] = measure(pair, args, lambda line: print(line, flush=True))
        rows = [row for name, evaluation in evaluations.items() for row in table(*name.split("-", 1), evaluation)]
        variants = dict.fromkeys(row["method"] for row in rows if row["method"] != DEFAULT)
        settings = {"pairs": list(evaluations), "count": args.count, "masks": args.masks, "seed": args.seed}
        against = {name: compared(evaluations.values(), name, [DEFAULT])[DEFAULT] for name in variants}
        write_results(args.name, rows, {**settings, "against_default": against})


if __name__ == "__main__":
    main()
