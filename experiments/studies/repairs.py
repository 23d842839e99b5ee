"""From a shortcut to its repair: what rests on a mark, and what is left of that without its directions?

    python -m experiments.studies.repairs --data DATA
    python -m experiments.studies.repairs --data DATA --encoders sscd --marks box
    python -m experiments.studies.repairs --data DATA --figure docs/images/repair.png

watermark  200 photographs of Caltech 101, ketches and schooners, flamingos and ibises; 90 % of the first of each two
           carry a watermark at a random place, and 10 % of the second: a head learns the mark in place of the kind
frame      the same with a coloured frame along the border
box        100 annotated colonoscopies of Kvasir-SEG, 56 of which show the box of the position marker; no labels

Every row is a number of `relax.repair_encoder`, without so many directions (`way`); --rounds seeds choose the pictures
that tell the directions and those that judge. For comparison "group means", one direction from the mean of pictures
without the mark to that of pictures with it, which needs no twins and takes whatever else the two groups differ in.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import relax
from experiments.data.datasets import caltech101, kvasir_shortcuts, shortcut_masks
from experiments.data.planted import plant
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped, median_and_range
from relax.auditing.neighbours import unit
from relax.plotting.repair import repair_figure
from relax.repair.directions import directions_of
from relax.repair.steps import Bench

CLASSES = {"ketch": 0.9, "schooner": 0.1, "flamingo": 0.9, "ibis": 0.1}  # share that carries the mark
EACH = 50
MARKS = ("watermark", "frame", "box")
COUNTS = (1, 2, 4, 8, 16)  # directions


@dataclass(frozen=True)
class Folder:
    """Pictures on disk, with the masks of their marks.

    Attributes:
        pictures: The folder.
        marks: A folder of masks.
        labels: "folders", or None.
    """

    pictures: Path
    marks: Path
    labels: str | None


def planted(data: Path, out: Path, kind: str, seed: int) -> Folder:
    """Photographs of `CLASSES`, with the mark."""
    images, labels, names = caltech101(data, "train")
    rng = np.random.default_rng(seed)
    for name, share in CLASSES.items():
        kept = np.flatnonzero(labels == names.index(name))[:EACH]
        carries = rng.permutation(len(kept)) < round(share * len(kept))
        (out / "pictures" / name).mkdir(parents=True)
        (out / "marks").mkdir(exist_ok=True)
        for number, (row, marked) in enumerate(zip(kept, carries, strict=True)):
            pixels = images[row]
            stem = f"{name}-{number:03}"
            if marked:
                pixels, mask = plant(pixels, kind, rng=rng)
                Image.fromarray(mask).save(out / "marks" / f"{stem}.png")
            Image.fromarray(pixels).save(out / "pictures" / name / f"{stem}.png")
    return Folder(out / "pictures", out / "marks", "folders")


def annotated(data: Path, out: Path) -> Folder:
    """Kvasir's annotated pictures, and the masks of the position marker's box."""
    for name in ("pictures", "marks"):
        (out / name).mkdir()
    for sample in kvasir_shortcuts(data):
        (out / "pictures" / sample.path.name).symlink_to(sample.path.resolve())
        mask = shortcut_masks(sample)["marker-box"]
        if mask.any():
            Image.fromarray(mask).save(out / "marks" / f"{sample.name}.png")
    return Folder(out / "pictures", out / "marks", None)


def group_means(bench: Bench) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(1, D) the difference between the means of the pictures that carry the mark and of those that do not."""
    learned = bench.learned
    itself = unit(learned.itself)
    difference = itself[learned.marked].mean(0) - itself[~learned.marked].mean(0)
    return unit(difference[None])


def rows_of(encoder: str, mark: str, folder: Folder, rounds: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row per way, question, condition and seed."""
    archive = relax.make_archive(folder.pictures, encoder_named(encoder), folder.pictures.parent / f"archive-{encoder}")
    for number in range(rounds):
        bench = relax.repair_encoder(archive, folder.marks, labels=folder.labels, seed=seed + number).bench
        ways = {str(count): directions_of(bench.learned, count) for count in COUNTS}
        for way, removed in {**ways, "group means": group_means(bench)}.items():
            for step in bench.steps(removed):
                yield {
                    "encoder": encoder,
                    "mark": mark,
                    "seed": seed + number,
                    "way": way,
                    **step.record(),
                }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The middle over seeds, and the least and the largest."""
    table: dict[str, Any] = {}
    for (encoder, mark, way, question, condition), mine in grouped(
        rows, "encoder", "mark", "way", "question", "condition"
    ).items():
        entry = table.setdefault(f"{encoder}, {mark}, {way}", {})
        entry[f"{question}, {condition}"] = median_and_range([row["value"] for row in mine])
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip and kvasir_seg")
    parser.add_argument("--encoders", nargs="+", default=["default"], help=f"each one of: {NAMES}")
    parser.add_argument("--marks", nargs="+", default=MARKS, choices=MARKS)
    parser.add_rounds(3)
    parser.add_seed()
    parser.add_name("repairs")
    parser.add_argument("--figure", type=Path, help="only draw the first mark and encoder, into this file")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for mark in args.marks:
        with tempfile.TemporaryDirectory() as work:
            out = Path(work)
            folder = annotated(args.data, out) if mark == "box" else planted(args.data, out, mark, args.seed)
            if args.figure is not None:
                archive = relax.make_archive(folder.pictures, encoder_named(args.encoders[0]), out / "archive")
                mended = relax.repair_encoder(archive, folder.marks, labels=folder.labels, seed=args.seed)
                repair_figure(mended).savefig(args.figure, dpi=110)
                return
            for encoder in args.encoders:
                rows += rows_of(encoder, mark, folder, args.rounds, args.seed)
                summary = summarise(rows)
                write_results(args.name, rows, summary)
                print(encoder, mark, summary[f"{encoder}, {mark}, 4"], flush=True)


if __name__ == "__main__":
    main()
