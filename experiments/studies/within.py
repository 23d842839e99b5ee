"""What does `within=` save where only a lesion is asked about?

    python -m experiments.studies.within --data DATA

Polyps of Kvasir-SEG's validation pictures that cover at most 15 % of their picture, each explained twice over: within
its mask with 7 cells; and the whole picture with cells of the same size, so many that 7 lie across the polyp (64 at
most). Inside the mask, for growing numbers of masks: the median standard error; and the correlation of the maps of two
seeds, which says when a map can be read, whatever its scale. The two maps answer different questions (given all else,
and with all else hidden at random), so an equal standard error is equally fine, not equally telling; `span` is what it
is to be read against, the middle 90 % of the map (which contains the noise: the fewer masks, the wider).
results/within.csv has a row per picture, way and number of masks.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.datasets import Sample, kvasir_seg
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped, median_and_range
from similarity import cosine

CELLS, MOST_CELLS = 7, 64
LARGEST = 0.15  # share of the picture
READABLE = 0.9  # correlation of the maps of two seeds
WAYS = ("within", "whole")


def settings_of(way: str, truth: NDArray[np.bool_]) -> dict[str, Any]:
    """The keywords of one way: the same cells across the polyp in both."""
    if way == "within":
        return {"within": truth, "cells": CELLS}
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    sides = (np.ptp(rows) + 1) / truth.shape[0], (np.ptp(columns) + 1) / truth.shape[1]
    return {"cells": min(MOST_CELLS, round(CELLS / float(np.sqrt(sides[0] * sides[1]))))}


def measured(sample: Sample, encoder: Encoder, way: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per number of masks."""
    truth = sample.truth()
    settings = settings_of(way, truth)
    start = time.perf_counter()
    probes = [
        relax.probe(sample.pixels(), encoder, masks=args.masks, seed=args.seed + seed, **settings) for seed in (0, 1)
    ]
    seconds = (time.perf_counter() - start) / 2
    scores = [cosine(probe.embeddings, probe.image_embedding) for probe in probes]
    rows, count = [], 256
    while count <= args.masks:
        moments = [probe.moments(values[:count]) for probe, values in zip(probes, scores, strict=True)]
        maps = [p.scene.to_image(m.importance)[truth] for p, m in zip(probes, moments, strict=True)]
        error = probes[0].scene.to_image(moments[0].standard_error)[truth]
        low, high = np.nanquantile(maps[0], (0.05, 0.95))
        known = np.isfinite(maps[0])
        rows.append(
            {
                "picture": sample.name,
                "share": round(float(truth.mean()), 4),
                "way": way,
                "cells": settings["cells"],
                "masks": count,
                "error": float(f"{np.nanmedian(error):.4g}"),
                "span": float(f"{high - low:.4g}"),
                "agreement": round(float(np.corrcoef(maps[0][known], maps[1][known])[0, 1]), 4),
                "seconds": round(seconds * count / args.masks, 3),
            }
        )
        count *= 2
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians and ranges over the pictures: errors at the most masks, what equal errors cost, and when maps agree."""
    most = max(row["masks"] for row in rows)
    by_way = {way: [row for row in rows if row["way"] == way] for way in WAYS}
    last = {way: [row for row in by_way[way] if row["masks"] == most] for way in WAYS}
    pairs = [*zip(last["within"], last["whole"], strict=True)]
    same = [(whole["error"] / within["error"]) ** 2 for within, whole in pairs]
    relative = [
        (whole["error"] / whole["span"] * within["span"] / within["error"]) ** 2 for within, whole in pairs
    ]  # the squared error falls as 1 / masks
    summary: dict[str, Any] = {
        "times_the_masks_for_the_same_error": median_and_range(same),
        "times_the_masks_for_the_same_error_against_the_span": median_and_range(relative),
    }
    for way in WAYS:
        readable = [
            min((row["masks"] for row in group if row["agreement"] >= READABLE), default=None)
            for group in grouped(by_way[way], "picture").values()
        ]
        masks = [count for count in readable if count is not None]
        summary[way] = {
            "cells": median_and_range([row["cells"] for row in last[way]]),
            "error": median_and_range([row["error"] for row in last[way]]),
            "span_in_errors": median_and_range([row["span"] / row["error"] for row in last[way]]),
            "agreement": {
                str(count): median_and_range([row["agreement"] for row in group])
                for (count,), group in grouped(by_way[way], "masks").items()
            },
            "readable": {"pictures": len(masks), "masks": median_and_range(masks) if masks else None},
            "seconds": median_and_range([row["seconds"] for row in last[way]]),
        }
    return summary


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg")
    parser.add_argument("--encoder", default="default")
    parser.add_count(6, "pictures")
    parser.add_masks(1024, "at most")
    parser.add_seed()
    parser.add_name("within")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    small = (sample for sample in kvasir_seg(args.data, "val") if sample.truth().mean() <= LARGEST)
    rows: list[dict[str, Any]] = []
    for sample, _ in zip(small, range(args.count), strict=False):
        for way in WAYS:
            rows += measured(sample, encoder, way, args)
            print(
                {key: rows[-1][key] for key in ("picture", "way", "cells", "error", "agreement", "seconds")}, flush=True
            )
    settings = {"count": args.count, "masks": args.masks, "seed": args.seed, "largest_share": LARGEST}
    record = {"name": encoder.name, "checksum": encoder.checksum}
    write_results(args.name, rows, {**settings, "encoder": record, **summarise(rows)})


if __name__ == "__main__":
    main()
