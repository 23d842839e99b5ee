"""Metadata of the images: a CSV or Parquet table with a column `path`.

A CSV is text in UTF-8 (or UTF-16, as spreadsheets write "Unicode text"), its cells separated by commas, semicolons or
tabs. A column holds numbers if all of its cells are numbers as one writes them; 007 is no number, and neither is any
other cell of its column. Spaces around a cell do not count. Columns of row numbers without a name, which pandas writes,
are left out.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from encoders.errors import one_line
from relax.auditing.predictability import Value
from relax.text import cell_text, listed, shortened

UNKNOWN = {
    "",
    "NA",
    "N/A",
    "#N/A",
    "#NA",
    "<NA>",
    "n/a",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
    "None",
    "#NULL!",
}
"""Cells without a value, as R, pandas and spreadsheets write them."""
SEPARATORS = (",", ";", "\t")

_NUMBER = re.compile(r"-?((0|[1-9]\d{0,14})([.,]\d+)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)  # longer ones are names
_UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # the index, as pandas writes and reads it


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
    columns: dict[str, list[Value]]
    rows: dict[str, int]

    def of(self, paths: Sequence[str], names: Sequence[str] | None = None) -> Metadata:
        """Put the rows in the order of the images; a row of a file is of all its frames that have none of their own.

        Args:
            paths: The images, relative to the audited folder.
            names: What an error may call them; None = their paths. Where they differ, it quotes no path of the table.

        Raises:
            ValueError: If the table names none of them.
        """
        places = [self.rows.get(_plain(path), self.rows.get(_plain(_file(path)))) for path in paths]
        matched = sum(place is not None for place in places)
        if not matched:
            row, path = next(iter(self.rows), "no row"), next(iter(names or paths), "no image")
            row = row if names is None or [*names] == [*paths] else "other paths"
            raise ValueError(
                f"metadata {self.file} names none of the images: it has {_name(row)}, the folder {_name(path)}"
            )
        columns = {
            name: [None if place is None else values[place] for place in places]
            for name, values in self.columns.items()
        }
        return Metadata(columns, len(paths) - matched, len(self.rows) - matched)


def read_metadata(file: str | Path) -> MetadataTable:
    """Read a table of metadata.

    Args:
        file: `.csv` (with a header) or `.parquet`, with a column `path`: the image, relative to the audited folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be parsed, lacks the column `path` or any other, has a column without a name, or a row
            without a path, or names an image twice.
    """
    file = Path(file)
    columns = _read(file)
    if "path" not in columns or len(columns) < 2:
        needs = "a column path (each image relative to the audited folder) and others"
        raise ValueError(f"metadata {file} needs {needs}; it has {_names(columns) if columns else 'no column'}")
    rows: dict[str, int] = {}
    for row, path in enumerate(columns.pop("path")):
        if path is None:
            raise ValueError(f"metadata {file} has no path in row {row + 1}: name the image, or leave the row out")
        key = _plain(cell_text(str(path)))
        if key in rows:
            raise ValueError(f"metadata {file} names one image in rows {rows[key] + 1} and {row + 1}: keep one")
        rows[key] = row
    return MetadataTable(str(file), columns, rows)


def _read(file: Path) -> dict[str, list[Value]]:
    """The columns by name, without an index of pandas."""
    if not file.is_file():
        raise FileNotFoundError(f"metadata {file}: no such file")
    names, columns = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    kept = [
        (name.strip(), values)
        for name, values in zip(names, columns, strict=True)
        if not (_UNNAMED.fullmatch(name.strip()) and _counts(values))
    ]
    names = [name for name, _ in kept]
    if "" in names:
        raise ValueError(f"metadata {file} has a column without a name, number {names.index('') + 1}: name it")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"metadata {file} has two columns of one name, {_names(twice)}: rename one")
    return dict(kept)


def _parquet(file: Path) -> tuple[list[str], list[list[Value]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
        return table.column_names, [[_value(value) for value in column.to_pylist()] for column in table.columns]
    except UnicodeDecodeError:
        raise ValueError(f"metadata {file} holds bytes that are not text in UTF-8: save its columns as text") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"metadata {file} is not a Parquet table: {one_line(error)}") from None


def _csv(file: Path) -> tuple[list[str], list[list[Value]]]:
    try:
        text = _text(file.read_bytes())
        separator = _separator(text)
        names, *rows = _cells(text, separator)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"metadata {file} is not a CSV table: {error}") from None
    columns = [[None if row[place] in UNKNOWN else row[place] for row in rows] for place in range(len(names))]
    return names, [_typed(column, separator, name) for name, column in zip(names, columns, strict=True)]


def _separator(text: str) -> str:
    """The one that sets `path` apart in the header; a comma if none does."""
    lines = {separator: csv.reader(io.StringIO(text, newline=""), delimiter=separator) for separator in SEPARATORS}
    headers = {separator: [cell.strip() for cell in next(rows, [])] for separator, rows in lines.items()}
    return next((separator for separator, header in headers.items() if "path" in header), ",")


def _cells(text: str, separator: str) -> list[list[str]]:
    """The header and the rows, cell by cell, all of one length."""
    rows: list[list[str]] = []
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    for row in filter(None, lines):
        if rows and len(row) != len(rows[0]):
            raise ValueError(f"line {lines.line_num} has {len(row)} cells, and the header {len(rows[0])}")
        rows.append([cell.strip() for cell in row])
    return rows or [[]]


def _text(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f'line {line} is not in UTF-8: save the table as UTF-8, which spreadsheets call "CSV UTF-8"'
        ) from None


def _typed(column: Sequence[str | None], separator: str, name: str) -> list[Value]:
    """The column as numbers, if all of its values are numbers with one kind of decimal point; else, as paths, text."""
    cells = [cell for cell in column if cell is not None]
    points = {character for cell in cells for character in cell if character in ".,"}
    one_kind = len(points) < 2 and not ("," in points and separator == ",")  # "1,234" may be a thousand
    if name == "path" or not one_kind or not all(map(_NUMBER.fullmatch, cells)):
        return [*column]
    whole = all(cell.lstrip("-").isdigit() for cell in cells)
    return [None if cell is None else int(cell) if whole else float(cell.replace(",", ".")) for cell in column]


def _value(value: object) -> Value:
    """A value of a Parquet table: numbers as they are; dates, times and the like as text.

    Raises:
        UnicodeDecodeError: If it is bytes, and not text.
    """
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, float | int | bool):
        return value
    return str(value).strip()


def _counts(values: Sequence[Value]) -> bool:
    """Whether the values are row numbers, or nothing at all."""
    known = [value for value in values if value is not None]
    return all(isinstance(value, int) for value in known) and len({*known}) == len(known)


def _names(columns: Iterable[str]) -> str:
    return listed([_name(name) for name in columns])


def _name(text: str) -> str:
    """A cell in a message: it may hold anything."""
    return shortened(text, 80)


def _file(path: str) -> str:
    """The file of a frame, such as us.dcm#frame=3."""
    front, _, choice = path.rpartition("#")
    return front if front and "=" in choice else path


def _plain(path: str) -> str:
    """The path in the one form by which rows find images, whatever system wrote it."""
    return os.path.normpath(unicodedata.normalize("NFC", path.strip().replace("\\", "/")))
