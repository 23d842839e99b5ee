"""Lists of pictures in a table: CSV, Parquet or JSON Lines, with a column of paths and whatever else is known of each.

    photos.csv                  the column path, image, file, filename, address or url
    photos.csv#column=scan      another column

Paths are relative to the folder of the table, or absolute, or URLs. A run keeps the other columns beside the maps.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import one_line
from relax.io.elsewhere import is_url
from relax.io.errors import ImageError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".parquet", ".jsonl", ".ndjson")
COLUMNS = ("path", "image", "file", "filename", "address", "url")
"""Names of the column of paths; the first that is there counts."""
_COLUMN = "#column="


def manifest_of(address: str) -> tuple[Path, str | None] | None:
    """The table and the column that is named, None for none; None for what is no table of pictures."""
    front, separator, column = address.partition(_COLUMN)
    if not front.lower().endswith(ENDINGS) or not os.path.isfile(front):
        return None
    return Path(front), column if separator else None


def read_manifest(table: Path, column: str | None = None) -> tuple[list[str], pa.Table]:
    """The addresses of the pictures in a table, and its other columns.

    Raises:
        ImageError: If it cannot be read, has no such column, or one that is no text.
    """
    import pyarrow as pa  # with numpy; a command that names no table need not wait for it

    try:
        content = _read(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ImageError(f"{table}: cannot be read as a table ({one_line(error)})") from None
    name = column or next((name for name in content.column_names if name.lower() in COLUMNS), None)
    if name not in content.column_names:
        wanted = repr(column) if column else " or ".join(COLUMNS)
        raise ImageError(
            f"{table}: has no column {wanted} with the paths of pictures, but {', '.join(content.column_names)}: name "
            f"it as in {table}{_COLUMN}NAME"
        )
    paths = content[name].to_pylist()
    wrong = [path for path in paths if not isinstance(path, str) or not path]
    if wrong:
        raise ImageError(f"{table}: column {name!r} must hold the path of a picture in each row; got {wrong[0]!r}")
    folder = os.path.abspath(table.parent)
    addresses = [path if is_url(path) else os.path.join(folder, path) for path in paths]
    return addresses, content.drop_columns([name])


def _read(table: Path) -> Any:
    ending = table.suffix.lower()
    if ending == ".csv":
        from pyarrow import csv

        return csv.read_csv(table)
    if ending == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(table, partitioning=None)
    from pyarrow import json

    return json.read_json(table)
