"""Found concepts as files: a table, a record, a figure of patches, a page, and the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import save

from relax.concepts.drawing import crops_figure
from relax.concepts.files import as_json, rounded, write_folder
from relax.plotting.drawing import file_of
from relax.plotting.sheet import WIDTH
from relax.report.content import Grid, Report, Section, Strip, Thumbnail
from relax.report.page import page
from relax.text import csv_text, shortened

if TYPE_CHECKING:
    from relax.concepts.found import FoundConcepts

COLUMNS = ("number", "cells", "pictures", "importance", "control", "judged", "stability")
ABOUT = (
    "A concept here is a group of cells that look alike to the layer; it has no name but what its patches show. "
    "Importance is how far the embedding turns, 1 - cosine, where the group's cells are replaced by the mean of the "
    "picture's other cells; control is the same for as many cells at random, so a group matters by as much as it is "
    "above that."
)


def save_found(found: FoundConcepts, folder: Path) -> list[Path]:
    """Write concepts.csv, concepts.json, concepts.png, concepts.html and concepts.safetensors."""
    vectors = {f"concept-{one.number}": np.ascontiguousarray(one.vector, np.float32) for one in found.concepts}
    about = {"layer": found.layer, "encoder": str(found.record["encoder"]["name"])}
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(found)]
    record = {
        **found.record,
        "sentences": [*found.sentences()],
        "quality": found.quality,
        "agreement": found.agreement,
        "found": [{**row, "patches": [*one.names]} for row, one in zip(rows, found.concepts, strict=True)],
        "failed": found.failed,
    }
    return write_folder(
        folder,
        {
            "concepts.csv": csv_text([COLUMNS, *_rows(found)]).encode(),
            "concepts.json": as_json(record),
            "concepts.png": file_of(found.plot()),
            "concepts.html": page(found_report(found)).encode(),
            "concepts.safetensors": save(vectors, metadata=about),
        },
    )


def found_figure(found: FoundConcepts, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A row of patches for each concept."""
    rows = [
        (
            f"{one.label}: {one.cells:.0%} of the cells, importance {one.importance:.3f} (others {one.control:.3f})",
            one.patches,
        )
        for one in found.concepts
        if one.patches
    ]
    encoder = shortened(str(found.record["encoder"]["name"]), 80)
    return crops_figure(rows, [f"layer {found.layer} of {encoder}", "patches that show each best"], width, theme)


def found_report(found: FoundConcepts) -> Report:
    """The page of found concepts, for `relax.write_report`."""
    strips = tuple(
        Strip(one.label, tuple(map(Thumbnail, one.patches, one.names)), str(one).partition(": ")[2])
        for one in found.concepts
    )
    grid = Grid("Groups", COLUMNS, tuple(_rows(found)))
    return Report(
        f"What {found.layer} groups together",
        tuple(found.sentences())[:1],
        (Section("Patches that show each concept best", (ABOUT,), strips), Section("Numbers", blocks=(grid,))),
        settings=found.record,
        about_maps=False,
    )


def _rows(found: FoundConcepts) -> list[tuple[Any, ...]]:
    return [
        tuple(
            rounded(value) if isinstance(value, float) else value for value in (getattr(one, name) for name in COLUMNS)
        )
        for one in found.concepts
    ]
