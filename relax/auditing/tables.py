"""The files beside the report: every number of the audit, to sort, join and compute with.

    audit.parquet        one row per image: cluster, nearest image, duplicate group, outlier scores, hubness, map places
    clusters.csv         path, cluster, cosine to its centre, rank from the most typical image (1) to the rim
    duplicates.csv       one row per image of a group: group, path, closest, cosine
    outliers.csv         all images, the most unusual first, with their scores and whether they are flagged
    quality.csv          all images: size, brightness, entropy, sharpness, colour, and what is wrong with them
    hubs.csv             images that are neighbours of unusually many others
    shortcuts.csv        every cell of the grid, the strongest evidence first
    marks.csv            images compared with one another: how much more they agree than with mirror images, and where
    groups.csv           groups asked one by one: images, how many were compared, p at one place, anywhere, corrected
    power.csv            how often planted marks are found: test, mark, share of the pictures, share of the draws
    predictability.csv   every metadata column, the most predictable first
    importance.npz       the mean importance map of each cluster
    audit.json           findings, settings, failed images

In CSV files a path that is not valid Unicode is written with backslashes, and text that a spreadsheet would take for a
formula with an apostrophe in front (`relax.text.csv_text`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from relax.auditing.marks import Marks
from relax.auditing.result import Audit
from relax.auditing.shortcuts import Shortcuts
from relax.files import written_aside
from relax.text import csv_text

Row = Sequence[Any]
SCORES = {  # column: attribute of `relax.auditing.outliers.Outliers`
    "outlier_score": "score",
    "mean_distance": "distance",
    "robust_z": "robust_z",
    "cluster_z": "cluster_z",
    "local_factor": "local_factor",
}


def write_tables(audit: Audit, out: Path) -> list[Path]:
    """Write all of them, each whole or not at all, and return their paths."""
    space, paths = audit.space, audit.paths
    hubs = space.hubs
    tables: dict[str, tuple[Row, Iterable[Row]]] = {
        "clusters.csv": (("path", "cluster", "centre_cosine", "rank"), _members(audit)),
        "duplicates.csv": (("group", "path", "closest", "cosine"), _duplicates(audit)),
        "outliers.csv": (("rank", "path", *SCORES, "flagged"), _outliers(audit)),
        "quality.csv": (("path", *audit.quality.measures, "problems"), _quality(audit)),
        "hubs.csv": (("path", "occurrence"), [(paths[image], int(hubs.occurrence[image])) for image in hubs.hubs]),
    }
    if audit.shortcuts is not None:
        tables["shortcuts.csv"] = _cells(audit.shortcuts)
    if audit.marks is not None:
        tables["marks.csv"] = (
            ("path", "score", "shows_it", "top", "left", "bottom", "right"),
            _marks(audit.paths, audit.marks),
        )
    if audit.group_marks:
        tables["groups.csv"] = (
            ("column", "group", "images", "compared", "p_one_place", "p_anywhere", "p", "show_it"),
            _groups(audit),
        )
    if audit.power:
        tables["power.csv"] = (tuple(asdict(audit.power[0])), [tuple(asdict(row).values()) for row in audit.power])
    if audit.columns:
        tables["predictability.csv"] = (
            tuple(asdict(audit.columns[0])),
            [tuple(asdict(column).values()) for column in audit.columns],
        )
    written = [_write_csv(out / name, header, rows) for name, (header, rows) in tables.items()]
    if audit.maps:
        written.append(out / "importance.npz")
        maps: dict[str, Any] = {f"cluster_{number}": values for number, values in audit.maps.items()}
        with written_aside(written[-1]) as aside, aside.open("wb") as stream:
            np.savez_compressed(stream, **maps)
    return [*written, _write_images(audit, out / "audit.parquet"), _write_json(audit, out / "audit.json")]


def columns(audit: Audit) -> dict[str, Any]:
    """The columns of audit.parquet: one value per image."""
    space = audit.space
    count = len(audit.paths)
    group, outlier, hub, explained = (np.zeros(count, dtype=int) for _ in range(4))
    for number, members in enumerate(space.duplicates.groups, start=1):
        group[list(members)] = number
    outlier[list(space.outliers.flagged)] = 1
    hub[list(space.hubs.hubs)] = 1
    explained[list(audit.explained)] = 1
    table = {
        "path": [_unicode(path) for path in audit.paths],
        "cluster": space.clusters.labels,
        "centre_cosine": space.clusters.closeness,
        "nearest": [_unicode(audit.paths[image]) for image in space.duplicates.closest],
        "nearest_cosine": space.duplicates.similarity,
        "duplicate_group": group,  # 0 = none
        **{column: getattr(space.outliers, name) for column, name in SCORES.items()},
        "outlier": outlier.astype(bool),
        "occurrence": space.hubs.occurrence,
        "hub": hub.astype(bool),
        "l2_agreement": space.agreement,
        "explained": explained.astype(bool),
        **audit.quality.measures,
        "problems": _problems(audit),
    }
    for layout in space.layouts:
        table |= {f"{layout.method}_x": layout.points[:, 0], f"{layout.method}_y": layout.points[:, 1]}
    return table


def _unicode(path: str) -> str:
    """The path, with backslashes for what is not valid Unicode."""
    return path.encode("utf-8", "backslashreplace").decode()


def _write_images(audit: Audit, file: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    with written_aside(file) as aside:
        parquet.write_table(pyarrow.table(columns(audit)), aside)
    return file


def _write_csv(file: Path, header: Row, rows: Iterable[Row]) -> Path:
    with written_aside(file) as aside:
        aside.write_text(csv_text([header, *rows]), encoding="utf-8", errors="backslashreplace", newline="")
    return file


def _write_json(audit: Audit, file: Path) -> Path:
    hubs, clusters = audit.space.hubs, audit.space.clusters
    regions = [_finite(asdict(region)) for region in audit.shortcuts.regions] if audit.shortcuts else None
    record = {
        "images": len(audit.paths),
        "failed": audit.failed,
        "findings": list(audit.findings),
        "numbers": {
            "dimensions": audit.dimensions,
            "clusters": clusters.sizes,
            "silhouettes": {str(number): value for number, value in clusters.silhouettes.items()},
            "duplicate_threshold": audit.space.duplicates.threshold,
            "duplicate_groups": len(audit.space.duplicates.groups),
            "duplicates_beyond_one_of_each": audit.space.duplicates.extra,
            "outliers": len(audit.space.outliers.flagged),
            "problems": {name: len(images) for name, images in audit.quality.problems.items()},
            "hubness_skewness": hubs.skewness,
            "never_a_neighbour": hubs.never,
            "l2_agreement": float(np.nanmean(audit.space.agreement)),
            "columns": [_finite(asdict(column)) for column in audit.columns],
            "shortcut_regions": regions,
            "marks": audit.marks
            and {
                "p": audit.marks.p,
                "p_anywhere": audit.marks.anywhere.p,
                "p_one_place": audit.marks.one_place.p,
                "answer": audit.answer and asdict(audit.answer),
            },
        },
        "settings": audit.settings,
    }
    with written_aside(file) as aside:
        aside.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return file


def _members(audit: Audit) -> list[Row]:
    """One row per image, cluster by cluster."""
    clusters = audit.space.clusters
    return [
        (audit.paths[image], number, float(clusters.closeness[image]), rank)
        for number in range(clusters.count)
        for rank, image in enumerate(clusters.members(number), start=1)
    ]


def _quality(audit: Audit) -> list[Row]:
    measures = audit.quality.measures.values()
    return [
        (path, *(float(values[image]) for values in measures), problems)
        for image, (path, problems) in enumerate(zip(audit.paths, _problems(audit), strict=True))
    ]


def _problems(audit: Audit) -> list[str]:
    """What is wrong with each image, separated by "; "."""
    return ["; ".join(names) for names in audit.quality.by_picture(len(audit.paths))]


def _duplicates(audit: Audit) -> list[Row]:
    duplicates, paths = audit.space.duplicates, audit.paths
    return [
        (number, paths[image], paths[duplicates.closest[image]], float(duplicates.similarity[image]))
        for number, group in enumerate(duplicates.groups, start=1)
        for image in group
    ]


def _outliers(audit: Audit) -> list[Row]:
    outliers, flagged = audit.space.outliers, set(audit.space.outliers.flagged)
    scores = [getattr(outliers, name) for name in SCORES.values()]
    return [
        (rank, audit.paths[image], *(float(values[image]) for values in scores), image in flagged)
        for rank, image in enumerate(outliers.ranked, start=1)
    ]


def _marks(paths: Sequence[str], marks: Marks) -> list[Row]:
    """One row per compared image, the highest score first; the box as shares of the picture, empty without one."""
    rows = zip(marks.images, marks.found.score.tolist(), strict=True)
    return [
        (paths[image], score, image in marks.boxes, *marks.boxes.get(image, ("",) * 4))
        for image, score in sorted(rows, key=lambda row: -row[1])
    ]


def _groups(audit: Audit) -> list[Row]:
    """One row per group that was asked, the smallest p first; the names of those that show the detail clearly."""
    return [
        (
            *(result.group.column, result.group.value, len(result.group.images), len(result.marks.images)),
            *(result.marks.one_place.p, result.marks.anywhere.p, result.p),
            " ".join(audit.paths[image] for image in result.marks.carriers),
        )
        for result in audit.group_marks
    ]


def _cells(shortcuts: Shortcuts) -> tuple[Row, list[Row]]:
    """One row per cell: rank, place, region (0 = none), corrected p, share moved, and each question's t and p."""
    regions = {cell: number for number, region in enumerate(shortcuts.regions, start=1) for cell in region.cells}
    places = list(np.ndindex(*shortcuts.p.shape))
    places.sort(key=lambda place: (shortcuts.p[place], -shortcuts.strength[place]))
    questions = [f"{name}_{part}" for name in shortcuts.tests for part in ("t", "p", "mean", "difference")]
    rows: list[Row] = [
        (
            *(rank, row + 1, column + 1, regions.get((row, column), 0)),
            *(float(shortcuts.p[row, column]), float(shortcuts.moved[row, column])),
            *(float(getattr(test, part)[row, column]) for test in shortcuts.tests.values() for part in _PARTS),
        )
        for rank, (row, column) in enumerate(places, start=1)
    ]
    return ("rank", "row", "column", "region", "p", "share_moved", *questions), rows


_PARTS = ("t", "p", "mean", "difference")


def _finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinity as None, for JSON."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
