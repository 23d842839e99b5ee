"""How often does an audit find a mark in the pixels, and does the encoder answer when it is hidden?

    python -m experiments.studies.planted_marks --data DATA --out runs/planted_audit

The folders of `planted_audit`: 40 photographs, a random share of which carry a printed label of 34 x 14 %, all at
bottom left or each at a random place. Clean folders are of other photographs, no two folders sharing one.

found      p of `relax.auditing.marks` at most 0.05: a detail recurs
in place   the evidence for one place is the stronger
at label   share of the named pictures that carry the label, with a box whose middle is on it
answers    by encoder: found, and `relax.auditing.answers` has p at most 0.05; `moves`: the mean distance by which
           hiding it moves embeddings, over that of the same places without it

results/planted_marks.csv has a row per folder, the JSON file the shares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from experiments.data.pictures import photographs_in
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.planted_audit import FIXED, folders, name_of, write_pictures
from experiments.summaries import grouped
from relax.auditing.answers import ask_encoder
from relax.auditing.marks import Marks, Recurrence, compare, compare_mirrored, name_carriers
from relax.auditing.one_place import compare_moved
from relax.auditing.pictures import Pictures
from relax.auditing.shortcuts import LEVEL
from relax.auditing.spectra import luma_of

KINDS = ("fixed", "moving", "clean")
POOL = 900  # photographs of imagenet_sample
Folder = tuple[float, list[str], Marks, list[bool]]


def planted(folder: Path, version: str, args: argparse.Namespace) -> Iterator[Folder]:
    """Share, names, marks and carriers of every folder; all pictures are compared with one another only once."""
    names = [name_of(number, kind) for kind in ("clean", version) for number in range(args.count)]
    lumas = [luma_of(folder / name) for name in names]
    whole, wandering, standing = compare(lumas, range(len(names)), seed=args.seed)
    for share, numbers, carries in folders(args, version):
        rows = np.sort(numbers + args.count * carries)
        marks = among(whole, rows, args.seed)
        sizes = [lumas[row].shape for row in rows]
        named = name_carriers(marks, wandering[rows], standing[rows], sizes, level=LEVEL)
        yield share, [names[row] for row in rows], named, [bool(row >= args.count) for row in rows]


def among(whole: Marks, rows: NDArray[np.int64], seed: int) -> Marks:
    """The comparison of some of the pictures, in ascending order; images are counted within them."""
    agreement, control = (part[np.ix_(rows, rows)] for part in (whole.anywhere.agreement, whole.anywhere.control))
    first, second = np.tril_indices(len(rows), -1)
    pairs = rows[first] * (rows[first] - 1) // 2 + rows[second]
    place_agreement, place_control = whole.one_place.agreement[pairs], whole.one_place.control[pairs]
    return Marks(
        tuple(range(len(rows))),
        Recurrence(*compare_mirrored(agreement, control, seed=seed), agreement, control),
        Recurrence(*compare_moved(place_agreement, place_control, seed=seed), place_agreement, place_control),
        (),
        {},
    )


def clean(photographs: Sequence[Path], args: argparse.Namespace) -> Iterator[Folder]:
    """Folders of photographs, no two of which share one."""
    order = np.random.default_rng(args.seed).permutation(len(photographs))
    for start in range(0, args.clean * args.count, args.count):
        names = [photographs[place].name for place in order[start : start + args.count]]
        lumas = [luma_of(photographs[0].parent / name) for name in names]
        marks, wandering, standing = compare(lumas, range(len(names)), seed=args.seed)
        sizes = [luma.shape for luma in lumas]
        yield 0.0, names, name_carriers(marks, wandering, standing, sizes, level=LEVEL), [False] * len(names)


def on_label(name: str, number: int, box: tuple[float, float, float, float]) -> bool:
    """Whether the middle of a box is on the label of a picture; `number` is the seed of its place."""
    if name.endswith("_clean.png"):
        return False
    anywhere = np.random.default_rng(number).uniform(0, (0.86, 0.66))
    top, left = FIXED if name.endswith("_fixed.png") else anywhere
    row, column = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(top <= row <= top + 0.14 and left <= column <= left + 0.34)


def rows_of(root: Path, kind: str, draws: Iterator[Folder], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per folder, with the answers of all encoders."""
    networks = {spec: relax.load_encoder(spec) for spec in args.encoders}
    for share, names, marks, _ in draws:
        row: dict[str, Any] = {"kind": kind, "share": share, "p": round(marks.p, 4), "in_place": marks.in_place}
        row |= {"p_anywhere": round(marks.anywhere.p, 4), "p_one_place": round(marks.one_place.p, 4)}
        hits = [on_label(names[image], int(names[image][:3]), marks.boxes[image]) for image in marks.carriers if share]
        row |= {"named": len(marks.carriers), "at_label": round(float(np.mean(hits)), 3) if hits else np.nan}
        for spec, network in networks.items():
            pictures = Pictures(root, network, args.out / "unused", 0, 0)
            answer = ask_encoder(pictures, names, marks, lambda done, total: None, seed=args.seed)
            row[f"p_{spec}"] = round(answer.p, 4) if answer else 1.0
            row[f"moves_{spec}"] = round(answer.moved / answer.moved_others, 3) if answer else np.nan
        yield row


def summarise(rows: list[dict[str, Any]], encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Shares of folders, by kind of label and share of the pictures that carry it."""
    summary = []
    for (kind, share), group in grouped(rows, "kind", "share").items():
        detected = [row for row in group if row["p"] <= LEVEL]
        line: dict[str, Any] = {"kind": kind, "share": share, "folders": len(group)}
        line |= {
            "found": _share(row["p"] <= LEVEL for row in group),
            "anywhere": _share(row["p_anywhere"] <= LEVEL for row in group),
            "one_place": _share(row["p_one_place"] <= LEVEL for row in group),
            "at_label": _share(row["at_label"] for row in detected),
        }
        for spec in encoders:
            line[f"answers_{spec}"] = _share(row["p"] <= LEVEL and row[f"p_{spec}"] <= LEVEL for row in group)
            line[f"moves_{spec}"] = _share(row[f"moves_{spec}"] for row in detected)
        summary.append(line)
    return summary


def _share(numbers: Iterator[Any]) -> float | None:
    known = [float(number) for number in numbers if not np.isnan(number)]
    return round(float(np.mean(known)), 3) if known else None


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--out", type=Path, required=True, help="folder of the planted pictures")
    parser.add_argument("--encoders", nargs="+", default=("default", "sscd"))
    parser.add_count(40, "pictures of a folder")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="folders to make")
    parser.add_argument("--draws", type=int, default=20, help="folders of each share")
    parser.add_argument("--clean", type=int, default=20, help="folders without a label")
    parser.add_seed()
    parser.add_name("planted_marks")
    args = parser.parse_args()
    folder, photographs = write_pictures("imagenet", args), args.data / "imagenet_sample"
    rows: list[dict[str, Any]] = []
    used = {file.name for file in photographs_in(photographs, 64)}
    others = [file for file in photographs_in(photographs, POOL) if file.name not in used]
    for kind in args.kinds:
        root, draws = (photographs, clean(others, args)) if kind == "clean" else (folder, planted(folder, kind, args))
        for row in rows_of(root, kind, draws, args):
            rows.append(row)
            print(row, flush=True)
    write_results(args.name, rows, {"seed": args.seed, "count": args.count, "found": summarise(rows, args.encoders)})


if __name__ == "__main__":
    main()
