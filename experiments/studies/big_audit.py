"""What does an audit of 100,000 pictures take, and what does it find of what was planted in them?

    python -m experiments.studies.big_audit --data DATA --out runs/big_audit
    python -m experiments.studies.big_audit --data DATA --out runs/big_audit_2000 --count 2000 --name big_audit_2000

The pictures and what is planted are those of `experiments.data.big_tar`. The audit reads the tar, with a column of
metadata: the data set of each picture. Results/big_audit.csv has a row per stage of the audit (seconds, seconds of the
processor, and the largest memory while it ran) and two per kind of planted copy, small and larger pictures. Found: a
copy and the picture that it was made from are in one group of near-duplicates. Of what else the groups join, the JSON
file says how much is alike in its pixels all the same (the data sets have copies of their own): brightness at 32 x 32
px, as it is or mirrored, correlates by 0.9 or more. Of the marks it says which groups of pictures were said to have
one, and how many of the named pictures do. Foretold is what `relax audit` says before it begins, with the clock of the
processor. A run that was stopped goes on when it is started again; of each stage the run counts in which it took
longest.
"""

from __future__ import annotations

import argparse
import csv
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import relax
from experiments.data.big_tar import COPIES, Planted, write_tar
from experiments.options import Options as Parser
from experiments.record import write_results
from relax.archive.update import find_images
from relax.auditing.forecast import forecast
from relax.auditing.options import Options
from relax.auditing.result import Audit
from relax.auditing.run import MASKS
from relax.io.small import small_picture
from relax.settings import Settings

ALIKE, SIDE = 0.9, 32
JOINS = 2000  # of the groups' joins that were not planted, at most so many are looked at
PAGE = Path("/proc/self/statm")
EVERY = 0.2  # seconds between two looks at the memory


class Stages:
    """Seconds and memory of each stage, from an audit's progress; kept in a file, to which a later run adds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.began, self.cpu, self.largest = time.perf_counter(), time.process_time(), 0.0
        self.name, self.running = "reading the folder", True
        self.watch = threading.Thread(target=self._look, daemon=True)
        self.watch.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Progress of an audit."""
        if stage != self.name:
            self._close()
            self.name = stage
            print(f"{stage} ...", flush=True)

    def end(self) -> list[dict[str, Any]]:
        """A row per stage: of all runs that in which it took longest."""
        self._close()
        self.running = False
        rows: dict[str, dict[str, Any]] = {}
        for line in self.file.read_text().splitlines():
            row = json.loads(line)
            longest = rows.setdefault(row["stage"], row)
            if row["cpu_seconds"] > longest["cpu_seconds"]:
                rows[row["stage"]] = row
        return list(rows.values())

    def _close(self) -> None:
        seconds, cpu = time.perf_counter() - self.began, time.process_time() - self.cpu
        row = {"stage": self.name, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}
        line = json.dumps(row | {"peak_mb": round(self.largest)})
        with self.file.open("a") as stream:
            stream.write(f"{line}\n")
        print(line, flush=True)
        self.began, self.cpu, self.largest = time.perf_counter(), time.process_time(), 0.0

    def _look(self) -> None:
        while self.running:
            self.largest = max(self.largest, int(PAGE.read_text().split()[1]) * 4096 / 1e6)
            time.sleep(EVERY)


def write_metadata(file: Path, planted: Sequence[Planted]) -> Path:
    """The data set of each picture, as a table for the audit."""
    with file.open("w", newline="") as stream:
        rows = [[f"pictures.tar#member={picture.member}", picture.member.partition("/")[0]] for picture in planted]
        csv.writer(stream).writerows([["path", "data set"], *rows])
    return file


def foretell(tar: Path, metadata: Path, out: Path, seed: int) -> dict[str, Any]:
    """What the audit itself would say beforehand, in seconds of the processor, which others at work hardly change."""
    torch.set_num_threads(1)
    options = Options(metadata, None, 24, 96, None, None, ("pca", "tsne"), Settings.of({"masks": MASKS, "seed": seed}))
    files, _, sources = find_images(str(tar), True, out, "flat", "cosine")
    encoder = relax.load_encoder("default", device="cpu")
    foretold = forecast(sources.root, [*files], encoder, options, options.read_table(), clock=time.process_time)
    if foretold is None:
        raise RuntimeError("none of the pictures can be read")
    return {
        "cpu_minutes": round(sum(foretold.seconds.values()) / 60, 1),
        "peak_mb": round(foretold.memory / 1e6),
        "disk_mb": round(foretold.disk / 1e6),
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in foretold.seconds.items()},
    }


