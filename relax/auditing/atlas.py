"""The audited images as a table for embedding-atlas (Apple, MIT), which shows such maps for millions of points.

    embedding-atlas atlas.parquet --x x --y y --neighbors neighbors

One row per image with a place on the last map: path, x, y, the columns of the report, and its nearest images as
`{"ids": [...], "distances": [...]}`, where an id is a row of the table and a distance is 1 - cosine.

Source of the form: the command line help of embedding-atlas 0.26.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from relax.auditing.collection import columns_of
from relax.auditing.result import Audit
from relax.files import written_aside


def write_atlas(audit: Audit, file: Path) -> Path:
    """Write the table, whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    with written_aside(file) as aside:
        parquet.write_table(pyarrow.table(atlas(audit)), aside)
    return file


def atlas(audit: Audit) -> dict[str, Any]:
    """The columns of the table; a column of the metadata never replaces path, x, y or neighbors."""
    points, nearest = audit.space.layouts[-1].points, audit.space.neighbours
    images = np.flatnonzero(np.isfinite(points).all(1))
    row_of = np.full(len(points), -1)
    row_of[images] = np.arange(len(images))
    table: dict[str, Any] = {
        "path": [audit.paths[image].encode("utf-8", "backslashreplace").decode() for image in images],
        "x": points[images, 0],
        "y": points[images, 1],
        "neighbors": [_neighbours(row_of[nearest.indices[image]], nearest.similarities[image]) for image in images],
    }
    for column in columns_of(audit):
        values = [column.values[int(image)] for image in images]
        name = f"{column.name} (metadata)" if column.name in table else column.name
        table[name] = values if column.is_number else [None if value is None else str(value) for value in values]
    return table


def _neighbours(rows: Any, cosines: Any) -> dict[str, list[Any]]:
    """The nearest images that are in the table."""
    known = rows >= 0
    return {"ids": rows[known].tolist(), "distances": (1 - cosines[known]).tolist()}
