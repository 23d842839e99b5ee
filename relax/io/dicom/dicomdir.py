"""The files that a DICOMDIR lists, as they lie beside it.

Source: DICOM PS3.3, F.3 (basic directory information object), and PS3.10, 8.5 (names of files).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from encoders.folders import is_signed
from relax.io.dicom.reading import read_elements
from relax.io.errors import decoding_errors

NAME = "DICOMDIR"


def is_dicomdir(path: Path) -> bool:
    """Whether a file is a DICOMDIR, whose name the standard fixes."""
    return path.name.upper() == NAME and is_signed(path)


def listed_files(path: Path) -> tuple[list[Path], int]:
    """The files that a DICOMDIR lists and that are there, each once, and how many more it lists.

    A file is looked for in the folder of the DICOMDIR or below it, never elsewhere, in upper and in lower case.

    Raises:
        ImageError: If it is damaged.
    """
    files: dict[Path, None] = {}
    missing = 0
    with decoding_errors():
        for parts in _names(path):
            file = next((file for file in _candidates(path.parent, parts) if file.is_file()), None)
            if file is None:
                missing += 1
            else:
                files[file] = None
    return list(files), missing


def _names(path: Path) -> Iterator[tuple[str, ...]]:
    """The parts of the name of each listed file."""
    dataset: Any = read_elements(path, ("DirectoryRecordSequence",))
    for record in dataset.get("DirectoryRecordSequence") or ():
        name = record.get("ReferencedFileID")
        if name and record.get("RecordInUseFlag") != 0:
            yield (name,) if isinstance(name, str) else tuple(str(part) for part in name)


def _candidates(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    safe = all(part not in ("", ".", "..") and not set(part) & {"/", "\\", "\0", ":"} for part in parts)
    if safe and parts:
        yield folder.joinpath(*parts)
        yield folder.joinpath(*(part.lower() for part in parts))
