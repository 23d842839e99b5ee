"""Results of this room as files: tables, a record, a figure and a page, all of them whole or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relax.concepts.chance import LEVEL
from relax.concepts.drawing import LEGEND, outlined
from relax.concepts.parts import PARTS
from relax.files import written_together
from relax.plotting.drawing import file_of
from relax.report.content import Grid, Report, Section, Strip, Thumbnail
from relax.report.page import page
from relax.text import csv_text

if TYPE_CHECKING:
    from relax.concepts.dissection import Dissection, Example

UNITS = ("unit", "concept", "iou", "p", "auc", "ap", "part", "threshold", "detector", "beyond_chance")
PAIRS = ("unit", "concept", "iou", "p", "auc", "ap", *PARTS)


def save_dissection(dissection: Dissection, folder: Path) -> list[Path]:
    """Write units.csv (each unit with its best concept), pairs.csv (each with every concept), dissection.json,
    dissection.html and, where there are examples, dissection.png.
    """
    contents: dict[str, bytes] = {
        "units.csv": csv_text([UNITS, *_unit_rows(dissection)]).encode(),
        "pairs.csv": csv_text([PAIRS, *_pair_rows(dissection)]).encode(),
        "dissection.json": as_json(_record(dissection)),
        "dissection.html": page(dissection_report(dissection)).encode(),
    }
    if dissection.examples:
        contents["dissection.png"] = file_of(dissection.plot())
    return write_folder(folder, contents)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files of these names and bytes into a folder, which is created: all of them, or none."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in contents]
    with written_together(paths) as asides:
        for aside, content in zip(asides, contents.values(), strict=True):
            aside.write_bytes(content)
    return paths


def as_json(record: Any) -> bytes:
    """A record as JSON, in which what is undefined is null."""
    return (json.dumps(_finite(record), indent=2, ensure_ascii=False) + "\n").encode()


def dissection_report(dissection: Dissection) -> Report:
    """The page of a dissection, for `relax.write_report`."""
    about = (
        "A unit's area is where its activation, enlarged bilinearly, is among its highest "
        f"{dissection.record['quantile']:.3g} of all cells of all pictures. IoU counts the pixels in both area and "
        "mask by those in either, over all pictures. p is the chance that masks on the wrong pictures give any unit "
        f"and concept so large an excess; at most {LEVEL:g} counts as beyond chance."
    )
    strips = tuple(
        _strip(dissection, unit, list(group))
        for unit, group in groupby(dissection.examples, key=lambda example: example.unit)
    )
    ordered = sorted(_unit_rows(dissection), key=lambda row: -row[2])
    note = "Part: where the unit's area is densest, on the concept, on its rim, or outside it."
    grid = Grid("Every unit with the concept that it overlaps with most", UNITS, tuple(ordered), note)
    return Report(
        f"What the units of {dissection.layer} detect",
        tuple(dissection.sentences()),
        (Section("How to read this", (about,)), Section("Pictures that excite the best units", (LEGEND,), strips),
         Section("All units", blocks=(grid,))),
        settings=dissection.record,
        about_maps=False,
    )  # fmt: skip


def _strip(dissection: Dissection, unit: int, examples: Sequence[Example]) -> Strip:
    detector = dissection.units()[unit]
    thumbnails = tuple(
        Thumbnail(outlined(example.pixels, example.area, example.mask), f"{example.peak:.3g} · {example.name}")
        for example in examples
    )
    measures = f"IoU {detector.iou:.3f}, p {detector.p:.2g}, AUC {detector.auc:.2f}"
    note = f"{measures}, densest {_place(detector.part)} the concept"
    return Strip(f"Unit {unit}: {detector.concept}", thumbnails, note)


def _place(part: str) -> str:
    return {"rim": "on the rim of", "": "nowhere on"}.get(part, part)


def _unit_rows(dissection: Dissection) -> list[tuple[Any, ...]]:
    return [
        (detector.unit, detector.concept, *map(rounded, (detector.iou, detector.p, detector.auc, detector.ap)),
         detector.part, rounded(detector.threshold), int(detector.named), int(detector.beyond_chance))
        for detector in dissection.units()
    ]  # fmt: skip


def _pair_rows(dissection: Dissection) -> list[tuple[Any, ...]]:
    return [
        (unit, concept, *(rounded(table[unit, place]) for table in
                          (dissection.iou, dissection.p, dissection.auc, dissection.ap)),
         *map(rounded, dissection.density[unit, place]))
        for unit in range(len(dissection.iou)) for place, concept in enumerate(dissection.concepts)
    ]  # fmt: skip


def _record(dissection: Dissection) -> dict[str, Any]:
    return {
        **dissection.record,
        "sentences": [*dissection.sentences()],
        "concepts": {
            name: {"pictures": int(dissection.counts[place]), "share": float(dissection.shares[place])}
            for place, name in enumerate(dissection.concepts)
        },
        "detectors": [detector.__dict__ for detector in dissection.detectors()],
        "failed": dissection.failed,
    }


def rounded(value: float) -> float | None:
    """To six digits; None where it is undefined."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
