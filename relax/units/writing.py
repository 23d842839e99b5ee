"""Write pictures of units as files: the figure, the pictures themselves, a table and the record."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from relax.files import write_files
from relax.plotting.drawing import file_of
from relax.plotting.tables import FORMATS
from relax.text import csv_text, one_of
from relax.units.pictures import UnitPictures

EDGES = ("top", "left", "bottom", "right")


def write_pictures(
    pictures: UnitPictures, target: Path, format: str = "png", *, singly: bool = False, crop: bool = False
) -> list[Path]:
    """Write TARGET.npz, TARGET.csv (a row a picture), TARGET.json (the record) and the figure, all of them or none.

    Args:
        pictures: What is written.
        target: Path without an ending.
        format: Of the figure: "png", "svg" or "pdf".
        singly: Also each picture as a file of its own, TARGET-0.png and so on.
        crop: Of the figure: show only what lies in the boxes.

    Returns:
        The paths.

    Raises:
        WriteError: If one cannot be written.
    """
    one_of("format", format, FORMATS)
    contents = {
        f".{format}": file_of(pictures.plot(crop=crop), format),
        ".npz": pictures.to_bytes(),
        ".csv": table(pictures).encode(),
        ".json": (json.dumps(pictures.how, indent=2) + "\n").encode(),
    }
    if singly:
        for place, picture in enumerate(pictures.pictures):
            levels = np.rint(picture.transpose(1, 2, 0) * 255).astype(np.uint8)
            Image.fromarray(levels).save(stream := io.BytesIO(), format="PNG")
            contents[f"-{place}.png"] = stream.getvalue()
    return write_files(target, contents)


def table(pictures: UnitPictures) -> str:
    """A row a picture: unit, rank among those of its unit, value, name, and its box where there is one."""
    columns = ["unit", "rank", "value", "name", *(EDGES if pictures.boxes is not None else ())]
    ranks: dict[str, int] = {}
    rows: list[list[object]] = []
    for place, unit in enumerate(pictures.units):
        ranks[unit] = ranks.get(unit, 0) + 1
        value = float(pictures.values[place])
        row: list[object] = [unit, ranks[unit], value if np.isfinite(value) else "", pictures.names[place]]
        if pictures.boxes is not None:
            row += [edge if np.isfinite(edge) else "" for edge in pictures.boxes[place].tolist()]
        rows.append(row)
    return csv_text([columns, *rows])
