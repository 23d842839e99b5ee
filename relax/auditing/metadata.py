"""Metadata of the images: a CSV or Parquet table with a column `path`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relax.auditing.predictability import Value


@dataclass(frozen=True)
class Metadata:
    """Columns of values, one per image, in the order of the images.

    Attributes:
        columns: Values by name; None where unknown.
        missing: Images without a row.
        unused: Rows of the table without an image.
    """

    columns: dict[str, list[Value]]
    missing: int
    unused: int


@dataclass(frozen=True)
class MetadataTable:
    """A table as it was read.

    Attributes:
        file: Its file name.
        columns: Values by name, without `path`.
        rows: The row of each path.
    """

    file: str
    columns: dict[str, list[object]]
    rows: dict[str, int]

    def of(self, paths: Sequence[str]) -> Metadata:
        """Put the rows in the order of the images.

        Args:
            paths: The images, relative to the audited folder.

        Raises:
            ValueError: If the table names none of them.
        """
        places = [self.rows.get(_plain(path)) for path in paths]
        matched = sum(place is not None for place in places)
        if not matched:
            listed, path = next(iter(self.rows), "no row"), next(iter(paths), "no image")
            raise ValueError(f"metadata {self.file} names none of the images: it has {listed}, the folder {path}")
        columns = {
            name: [None if place is None else _value(values[place]) for place in places]
            for name, values in self.columns.items()
        }
        return Metadata(columns, len(paths) - matched, len(self.rows) - matched)


def read_metadata(file: str | Path) -> MetadataTable:
    """Read a table of metadata.

    Args:
        file: `.csv` (with a header) or `.parquet`, with a column `path`: the image, relative to the audited folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be parsed, lacks the column `path` or any other, or names an image twice.
    """
    columns = _read(Path(file))
    if "path" not in columns or len(columns) < 2:
        needs = "a column path (each image relative to the audited folder) and others"
        raise ValueError(f"metadata {file} needs {needs}; it has {', '.join(columns) or 'no column'}")
    rows: dict[str, int] = {}
    for row, path in enumerate(columns.pop("path")):
        key = _plain(str(path))
        if key in rows:
            raise ValueError(f"metadata {file} names {key} twice, in rows {rows[key] + 1} and {row + 1}: keep one")
        rows[key] = row
    return MetadataTable(str(file), columns, rows)


def _read(file: Path) -> dict[str, list[object]]:
    import pyarrow
    from pyarrow import csv, parquet

    if not file.is_file():
        raise FileNotFoundError(f"metadata {file}: no such file")
    try:
        if file.suffix.lower() == ".parquet":
            table = parquet.read_table(file)
        else:
            keep_text = csv.ConvertOptions(column_types={"path": pyarrow.string()}, strings_can_be_null=True)
            table = csv.read_csv(file, convert_options=keep_text)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"metadata {file} is not a CSV or Parquet table: {' '.join(str(error).split())}") from None
    if len(set(table.column_names)) < len(table.column_names):
        raise ValueError(f"metadata {file} has two columns of one name among {', '.join(table.column_names)}")
    return {name: table[name].to_pylist() for name in table.column_names}


def _value(value: object) -> Value:
    """Dates, times and the like as text."""
    return value if value is None or isinstance(value, str | float | int | bool) else str(value)


def _plain(path: str) -> str:
    return os.path.normpath(path).replace("\\", "/")
