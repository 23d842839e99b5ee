"""Do the maps find what an encoder should not look at? A planted watermark, and what clinics burn into pictures.

    python -m experiments.studies.shortcuts --data DATA

planted   validation pictures of Kvasir-SEG with a watermark at a random place, seen by the encoder that was trained on
          pictures of which half carried it, by its clean twin (same seed, no marks) and by the bundled one. RELAX is
          asked what made the embedding ("relax"), and what brings it to training pictures with the mark rather than to
          the same pictures without ("relax, marked or not").
real      how much of RELAX's map lies on burned-in text, on black borders and on the box that shows the endoscope's
          position (`experiments/data/annotations/kvasir_shortcuts.csv`), for every encoder.

Per picture: `auc`, the chance that a pixel inside has more importance than one outside (0.5: no preference), and
`mass`, the share of the importance above the map's minimum that lies inside, beside `area`, the share of the pixels.
results/shortcuts.csv has them all; shortcuts.json the means with 95 % bootstrap intervals over pictures, and for the
planted mark the difference between the misled encoder and its twin on the same pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.datasets import kvasir_seg, kvasir_shortcuts, shortcut_masks
from experiments.data.planted import plant
from experiments.recipes.knn import embed
from experiments.recipes.kvasir_probe import carries_mark
from experiments.recipes.train_kvasir import OUT, kvasir_encoder
from experiments.record import write_results
from experiments.studies.evidence import MASKS, chosen
from relax import Corpus
from relax.metrics import auc, bootstrap_interval, relevance_mass

MISLED, TWIN = "planted", "simclr"
METHODS = ("lafam", "gradcam", "occlusion", "saliency", "random", "centre")
PLANTED_ENCODERS, REAL_ENCODERS = (MISLED, TWIN, "default"), ("random", "default", "simclr", "supervised")
QUESTION = "relax, marked or not"
LEAST = 0.001  # of the picture: smaller masks are left out, they fall between the pixels that the encoder sees


def planted(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per picture and method: how far the map lies on the mark."""
    encoder = kvasir_encoder(name, args.encoders_in)
    contrast = marked_or_not(encoder, args.data)
    for number, sample in enumerate(chosen(kvasir_seg(args.data, "val"), args.count)):
        pixels, mark = plant(sample.pixels(), rng=np.random.default_rng((args.seed, number)))
        wishes: dict[str, dict[str, Any]] = {
            "relax": {"masks": args.masks},
            QUESTION: {"masks": args.masks, **contrast},
            **{method: {"method": method} for method in METHODS},
        }
        for method, wish in wishes.items():
            importance = relax.explain(pixels, encoder, seed=args.seed, **wish).importance
            yield {"part": "planted", "encoder": name, "method": method, "kind": "mark", **inside(importance, mark)}


def marked_or_not(encoder: Encoder, data: Path, count: int = 200) -> dict[str, Corpus]:
    """The first training pictures with the watermark as reference, and without it as foil."""
    question = carries_mark(kvasir_seg(data, "train")[:count])
    embeddings, marked = embed(encoder, question.images), question.answers == 1
    return {"reference": Corpus(embeddings[marked], "marked"), "foil": Corpus(embeddings[~marked], "not marked")}


def real(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per picture and kind of shortcut that it shows."""
    encoder = kvasir_encoder(name, args.encoders_in)
    for sample in kvasir_shortcuts(args.data):
        masks = {kind: mask for kind, mask in shortcut_masks(sample).items() if mask.mean() >= LEAST}
        if masks:
            importance = relax.explain(sample.pixels(), encoder, masks=args.masks, seed=args.seed).importance
            for kind, mask in masks.items():
                yield {"part": "real", "encoder": name, "method": "relax", "kind": kind, **inside(importance, mask)}


def inside(importance: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    """How the map relates to a region (H, W), True = inside."""
    values = {"auc": auc(importance, mask), "mass": relevance_mass(importance, mask), "area": float(mask.mean())}
    return {name: round(value, 5) for name, value in values.items()}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over pictures, per part, encoder, method and kind."""
    found = []
    for key in dict.fromkeys((row["part"], row["encoder"], row["method"], row["kind"]) for row in rows):
        own = [row for row in rows if (row["part"], row["encoder"], row["method"], row["kind"]) == key]
        line: dict[str, Any] = dict(zip(("part", "encoder", "method", "kind"), key, strict=True))
        line |= {"pictures": len(own), "area": round(float(np.mean([row["area"] for row in own])), 4)}
        for name in ("auc", "mass"):
            line |= with_interval(name, [row[name] for row in own])
        found.append(line)
    return found


def misled_minus_twin(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same picture through both encoders: how much more of the map lies on the mark."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows if row["part"] == "planted"):
        line: dict[str, Any] = {"method": method}
        for name in ("auc", "mass"):
            misled, twin = (
                [row[name] for row in rows if (row["part"], row["encoder"], row["method"]) == ("planted", who, method)]
                for who in (MISLED, TWIN)
            )
            if misled and twin:
                line |= with_interval(name, np.subtract(misled, twin).tolist())
        found.append(line)
    return found


def with_interval(name: str, values: list[float]) -> dict[str, float]:
    """Mean of the finite values, and its 95 % bootstrap interval."""
    finite = [value for value in values if np.isfinite(value)]
    low, high = bootstrap_interval(finite)
    return {name: round(float(np.mean(finite)), 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kvasir_seg")
    parser.add_argument(
        "--encoders-in", type=Path, default=OUT, help="where experiments.recipes.train_kvasir left its encoders"
    )
    parser.add_argument("--count", type=int, default=40, help="pictures with a planted mark")
    parser.add_argument("--masks", type=int, default=MASKS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for part, names in ((planted, PLANTED_ENCODERS), (real, REAL_ENCODERS)):
        for name in names:
            rows += part(name, args)
            print(part.__name__, name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count}
    write_results(
        "shortcuts", rows, {**settings, "misled_minus_twin": misled_minus_twin(rows), "means": summarise(rows)}
    )


if __name__ == "__main__":
    main()
