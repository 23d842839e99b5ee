"""Does a promise over an archive hold: in the archive, and in another?

    python -m experiments.studies.promises --data DATA --count 240 --others 100
    python -m experiments.studies.promises --data DATA --count 120 --others 40 --offset 3 --name promises_fresh

The rule "steady" was chosen on the pictures of the first command, among about 20 tried; of the 120 of the
second 104 are others.

Pictures of Caltech 101 (the test split) and colonoscopies of Kvasir-SEG ("val"), each with its map and one pass for
every number of its cells (`relax.enough.trails.Trail`), which RUNS keeps picture by picture: run again, it goes
on. Half of Caltech's pictures calibrate a promise and half check it, over 200 random splits, for every rule, in
expectation and with confidence 0.9; all of Caltech's then promise for Kvasir. results/NAME.csv has a row per picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from experiments.data.datasets import caltech101, kvasir_seg
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from relax.enough.risk import pictures_necessary
from relax.enough.rules import RULES
from relax.enough.trails import Calibration, Trail, checked_on, over_splits, trail_of
from relax.keywords import PromiseKeywords
from relax.settings import Settings

ARCHIVES = ("caltech", "kvasir")
AT_LEAST = (0.7, 0.8, 0.9)
RISK, CONFIDENCE = 0.05, 0.9
RUNS = Path("runs/promises")


def pictures_of(data: Path, archive: str, count: int, offset: int) -> list[tuple[str, NDArray[np.uint8]]]:
    """Names and pixels (H, W, 3), evenly spaced over the archive, from a picture on."""
    if archive == "kvasir":
        samples = kvasir_seg(data, "val")
        return [(sample.name, sample.pixels()) for sample in _spaced(samples, count, offset)]
    pictures = caltech101(data, "test")[0]
    return [(str(place), pictures[place]) for place in _spaced(range(len(pictures)), count, offset)]


def _spaced(values: Sequence[Any], count: int, offset: int) -> list[Any]:
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int) + offset
    return [values[place % len(values)] for place in places]


def trails_of(archive: str, count: int, encoder: Encoder, settings: Settings, args: argparse.Namespace) -> list[Trail]:
    """The trails of an archive, those from an earlier run read again."""
    path = args.runs / f"{args.name}-{archive}-{settings.count}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {} if not path.exists() else {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}
    trails = []
    for name, pixels in pictures_of(args.data, archive, count, args.offset):
        if name not in known:
            trail = trail_of(pixels, encoder, settings, ("mean",))
            levels = {rule: values.tolist() for rule, values in trail.levels.items()}
            row = {
                "name": name,
                "scores": trail.scores.tolist(),
                "levels": levels,
                "embedding": trail.embedding.tolist(),
            }
            with path.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            known[name] = row
            print(archive, len(known), flush=True)
        row = known[name]
        levels = {rule: np.array(values) for rule, values in row["levels"].items()}
        trails.append(Trail(name, np.array(row["scores"]), levels, np.array(row["embedding"])))
    return trails


def answers(caltech: list[Trail], kvasir: list[Trail], at_least: float, seed: int) -> dict[str, Any]:
    """For every rule and kind of promise: kept and size in the archive over splits, and in the other archive."""
    table: dict[str, Any] = {}
    half = len(caltech) // 2
    for rule in RULES:
        for kind, confidence in (("in_expectation", None), ("with_confidence", CONFIDENCE)):
            if half < pictures_necessary(RISK, confidence):
                continue
            order = np.random.default_rng(seed).permutation(len(caltech))
            first, others = ([caltech[place] for place in part] for part in (order[:half], order[half:]))
            level = Calibration.of(first, rule, at_least).level(RISK, confidence)
            table[f"{rule}, {kind}"] = {
                "splits": over_splits(caltech, half, rule, at_least, RISK, confidence, seed),
                "one_split": checked_on(others, rule, level, at_least),
                "other_archive": checked_on(
                    kvasir, rule, Calibration.of(caltech, rule, at_least).level(RISK, confidence), at_least
                ),
                "calibrated_there": over_splits(kvasir, len(kvasir) // 2, rule, at_least, RISK, confidence, seed)
                if len(kvasir) // 2 >= pictures_necessary(RISK, confidence)
                else None,
            }
    return table


def row_of(archive: str, trail: Trail) -> dict[str, Any]:
    """A picture: how many cells its ranking needs, and how often one more cell lowers the similarity."""
    row: dict[str, Any] = {"archive": archive, "picture": trail.name, "cells": len(trail.scores) - 1}
    for at_least in AT_LEAST:
        row[f"first_{at_least}"] = int(np.flatnonzero(trail.scores >= at_least)[0])
        lost = np.flatnonzero(trail.scores < at_least)
        row[f"for_good_{at_least}"] = int(lost[-1]) + 1 if lost.size else 0
    row["hidden"] = round(float(trail.scores[0]), 4)
    row["falls"] = round(float((np.diff(trail.scores) < 0).mean()), 4)
    return row


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip and kvasir_seg")
    parser.add_argument("--encoder", default="default")
    parser.add_count(240, "pictures of Caltech 101")
    parser.add_argument("--others", type=int, default=100, help="pictures of Kvasir-SEG")
    parser.add_argument("--offset", type=int, default=0, help="of the pictures taken; another number takes others")
    parser.add_masks(128, "of each map")
    parser.add_argument("--cells", type=int, default=7)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where trails are kept")
    parser.add_seed()
    parser.add_name("promises")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    keywords = {"masks": args.masks, "cells": args.cells, "seed": args.seed}
    settings = Settings.of(keywords, PromiseKeywords, "promises")
    caltech, kvasir = (
        trails_of(archive, count, encoder, settings, args)
        for archive, count in zip(ARCHIVES, (args.count, args.others), strict=True)
    )
    rows = [
        row_of(archive, trail) for archive, trails in zip(ARCHIVES, (caltech, kvasir), strict=True) for trail in trails
    ]
    record = {"name": encoder.name, "checksum": encoder.checksum}
    summary = {
        **keywords,
        "pictures": {"caltech": len(caltech), "kvasir": len(kvasir)},
        "risk": RISK,
        "confidence": CONFIDENCE,
        "encoder": record,
        "similarity_at_least": {str(limit): answers(caltech, kvasir, limit, args.seed) for limit in AT_LEAST},
    }
    write_results(args.name, rows, summary)


if __name__ == "__main__":
    main()
