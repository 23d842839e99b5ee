"""The volume at an address: a NIfTI file, a DICOM series in a folder or DICOMDIR, or a DICOM object of several frames.

The volume that was opened last is kept, so that its slices can be read one by one.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any

from relax.io.choice import discreet_name, parse, split_choice
from relax.io.dicom.dicomdir import is_dicomdir
from relax.io.dicom.inventory import Entry, entry_of, named_series
from relax.io.errors import ImageError, decoding_errors
from relax.io.gathering import gathered
from relax.io.picture import Window
from relax.io.volumes.series import SeriesVolume, volume_of
from relax.io.volumes.volume import Volume

_lock = Lock()
_last: tuple[object, Volume] | None = None
_listed: tuple[object, list[Entry]] | None = None


def read_series(address: str | Path, *, window: Window | None = None) -> SeriesVolume:
    """Read a DICOM series as a volume, put together by the positions of its slices.

    Args:
        address: A folder of DICOM with those below it, a DICOMDIR, or a file of several frames. Where there are
            several series, or volumes in one (phases, echoes, other directions or sizes), the address names one:
            "scans#series=3", by the number of the series, its UID or the name that the error lists; "scans#volume=0".
        window: (centre, width), or the number of a window stored in the slices; None takes the first.

    Returns:
        The volume. What is missing, double or uneven is in its `how["notes"]`; `affine` raises an error for such.

    Raises:
        ImageError: If there is no such series, several and none is named, or a slice cannot be used.
    """
    path, kind, choice = split_choice(os.fspath(address))
    name = discreet_name(os.fspath(address))
    if kind is None and path.is_dir():
        kind = "series"
    try:
        if kind not in ("series", "dicom"):
            raise ImageError("must be a folder of DICOM, a DICOMDIR or a DICOM file of several frames")
        values = parse(choice, kind)
        chosen = window if window is not None else values.get("window")
        return volume_of(_entries(path, kind, values.get("series")), values.get("volume"), chosen)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error.__cause__


def open_volume(address: str | Path, volume: int | None = None, window: Window | None = None) -> Volume:
    """The volume of which slices are read: `address` as for `read_series`, or a NIfTI file.

    Args:
        address: What to open.
        volume: Which of several, from 0; None takes that of the address.
        window: As for `relax.io.volumes.volume.Volume.open`, or `read_series`; None takes that of the address.

    Raises:
        ImageError: If it cannot be read, or its slices are no even volume.
    """
    path, kind, choice = split_choice(os.fspath(address))
    if path.is_dir():
        kind = "series"
    given = {name: value for name, value in (("volume", volume), ("window", window)) if value is not None}
    try:
        values = {} if kind is None else parse(choice, kind)
        return volume_at(path, kind or "nifti", {**values, **given})
    except ImageError as error:
        raise ImageError(f"{discreet_name(os.fspath(address))}: {error}") from error.__cause__


def volume_at(path: Path, kind: str, values: dict[str, Any]) -> Volume:
    """The volume at a path of this kind, with the values of its choice.

    Raises:
        ImageError: As for `open_volume`.
    """
    global _last
    volume, window = values.get("volume"), values.get("window")
    if kind == "nifti":
        return Volume.open(path, volume, window)
    with _lock:
        entries = _entries(path, kind, values.get("series"))
        key = (str(path), _state(path), values.get("series"), volume, window)
        if _last is None or _last[0] != key:
            _last = None  # its memory goes first
            with decoding_errors():
                asked = {name: values[name] for name in ("series", "volume", "window") if values.get(name) is not None}
                if "series" in asked:  # whose UID is not recorded
                    asked["series"] = entries[0].series_name
                _last = (key, Volume.of_series(volume_of(entries, volume, window), asked))
        return _last[1]


def files_at(path: Path, kind: str, series: str | None) -> list[Path]:
    """The files of the series of a volume.

    Raises:
        ImageError: As for `open_volume`.
    """
    with _lock:
        return [entry.file for entry in _entries(path, kind, series)]


def _entries(path: Path, kind: str, series: str | None) -> list[Entry]:
    """The files of one series; those that were listed last are not read again while nothing changes."""
    global _listed
    if kind == "dicom":
        return [entry_of(path)]
    key = (str(path), _state(path), series)
    if _listed is None or _listed[0] != key:
        pictures = list(gathered(path, series).entries.values())
        _listed = (key, pictures if series is not None else named_series(pictures, None))
    return _listed[1]


def _state(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a file, or of all files below a folder or beside a DICOMDIR."""
    if path.is_file() and not is_dicomdir(path):
        files = [path]
    else:
        walk = os.walk(path if path.is_dir() else path.parent)
        files = sorted(Path(folder, name) for folder, _, names in walk for name in names)
    states = [(str(file), file.stat()) for file in files if file.is_file()]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
