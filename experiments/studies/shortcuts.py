"""Do the maps find what an encoder should not attend to? A planted watermark, and what clinics burn into pictures.

    python -m experiments.studies.shortcuts --data DATA
    python -m experiments.studies.shortcuts --data DATA --encoders sscd --name shortcuts_sscd

planted   validation pictures of Kvasir-SEG with a watermark at a random place, through the encoder trained on pictures
          of which half carried it, through its clean twin (same seed, no marks) and through the bundled one. RELAX
          explains the embedding ("relax"), and what brings it closer to training pictures with the mark than to the
          same pictures without it ("relax, marked or not").
real      how much of RELAX's map lies on burned-in text, on black borders and on the box that shows the endoscope's
          position (`experiments/data/annotations/kvasir_shortcuts.csv`), for every encoder.

Per picture: `auc`, the probability that a pixel inside has more importance than one outside (0.5: no preference), and
`mass`, the share of the importance above the map's minimum that lies inside, beside `area`, the share of the pixels.
With `--encoders`, both parts take those encoders instead. results/NAME.csv has all rows; NAME.json the means with 95 %
bootstrap intervals over pictures, and for the planted mark the difference between the misled encoder and its twin on
the same pictures, where both were asked.
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
from experiments.data.pictures import chosen
from experiments.data.planted import plant
from experiments.named import PUBLISHED, encoder_of_study
from experiments.options import Options
from experiments.recipes.kvasir_probe import embed_pictures, plain_and_marked
from experiments.recipes.train_kvasir import OUT
from experiments.record import write_results
from experiments.studies.evidence import MASKS
from experiments.summaries import grouped, with_interval
from relax import Corpus
from relax.metrics import auc, relevance_mass

MISLED, TWIN = "planted", "simclr"
METHODS = ("lafam", "gradcam", "occlusion", "saliency", "random", "centre")
PLANTED_ENCODERS, REAL_ENCODERS = (MISLED, TWIN, "default"), ("random", "default", "simclr", "supervised")
ENCODERS = tuple(dict.fromkeys((*PLANTED_ENCODERS, *REAL_ENCODERS)))
QUESTION = "relax, marked or not"
SMALLEST = 0.001  # share of the picture; smaller masks are left out: they fall between the pixels of the view


def planted(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per picture and method: how much of the map lies on the mark."""
    encoder = encoder_of_study(name, args.encoders_in)
    question = marked_or_not(encoder, args.data)
    for number, sample in enumerate(chosen(kvasir_seg(args.data, "val"), args.count)):
        pixels, mark = plant(sample.pixels(), rng=np.random.default_rng((args.seed, number)))
        options: dict[str, dict[str, Any]] = {
            "relax": {"masks": args.masks},
            QUESTION: {"masks": args.masks, **question},
            **{method: {"method": method} for method in METHODS},
        }
        for method, keywords in options.items():
            importance = relax.explain(pixels, encoder, seed=args.seed, **keywords).importance
            yield {"part": "planted", "encoder": name, "method": method, "kind": "mark", **inside(importance, mark)}


def marked_or_not(encoder: Encoder, data: Path, count: int = 200) -> dict[str, Corpus]:
    """The first training pictures with the watermark as reference, and without it as foil."""
    plain, marked = zip(*plain_and_marked(kvasir_seg(data, "train")[:count]), strict=True)
    return {
        "reference": Corpus(embed_pictures(encoder, marked), "marked"),
        "foil": Corpus(embed_pictures(encoder, plain), "not marked"),
    }


def real(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per picture and kind of shortcut in it."""
    encoder = encoder_of_study(name, args.encoders_in)
    for sample in kvasir_shortcuts(args.data):
        masks = {kind: mask for kind, mask in shortcut_masks(sample).items() if mask.mean() >= SMALLEST}
        if masks:
            importance = relax.explain(sample.pixels(), encoder, masks=args.masks, seed=args.seed).importance
            for kind, mask in masks.items():
                yield {"part": "real", "encoder": name, "method": "relax", "kind": kind, **inside(importance, mask)}


def inside(importance: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    """How much of the map lies in a region (H, W), True = inside."""
    values = {"auc": auc(importance, mask), "mass": relevance_mass(importance, mask), "area": float(mask.mean())}
    return {name: round(value, 5) for name, value in values.items()}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over pictures, per part, encoder, method and kind."""
    table, columns = [], ("part", "encoder", "method", "kind")
    for key, group in grouped(rows, *columns).items():
        line: dict[str, Any] = dict(zip(columns, key, strict=True))
        line |= {"pictures": len(group), "area": round(float(np.mean([row["area"] for row in group])), 4)}
        for name in ("auc", "mass"):
            line |= with_interval(name, [row[name] for row in group])
        table.append(line)
    return table


def misled_minus_twin(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same picture through both encoders: how much more of the map lies on the mark."""
    table, groups = [], grouped(rows, "part", "encoder", "method")
    for method in dict.fromkeys(row["method"] for row in rows if row["part"] == "planted"):
        misled, twin = (groups.get(("planted", encoder, method)) for encoder in (MISLED, TWIN))
        if misled and twin:
            line: dict[str, Any] = {"method": method}
            for name in ("auc", "mass"):
                line |= with_interval(name, [a[name] - b[name] for a, b in zip(misled, twin, strict=True)])
            table.append(line)
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg")
    parser.add_encoders_in(OUT)
    parser.add_argument("--encoders", nargs="+", choices=(*ENCODERS, *PUBLISHED), help="of both parts")
    parser.add_count(40, "pictures with a planted mark")
    parser.add_masks(MASKS)
    parser.add_seed()
    parser.add_name("shortcuts")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for part, names in ((planted, PLANTED_ENCODERS), (real, REAL_ENCODERS)):
        for name in args.encoders or names:
            rows += part(name, args)
            print(part.__name__, name, flush=True)
    settings = {"masks": args.masks, "seed": args.seed, "count": args.count}
    write_results(args.name, rows, {**settings, "misled_minus_twin": misled_minus_twin(rows), "means": summarise(rows)})


if __name__ == "__main__":
    main()
