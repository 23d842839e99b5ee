"""The files of an archive: the list of images, the table about them, and four files that change together."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relax import records
from relax.files import writing
from relax.io.errors import ImageError
from relax.io.sources import Sources, sources_of, state_of
from relax.lock import sole_run

INDEX, TABLE, EMBEDDINGS, RECORD = "index.faiss", "images.parquet", "embeddings.npy", "archive.json"
PARTS = ".parts"  # embeddings that are not joined yet
GROUP = 2**14  # rows of a table that are read at once, when one of them is needed
_NEXT, _COMMITTED = ".next", ".committed"

COLUMNS: list[tuple[str, Any]] = [
    ("path", pa.string()),  # relative to the root, with slashes
    ("id", pa.int64()),  # permanent, whatever other images come and go; -1 = no embedding
    ("size", pa.int64()),  # bytes
    ("modified", pa.timestamp("ns", "UTC")),
    ("sha256", pa.string()),
    ("width", pa.int32()),  # pixels, after EXIF rotation
    ("height", pa.int32()),
    ("status", pa.string()),  # "ok" or "failed"
    ("reason", pa.string()),  # of the failure, else empty
]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image of an archive; the fields are the columns of its table. `modified` is in nanoseconds."""

    path: str
    size: int | None
    modified: int | None
    id: int = -1
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    status: str = "ok"
    reason: str = ""

    def same_file(self, other: ImageRow) -> bool:
        """Whether size and time say that the file has not changed."""
        return (self.size, self.modified) == (other.size, other.modified)


def list_images(
    named: str | Path, recursive: bool, leave_out: Path
) -> tuple[dict[str, ImageRow], list[ImageRow], Sources]:
    """The pictures of a folder, or of whatever else names several, see `relax.io.sources`.

    Args:
        named: A folder, and the like; links to folders in it are not followed.
        recursive: Whether to include folders below it.
        leave_out: A folder to skip.

    Returns:
        Rows by path, sorted, rows of what cannot be listed, and the sources.

    Raises:
        ImageError: As for `relax.io.sources.sources_of`.

    Warns:
        UserWarning: If other files are passed over.
    """
    sources = sources_of(named, recursive=recursive, leave_out=leave_out)
    sources.warn(failed=False)
    images: dict[str, ImageRow] = {}
    failures = [_failure(str(path.relative_to(sources.root)), reason) for path, reason in sources.failed]
    for address in sources.pictures:
        path = sources.name(address)
        try:
            path.encode()  # a table holds Unicode only
            images[path] = ImageRow(path, *state_of(address))
        except UnicodeEncodeError:
            failures.append(_failure(path, "the name is not valid Unicode: rename the file"))
        except ImageError as error:
            failures.append(_failure(path, str(error)))
        except OSError as error:
            failures.append(_failure(path, f"cannot be read: {error.strerror}"))
    return dict(sorted(images.items())), sorted(failures, key=lambda row: row.path), sources


def to_table(rows: Iterable[ImageRow]) -> Any:
    """The rows as an Arrow table."""
    rows = list(rows)
    return pa.table(
        {name: pa.array([getattr(row, name) for row in rows], kind) for name, kind in COLUMNS},
        schema=pa.schema(COLUMNS),
    )


def to_rows(table: Any) -> list[ImageRow]:
    """The rows of a table made by `to_table`; further columns are dropped."""
    numbers = table.column("modified").cast(pa.int64()).to_pylist()
    names = [name for name, _ in COLUMNS if name != "modified"]
    columns = [table.column(name).to_pylist() for name in names]
    return [
        ImageRow(modified=number, **dict(zip(names, values, strict=True)))
        for number, *values in zip(numbers, *columns, strict=True)
    ]


@contextmanager
def replaced_together(out: Path) -> Iterator[Path]:
    """Yield a folder to write files to; they replace those in `out` when the block ends without an error.

    All of them or none, whenever the process is killed: the complete folder is renamed, which is atomic, and from
    then on `finish_replacing` moves its files, now or at the next start.
    """
    aside = out / _NEXT
    shutil.rmtree(aside, ignore_errors=True)
    with writing(out):
        aside.mkdir(parents=True)
    try:
        yield aside
        with writing(out):
            aside.rename(out / _COMMITTED)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    finish_replacing(out)


def finish_replacing(out: Path) -> None:
    """Finish replacing the files of `out` if a process was killed while it did so.

    Raises:
        InUse: If a run is doing so right now.
        WriteError: If a file cannot be replaced.
    """
    committed = out / _COMMITTED
    if committed.is_dir():
        with sole_run(out, "a search"), writing(out):
            for file in committed.iterdir():
                file.replace(out / file.name)
            committed.rmdir()


def write_table(path: Path, table: Any, about: Mapping[str, str] | None = None) -> None:
    """Write Parquet, with notes in its header."""
    pq.write_table(table.replace_schema_metadata(dict(about or {})), path, row_group_size=GROUP)


def undamaged(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a damaged file makes its reader raise into a ValueError that names it."""
    return records.undamaged(path, "delete it, and make the archive again")


def read_table(path: Path) -> tuple[Any, dict[str, str]]:
    """A Parquet file and the notes in its header; errors as `undamaged` is for."""
    table = pq.read_table(path, partitioning=None)
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return table.replace_schema_metadata(None), about


def read_rows(path: Path) -> list[ImageRow]:
    """The rows of a table.

    Raises:
        ValueError: If it is damaged.
    """
    with undamaged(path):
        return to_rows(read_table(path)[0])


def _failure(path: str, reason: str) -> ImageRow:
    name = Path(path).as_posix().encode(errors="backslashreplace").decode()
    return ImageRow(name, None, None, status="failed", reason=reason)
