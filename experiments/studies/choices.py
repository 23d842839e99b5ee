"""What does each choice do to RELAX's maps? Cells, keep probability, fill, number of masks, measure, U-RELAX, REPEAT.

    python -m experiments.studies.choices --data DATA

One choice is changed at a time; all variants explain the same pictures and are judged by the same metrics, with hidden
pixels of the mean colour, whatever the variant's fill. Pictures and encoders are those of
`experiments.studies.evidence`. The variants "u-relax", "uncertainty" (negative) and "repeat" answer whether those maps
are less complex and more faithful, as claimed; where U-RELAX shows nothing, the pixel counts as least important. Two
look finer at the same cost: "7 and 14 cells" adds two maps up, "coarse to fine" has small cells only where the map of
large ones is steep. "keep 0.5 and 0.9" adds up what is enough for the embedding and what is needed in an otherwise
whole picture. For kvasir there is one more question, "polyp": what brings the picture to crops of other pictures that
are mostly polyp, rather than to crops without. results/choices.csv has means, 95 % bootstrap intervals over pictures
and ranks; choices.json, for each variant, in how many metrics it is better or worse than the default beyond chance.
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
from experiments.recipes.knn import embed
from experiments.recipes.kvasir_probe import mostly_polyp
from experiments.recipes.train_kvasir import OUT, kvasir_encoder
from experiments.record import write_results
from experiments.studies.evidence import FAMILIES, MASKS, Picture, compared, pictures, table
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
    """The map of the default and of each of the variants, (H, W), higher = more important, and its encoder passes."""
    wanted = {DEFAULT, *variants}
    settings = {name: {"masks": masks, "seed": seed, **changed} for name, changed in SETTINGS.items() if name in wanted}
    made = {name: relax.explain(picture.pixels, encoder, **one) for name, one in settings.items()}
    found = {name: (one.importance, passes_of(one)) for name, one in made.items()}
    found["u-relax"] = filled(made[DEFAULT].u_relax()), passes_of(made[DEFAULT])
    found["uncertainty, negative"] = -made[DEFAULT].uncertainty, passes_of(made[DEFAULT])
    for name, two in ADDED.items():
        if name in wanted:
            found[name] = added(picture, encoder, masks, seed, two), float(masks + 2)
    if COARSE_TO_FINE in wanted:
        found[COARSE_TO_FINE] = coarse_to_fine(picture, encoder, masks, seed), float(masks + 2)
    if "repeat" in wanted:
        repeat = relax.probe(picture.pixels, encoder, masks=masks, seed=seed).repeat(RUNS)
        found["repeat"] = repeat.votes().astype(np.float32), float(masks + 1)
    return {name: one for name, one in found.items() if name in wanted}


def added(picture: Picture, encoder: Encoder, masks: int, seed: int, settings: Iterable[dict[str, Any]]) -> Map:
    """The sum of two maps, from half of the masks each, in standard deviations of each."""
    maps = [relax.explain(picture.pixels, encoder, masks=masks // 2, seed=seed, **one).importance for one in settings]
    return np.sum([(one - np.nanmean(one)) / np.nanstd(one) for one in maps], axis=0)


def coarse_to_fine(picture: Picture, encoder: Encoder, masks: int, seed: int) -> Map:
    """Half of the masks look at 7 cells; the others have 14 cells in the steeper half of that map, and 7 elsewhere."""
    scene = Scene.of(picture.pixels, encoder, Hiding(seed=seed))
    coarse, own = scene.estimator(), scene.own_embedding()
    for shown, embeddings in scene.passes(Budget.of(masks // 2, None, "auto")):
        coarse.add(cosine(embeddings, own), shown)
    slope = torch.stack(torch.gradient(coarse.importance)).square().sum(0)
    few, many = (RandomGrid(scene.size, cells, seed=seed + cells).masks(0, masks // 2) for cells in (7, 14))
    mixed = torch.where(slope.cpu() > slope.median().cpu(), many, few)
    return relax.explain(picture.pixels, encoder, masks=mixed).importance


def passes_of(explanation: Explanation) -> float:
    """Encoder passes that the explanation took."""
    return float(explanation.provenance["cost"]["passes"])


def filled(importance: NDArray[np.float32]) -> Map:
    """The map with its lowest value where it shows nothing."""
    return np.where(np.isfinite(importance), importance, np.nanmin(importance))


def polyp_question(data: Path, encoder: Encoder, count: int = 100) -> dict[str, Corpus]:
    """Crops of training pictures that are mostly polyp as reference, and those that are not as foil."""
    crops = mostly_polyp(kvasir_seg(data, "train")[:count], 4)
    embeddings, mostly = embed(encoder, crops.images), crops.answers == 1
    return {"reference": Corpus(embeddings[mostly], "polyps"), "foil": Corpus(embeddings[~mostly], "other tissue")}


def judged(picture: Picture, encoder: Encoder, maps: dict[str, tuple[Map, float]], seed: int) -> list[Outcome]:
    """Every map by every metric; the picture is prepared once."""
    trial = Trial.of(Scene.of(picture.pixels, encoder, Hiding(seed=seed)))
    names = metric_names()
    return [
        Outcome(picture.name, name, relax.evaluate_image(one, picture.truth, names, trial=trial, seed=seed), passes)
        for name, (one, passes) in maps.items()
    ]


def metric_names() -> list[str]:
    """Those that can be computed without explaining again or a corpus."""
    return [one.name for one in metrics_named(FAMILIES) if one.needs in ("map", "truth", "trial")]


def measure(pair: str, args: argparse.Namespace, done: Callable[[str], None]) -> Evaluation:
    """All variants on one kind of pictures, with one encoder."""
    dataset, _, name = pair.partition("-")
    encoder = kvasir_encoder(name, args.encoders_in)
    asked = polyp_question(args.data, encoder) if dataset == "kvasir" and "polyp" in args.variants else {}
    outcomes: list[Outcome] = []
    for picture in pictures(dataset, args.data, args.count):
        maps = maps_of(picture, encoder, args.masks, args.seed, args.variants)
        if asked:
            explanation = relax.explain(picture.pixels, encoder, masks=args.masks, seed=args.seed, **asked)
            maps["polyp"] = explanation.importance, passes_of(explanation)
        outcomes += judged(picture, encoder, maps, args.seed)
        done(f"{pair} {picture.name}")
    return Evaluation(tuple(outcomes), tuple(metrics_named(metric_names())), {"seed": args.seed})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kvasir_seg and bccd")
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar="DATASET-ENCODER")
    parser.add_argument(
        "--encoders-in", type=Path, default=OUT, help="where experiments.recipes.train_kvasir left its encoders"
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS, metavar="VARIANT")
    parser.add_argument("--name", default="choices", help="of the files in results/")
    parser.add_argument("--count", type=int, default=20, help="pictures of each dataset")
    parser.add_argument("--masks", type=int, default=MASKS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found: dict[str, Evaluation] = {}
    for pair in args.pairs:
        found[pair] = measure(pair, args, lambda what: print(what, flush=True))
        rows = [row for name, one in found.items() for row in table(*name.split("-", 1), one)]
        variants = dict.fromkeys(row["method"] for row in rows if row["method"] != DEFAULT)
        settings = {"pairs": list(found), "count": args.count, "masks": args.masks, "seed": args.seed}
        against = {name: compared(found.values(), name, [DEFAULT])[DEFAULT] for name in variants}
        write_results(args.name, rows, {**settings, "against_default": against})


if __name__ == "__main__":
    main()
