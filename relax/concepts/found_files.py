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


def save_found(result: FoundConcepts, folder: Path) -> list[Path]:
    """Write concepts.csv, concepts.json, concepts.png, concepts.html and concepts.safetensors."""
    vectors = {
        f"concept-{concept.number}": np.ascontiguousarray(concept.vector, np.float32) for concept in result.concepts
    }
    about = {"layer": result.layer, "encoder": str(result.record["encoder"]["name"])}
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(result)]
    record = {
        **result.record,
        "sentences": [*result.sentences()],
        "quality": result.quality,
        "agreement": result.agreement,
        "found": [{**row, "patches": [*concept.names]} for row, concept in zip(rows, result.concepts, strict=True)],
        "failed": result.failed,
    }
    return write_folder(
        folder,
        {
            "concepts.csv": csv_text([COLUMNS, *_rows(result)]).encode(),
            "concepts.json": as_json(record),
            "concepts.png": file_of(result.plot()),
            "concepts.html": page(found_report(result)).encode(),
            "concepts.safetensors": save(vectors, metadata=about),
        },
    )


def found_figure(result: FoundConcepts, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A row of patches for each concept."""
    rows = [
        (
            f"{concept.label}: {concept.cells:.0%} of the cells, "
            f"importance {concept.importance:.3f} (others {concept.control:.3f})",
            concept.patches,
        )
        for concept in result.concepts
        if concept.patches
    ]
    encoder = shortened(str(result.record["encoder"]["name"]), 80)
    return crops_figure(rows, [f"layer {result.layer} of {encoder}", "patches that show each best"], width, theme)


def found_report(result: FoundConcepts) -> Report:
    """The page of found concepts, for `relax.write_report`."""
    strips = tuple(
        Strip(concept.label, tuple(map(Thumbnail, concept.patches, concept.names)), str(concept).partition(": ")[2])
        for concept in result.concepts
    )
    grid = Grid("Groups", COLUMNS, tuple(_rows(result)))
    return Report(
        f"What {result.layer} groups together",
        tuple(result.sentences())[:1],
        (Section("Patches that show each concept best", (ABOUT,), strips), Section("Numbers", blocks=(grid,))),
        settings=result.record,
        about_maps=False,
    )


def _rows(result: FoundConcepts) -> list[tuple[Any, ...]]:
    return [
        tuple(
            rounded(value) if isinstance(value, float) else value
            for value in (getattr(concept, name) for name in COLUMNS)
        )
        for concept in result.concepts
    ]
