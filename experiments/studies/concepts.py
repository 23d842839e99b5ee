"""What units and directions of published networks stand for: Network Dissection, TCAV and found concepts on real data.

    python -m experiments.studies.concepts --data DATA --encoders efficientnet-lite0

Dissected are polyps (Kvasir-SEG, masks), blood cells (BCCD, boxes) and pasted objects (`experiments.data.composed`,
exact masks), with the published share of 0.5 % of the cells and with one near the concepts' size. Tested are a concept
that is there (pictures with a pasted star) and one that is not (pictures drawn at random), on what other pictures with
stars have in common. Grouped are the cells of the colonoscopies. `--figures FOLDER` keeps tables, figures and pages.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import relax
from encoders import Encoder
from experiments.data.composed import OBJECTS, Composed, composed
from experiments.data.datasets import CELLS, bccd, kvasir_seg
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results

QUANTILES = (0.005, 0.05)
STARS = 16  # pictures of the concept, and as many whose score is asked
COLUMNS = (
    "encoder",
    "question",
    "pictures",
    "setting",
    "name",
    "found",
    "beyond_chance",
    "value",
    "p",
    "auc",
    "seconds",
)


def pictures_of(name: str, data: Path, count: int) -> list[tuple[Any, dict[str, Any]]]:
    """(picture, masks by concept) of one of the three data sets."""
    if name == "composed":
        return [
            (picture.pixels(), {"object": picture.truth(), "disc": picture.distractor()}) for picture in composed(count)
        ]
    if name == "bccd":
        samples = bccd(data)[:count]
        return [(sample.path, {cell: sample.truth(cell) for cell in CELLS}) for sample in samples]
    return [(sample.path, {"polyp": sample.truth()}) for sample in kvasir_seg(data, "val")[:count]]


def dissected(encoder: Encoder, data: Path, count: int, out: Path | None) -> Iterator[dict[str, Any]]:
    """A row for each data set, share and concept."""
    for name in ("kvasir", "bccd", "composed"):
        rows = pictures_of(name, data, count)
        for quantile in QUANTILES:
            start = time.perf_counter()
            dissection = relax.dissect(rows, encoder, quantile=quantile, show=6 if out else 0)
            seconds = time.perf_counter() - start
            if out is not None:
                dissection.save(out / f"{encoder.name}-{name}-{quantile:g}")
            for place, concept in enumerate(dissection.concepts):
                own = dissection.detectors(concept)
                auc = dissection.auc[:, place]  # NaN where no cell of the layer is mostly on the concept
                best = int(dissection.iou[:, place].argmax())
                yield {
                    "question": f"dissect {name}",
                    "pictures": len(rows),
                    "setting": f"share {quantile:g}",
                    "name": concept,
                    "found": len(own),
                    "beyond_chance": sum(detector.beyond_chance for detector in own),
                    "value": round(float(dissection.iou[best, place]), 4),
                    "p": round(float(dissection.p[best, place]), 4),
                    "auc": round(float(np.nanmax(auc)), 3) if np.isfinite(auc).any() else None,
                    "seconds": round(seconds, 1),
                }


def asked_of_stars(encoder: Encoder, out: Path | None) -> Iterator[dict[str, Any]]:
    """A row for the star, and one for a folder that is no concept."""
    place = OBJECTS.index("star")
    stars = [Composed(place + len(OBJECTS) * number).pixels() for number in range(2 * STARS)]
    others = [picture.pixels() for picture in composed(6 * STARS, seed=1) if picture.label != "star"]
    concepts = {"star": stars[:STARS], "nothing": others[:STARS]}
    start = time.perf_counter()
    result = relax.tcav(stars[STARS:], concepts, others[STARS:], encoder)
    seconds = time.perf_counter() - start
    if out is not None:
        result.save(out / f"{encoder.name}-tcav")
    for score in result.scores:
        yield {
            "question": "tcav stars",
            "pictures": score.pictures,
            "setting": f"accuracy {score.accuracy:.2f}, p {score.accuracy_p:.2f}; score {score.score:.2f}; "
            f"published test errs {score.published_error:.2f}",
            "name": score.concept,
            "found": int(score.accuracy_p <= 0.05),
            "beyond_chance": int(score.meaningful),
            "value": round(score.sensitivity, 4),
            "p": round(score.corrected_p, 4),
            "seconds": round(seconds, 1),
        }


def grouped(encoder: Encoder, data: Path, count: int, out: Path | None) -> Iterator[dict[str, Any]]:
    """A row for each group of cells of the colonoscopies."""
    start = time.perf_counter()
    result = relax.find_concepts([sample.path for sample in kvasir_seg(data, "val")[:count]], encoder, judged=12)
    seconds = time.perf_counter() - start
    if out is not None:
        result.save(out / f"{encoder.name}-found")
    for concept in result.concepts:
        yield {
            "question": "find kvasir",
            "pictures": len(result.pictures),
            "setting": f"silhouette {result.quality:.2f}, Rand index of another start {result.agreement:.2f}; "
            f"{concept.cells:.0%} of the cells, cosine of another start {concept.stability:.2f}, "
            f"control {concept.control:.4f}",
            "name": concept.label,
            "found": concept.judged,
            "beyond_chance": "",
            "value": round(concept.importance, 4),
            "seconds": round(seconds, 1),
        }


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg and bccd")
    parser.add_argument("--encoders", default="efficientnet-lite0", help=NAMES)
    parser.add_count(20, "pictures of each data set")
    parser.add_argument("--figures", type=Path, help="folder for tables, figures and pages")
    parser.add_name("concepts")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.encoders.split(","):
        encoder = encoder_named(name)
        parts = (
            dissected(encoder, args.data, args.count, args.figures),
            asked_of_stars(encoder, args.figures),
            grouped(encoder, args.data, args.count, args.figures),
        )
        for part in parts:
            for row in part:
                rows.append({**dict.fromkeys(COLUMNS, ""), "encoder": name, **row})
                print(rows[-1], flush=True)
    write_results(args.name, rows, {"count": args.count, "encoders": args.encoders, "rows": rows})


if __name__ == "__main__":
    main()
