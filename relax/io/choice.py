"""The addresses of pictures in medical files, and names for them that do not identify the patient.

An address is a path and, after a #, the choice of a picture in the file: `scan.dcm#frame=3&window=40,400`,
`brain.nii.gz#axial=40&volume=2`. Of the volume that a folder or a DICOMDIR holds as a DICOM series, or an object of
several frames, it names a slice: `scans#series=3&axial=40`. Frames and stored windows count from 1, as in DICOM; slices
and volumes from 0, as voxels do. `frame=all` and `axial=all` name several pictures at once, see `relax.io.sources`.

A tile of a whole slide is named by its corner in pixels of the finest level, `biopsy.svs#x=4480&y=448&mpp=0.5`, and all
tiles that a .h5 file lists are `biopsy.svs#tiles=biopsy.h5`: see `relax.io.tiles`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

from encoders.folders import hashed, is_dicom, is_signed, looks_like_dicom
from relax.io.elsewhere import is_elsewhere
from relax.io.errors import ImageError
from relax.io.picture import AXES

NAMES = {  # of what can be chosen, by the kind of the file
    "dicom": ("frame", *AXES, "volume", "window", "name"),
    "nifti": (*AXES, "volume", "window", "name"),
    "series": ("series", "frame", *AXES, "volume", "window", "name"),
    "slide": ("x", "y", "span", "size", "mpp", "tiles", "name"),
}
ALL = "all"
_VOLUMES = (".nii", ".nii.gz", ".mgz", ".mgh", ".img", ".img.gz", ".hdr", ".hdr.gz")
_TILES = ("x=", "y=", "tiles=")  # with which the choice of tiles begins
_FOLDERS = 50  # of a folder of DICOM, whose first files are asked for the patient's name


def split_choice(address: str) -> tuple[Path, str | None, str]:
    """The file, its kind, and the choice after the #, which may be "".

    The kind is "dicom" (by its content or the ending .dcm), "nifti" (by its ending, such as .nii.gz or .mgz), "series"
    (a folder with a choice, or a DICOMDIR), "slide" (any file with the choice of a tile, or of tiles), or None for
    anything else, of which the path is the whole address.
    """
    if is_elsewhere(address):
        return Path(address), None, ""
    front, _, choice = address.rpartition("#")
    is_path = not front or os.path.exists(address)  # unlike Path.exists, this never raises
    path = Path(address if is_path else front)
    if os.path.isdir(path):
        return (path, None, "") if is_path else (path, "series", choice)
    if not is_path and choice.startswith(_TILES) and os.path.isfile(path):
        return path, "slide", choice
    kind = _kind(path) if os.path.isfile(path) else None
    return (Path(address), None, "") if kind is None else (path, kind, "" if is_path else choice)


def _kind(path: Path) -> str | None:
    if not os.access(path, os.R_OK):
        return None
    if path.name.lower().endswith(_VOLUMES):
        return "nifti"
    if path.name.upper() == "DICOMDIR" and is_signed(path):
        return "series"
    return "dicom" if is_dicom(path) or looks_like_dicom(path) else None


def parse(choice: str, kind: str) -> dict[str, Any]:
    """The values in a choice by their names: whole numbers or "all", a window, a series, or name="hash".

    Raises:
        ImageError: If a name is unknown or repeated, a value is impossible, or several slices are chosen.
    """
    names = NAMES[kind]
    values: dict[str, Any] = {}
    for part in filter(None, choice.split("&")):
        name, _, text = part.partition("=")
        if name not in names or name in values:
            problem = "is repeated" if name in values else f"is none of {', '.join(names)}"
            raise ImageError(f"the text after # must be NAME=VALUE, joined with &; {name!r} {problem}")
        values[name] = _value(name, text)
    if len(set(AXES) & set(values)) > 1:
        raise ImageError(f"one slice at a time; got {' and '.join(name for name in AXES if name in values)}")
    if "frame" in values and ({"volume", *AXES} & set(values)):
        raise ImageError("a frame is a picture of its own, and a slice one of a volume; name one of the two")
    return values


def plane_of(values: dict[str, Any]) -> str | None:
    """The plane of the slice that a choice names, if it names one."""
    return next((name for name in AXES if name in values), None)


def unparse(values: dict[str, Any]) -> str:
    """The choice from which `parse` gives these values."""
    lists = {name: value if isinstance(value, list | tuple) else [value] for name, value in values.items()}
    return "&".join(f"{name}={','.join(str(x).removesuffix('.0') for x in value)}" for name, value in lists.items())


def discreet_name(address: str) -> str:
    """The name of an image in results: its address, or a hash if that identifies the patient or a hash is requested.

    The hash is the beginning of the file's SHA-256, which reveals nothing to those who do not have the file; of a
    DICOM file that cannot be read, it is that of its path.
    """
    path, kind, choice = split_choice(address)
    if kind == "series":
        return _series_name(address, path, choice)
    if kind is None:
        return f"dicom-{hashed(address)}" if path.suffix.lower() == ".dcm" and os.path.lexists(path) else address
    try:
        values = parse(choice, kind)
    except ImageError:  # raised again when the file is read
        values = {}
    if "name" not in values and not (_is_dicom(kind, path) and _names_patient(str(path), path)):
        return address
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    picture = unparse({name: value for name, value in values.items() if name != "name"})
    return f"{kind}-{digest[:12]}" + (f"#{picture}" if picture else "")


def _is_dicom(kind: str | None, path: Path) -> bool:
    return kind == "dicom" or (kind == "slide" and looks_like_dicom(path))


def _series_name(address: str, path: Path, choice: str) -> str:
    """The name of a series in a folder, or a slice of its volume."""
    try:
        values = parse(choice, "series")
    except ImageError:
        values = {}
    by_uid = "." in str(values.get("series", ""))
    if "name" not in values and not by_uid and not any(_names_patient(str(path), file) for file in _first_files(path)):
        return address
    series = f"{path}{values.get('series', '')}"
    picture = unparse({name: value for name, value in values.items() if name not in ("name", "series")})
    return f"series-{hashed(series)}" + (f"#{picture}" if picture else "")


def _first_files(path: Path, most: int | None = None) -> list[Path]:
    """A DICOM file of each folder below a path, up to a limit; beside a DICOMDIR, of each below its folder.

    Args:
        path: The folder, or the DICOMDIR.
        most: How many files are looked at; None is all.
    """
    files: dict[Path, Path] = {}
    for file in islice(_files_below(path if path.is_dir() else path.parent), most):
        if file.parent not in files and looks_like_dicom(file):
            files[file.parent] = file
            if len(files) >= _FOLDERS:
                break
    return list(files.values())


def _files_below(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.upper() != "DICOMDIR")


def name_within(folder: str | Path, path: str) -> str:
    """The name in results of an image in a folder: its path in the folder, or a hash as for `discreet_name`."""
    address = os.path.join(folder, path)
    name = discreet_name(address)
    return path if name == address else name


def stack_of(addresses: Sequence[str]) -> tuple[str, list[int]] | None:
    """What several addresses are slices of one file of, such as "axial slice" or "frame", and their numbers.

    None if they are not: of several files, along several axes, or chosen in another way as well, such as by window.
    """
    choices: list[dict[str, Any]] = []
    for address in addresses:
        front, _, choice = address.rpartition("#")
        try:
            choices.append({"file": front, **parse(choice, "series")})  # which has the names of the other kinds, too
        except ImageError:
            return None
    words = {"frame": "frame", **{axis: f"{axis} slice" for axis in AXES}}
    kinds = [next((name for name in words if name in values), None) for values in choices]
    if len(choices) < 2 or kinds[0] is None or len(set(kinds)) > 1 or ALL in [values[kinds[0]] for values in choices]:
        return None
    numbers = [int(values.pop(kinds[0])) for values in choices]
    alike = all(values == choices[0] for values in choices) and len(set(numbers)) == len(numbers)
    return (words[kinds[0]], numbers) if alike and choices[0]["file"] else None


def folder_name(folder: str | Path, images: Iterable[object], otherwise: str = "a folder") -> str:
    """The name of a folder in results: its path, or `otherwise` if that identifies the patient of one of the images."""
    split = map(split_choice, map(str, images))
    files = (file for path, kind, _ in split for file in ([path] if kind == "dicom" else _files_of(path, kind)))
    of_patient = (_names_patient(str(folder), file) for file in files)
    return otherwise if any(of_patient) else str(folder)


def _files_of(path: Path, kind: str | None) -> list[Path]:
    return _first_files(path) if kind == "series" else []


def stem_of(address: str) -> str:
    """The stem of files written about an image: its name without folder and ending, and the choice in it."""
    path, kind, choice = split_choice(address)
    if kind is None:
        return path.stem
    name, _, picture = discreet_name(address).rpartition("#") if choice else (discreet_name(address), "", "")
    if not name:  # of #name=hash alone
        name, picture = picture, ""
    stem = Path(name).name.removesuffix(".gz")
    if kind != "series" and not Path(stem).suffix[1:].isdecimal():  # as in IM.0001, which is not an ending
        stem = Path(stem).stem
    return "-".join([stem, *(part.replace("=", "") for part in picture.split("&") if part)])


def medical_files(address: str, most: int = 2000) -> list[Path]:
    """The DICOM file at an address; of a folder, or beside a DICOMDIR, the first of each folder.

    Args:
        address: The address.
        most: How many files of a folder are looked at.
    """
    path, kind, _ = split_choice(address)
    if kind == "series" or os.path.isdir(path):
        return _first_files(path, most)
    return [path] if _is_dicom(kind, path) else []


def tells_patient(text: str, files: Iterable[Path]) -> bool:
    """Whether a text tells who the patient of one of these DICOM files is, or when or where it was made."""
    return any(_names_patient(text, file) for file in files)


def _names_patient(text: str, path: Path) -> bool:
    try:
        from relax.io.dicom.naming import names_patient

        return names_patient(text, path)
    except ImportError:
        return False
    except Exception:  # a damaged header may name the patient
        return is_signed(path)


def _value(name: str, text: str) -> Any:
    try:
        if name == "name":
            if text != "hash":
                raise ValueError
            return text
        if name == "series" or (name == "tiles" and text):
            return text
        if name == "mpp":
            return float(text)
        if text == ALL and name in ("frame", *AXES):
            return ALL
        if name == "window" and "," in text:
            center, width = (float(part) for part in text.split(","))
            return center, width
        return int(text)
    except ValueError:
        valid = {
            "window": "the number of a stored window or CENTRE,WIDTH",
            "name": "hash",
            "tiles": "a .h5 file",
            "mpp": "micrometres per pixel",
        }.get(name, "a whole number or all" if name in ("frame", *AXES) else "a whole number")
        raise ImageError(f"{name} must be {valid}; got {text!r}") from None