def copies_found(audit: Audit, truth: dict[str, Planted], root: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Per kind of copy how many were found, and what the groups join that was not planted."""
    names = [path.partition("#member=")[2] for path in audit.paths]
    group = {names[image]: number for number, images in enumerate(audit.space.duplicates.groups) for image in images}
    rows, used = [], set(names)
    for kind in (*COPIES, "augmented"):
        for small in (True, False):
            planted = [picture for picture in truth.values() if picture.kind == kind and picture.member in used]
            planted = [picture for picture in planted if picture.member.startswith("cifar10/") == small]
            matches = sum(group.get(picture.member, -1) == group.get(picture.family, -2) for picture in planted)
            size = "32 px" if small else "larger"
            rows.append({"kind": kind, "size": size, "planted": len(planted), "found": matches})
    joined = list(joins(audit, names, truth))
    looked_at = [joined[place] for place in np.random.default_rng(0).permutation(len(joined))[:JOINS]]
    alike = sum(likeness(root / audit.paths[a], root / audit.paths[b]) >= ALIKE for a, b in looked_at)
    extra = audit.space.duplicates.extra
    return rows, {
        "threshold": audit.space.duplicates.threshold,
        "groups": len(audit.space.duplicates.groups),
        "beyond_one_of_each": extra,
        "planted_of_these": extra - len(joined),
        "not_planted": len(joined),
        "looked_at": len(looked_at),
        "alike_in_pixels": alike,
    }


def joins(audit: Audit, names: Sequence[str], truth: dict[str, Planted]) -> list[tuple[int, int]]:
    """Pairs of images of different families, one for each family beyond the first of a group."""
    pairs = []
    for images in audit.space.duplicates.groups:
        first = {}
        for image in images:
            first.setdefault(truth[names[image]].family, image)
        pairs += list(pairwise(first.values()))
    return pairs


def likeness(first: Path, second: Path) -> float:
    """Correlation of the brightness of two pictures at 32 x 32 px, or of one with the mirror image of the other."""
    a, b = (_brightness(path) for path in (first, second))
    return max(float(np.corrcoef(a.ravel(), other.ravel())[0, 1]) for other in (b, b[:, ::-1]))


def _brightness(path: Path) -> NDArray[np.float64]:
    from PIL import Image

    picture = Image.fromarray(small_picture(path, 256)).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64)


def marks_found(audit: Audit, truth: dict[str, Planted]) -> list[dict[str, Any]]:
    """Each group of pictures that was said to share a detail, and how many of the named ones carry a planted mark."""
    if audit.marks is None:
        return []
    names = [path.partition("#member=")[2] for path in audit.paths]
    marks = Counter(truth[names[image]].mark for image in audit.marks.carriers)
    rows = [{"among": "all", "p": audit.marks.p, "named": dict(marks)}]
    for result in audit.group_marks:
        marks = Counter(truth[names[image]].mark for image in result.marks.carriers)
        rows.append({"among": result.group.value, "p": result.p, "named": dict(marks)})
    return rows


def main() -> None:
    parser = Parser(__doc__)
    parser.add_data("cifar10, caltech101.zip, imagenet_sample, kvasir_seg and bccd")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures and of the audit")
    parser.add_count(100_000, "pictures")
    parser.add_seed()
    parser.add_name("big_audit")
    args: argparse.Namespace = parser.parse_args()
    tar, planted = write_tar(args.data, args.out, args.count, args.seed)
    metadata = write_metadata(args.out / "sets.csv", planted)
    foretold = foretell(tar, metadata, args.out / "audit", args.seed)
    stages = Stages(args.out / "stages.jsonl")
    try:
        audit = relax.audit(tar, out=args.out / "audit", metadata=metadata, seed=args.seed, progress=stages)
    finally:
        rows = stages.end()
    truth = {picture.member: picture for picture in planted}
    copies, summary = copies_found(audit, truth, args.out)
    empty = dict.fromkeys(copies[0], "")
    write_results(
        args.name,
        [row | empty for row in rows] + [dict.fromkeys(rows[0], "") | row for row in copies],
        {
            "pictures": len(audit.paths),
            "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
            "cpu_minutes": round(sum(row["cpu_seconds"] for row in rows) / 60, 1),
            "peak_mb": max(row["peak_mb"] for row in rows),
            "page_mb": round(audit.report.stat().st_size / 1e6, 1),
            "disk_mb": round(sum(file.stat().st_size for file in audit.report.parent.rglob("*")) / 1e6),
            "foretold": foretold,
            "copies": copies,
            "near_duplicates": summary,
            "marks": marks_found(audit, truth),
            "findings": list(audit.findings),
        },
    )
    print(*audit.findings, sep="\n")


if __name__ == "__main__":
    main()
