"""Which picture of a medical file is meant, and what to call it without saying whom it shows.

A picture is named by the file and, after a #, the choice in it: `scan.dcm#frame=3&window=40,400`,
`brain.nii.gz#axial=40&volume=2`. Frames and stored windows count from 1, as in DICOM; slices and volumes from 0, as
voxels do.
"""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path
from typing import Any

from relax.io.errors import ImageError
from relax.io.picture import AXES

_DICOM, _NIFTI = ("frame", "window", "name"), (*AXES, "volume", "window", "name")


def split_choice(text: str) -> tuple[Path, str | None, str]:
    """The file, its kind, and what stands after # to choose in it ("" where nothing does).

    The kind is "dicom" (by the letters DICM or the ending .dcm), "nifti" (.nii, .nii.gz), or None for all else, whose
    path is the whole text.
    """
    front, _, choice = text.rpartition("#")
    whole = not front or os.path.exists(text)  # unlike a Path, never an error
    path = Path(text if whole else front)
    kind = _kind(path) if os.path.isfile(path) else None
    return (Path(text), None, "") if kind is None else (path, kind, "" if whole else choice)


def _kind(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return None
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return "nifti"
    signed = head[128:] == b"DICM" and head[:2] not in (b"II", b"MM")  # a slide scanner's TIFF may be signed, too
    return "dicom" if signed or path.suffix.lower() == ".dcm" else None


def parse(wishes: str, kind: str) -> dict[str, Any]:
    """What stands after #, by name: whole numbers, a window, or name="hash"."""
    known = _DICOM if kind == "dicom" else _NIFTI
    asked: dict[str, Any] = {}
    for part in filter(None, wishes.split("&")):
        key, _, text = part.partition("=")
        if key not in known or key in asked:
            problem = "is said twice" if key in asked else f"is none of {', '.join(known)}"
            raise ImageError(f"what stands after # is NAME=VALUE, joined with &; {key!r} {problem}")
        asked[key] = _value(key, text)
    if len(set(AXES) & set(asked)) > 1:
        raise ImageError(f"one slice at a time; got {' and '.join(name for name in AXES if name in asked)}")
    return asked


def unparse(asked: dict[str, Any]) -> str:
    """The text that `parse` reads."""
    exact = {key: value if isinstance(value, list | tuple) else [value] for key, value in asked.items()}
    return "&".join(f"{key}={','.join(str(x).removesuffix('.0') for x in value)}" for key, value in exact.items())


def discreet_name(text: str) -> str:
    """What results call an image: `text`, as the caller does, unless that says whom it shows or a hash is asked for.

    The hash is the beginning of the file's SHA-256, which says nothing to those who do not have the file.
    """
    path, kind, wishes = split_choice(text)
    if kind is None:
        return text
    try:
        asked = parse(wishes, kind)
    except ImageError:  # reading it says so
        return text
    if "name" not in asked and not (kind == "dicom" and _names_patient(path)):
        return text
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    chosen = unparse({key: value for key, value in asked.items() if key != "name"})
    return f"{kind}-{digest[:12]}" + (f"#{chosen}" if chosen else "")


def stem_of(text: str) -> str:
    """What to call files that are made of an image: its name without folder and ending, with what was chosen in it."""
    path, kind, wishes = split_choice(text)
    if kind is None:
        return path.stem
    name, _, chosen = discreet_name(text).rpartition("#") if wishes else (discreet_name(text), "", "")
    hashed = name or chosen  # of #name=hash alone
    parts = [Path(hashed).name.removesuffix(".gz"), *(part.replace("=", "") for part in chosen.split("&") if name)]
    return "-".join([Path(parts[0]).stem, *filter(None, parts[1:])])


def _names_patient(path: Path) -> bool:
    try:
        from relax.io.header import names_patient

        return names_patient(path)
    except ImportError:
        return False
    except Exception:  # whatever is wrong with the header, nothing is known of whom it shows
        return True


def _value(key: str, text: str) -> Any:
    try:
        if key == "name":
            if text != "hash":
                raise ValueError
            return text
        if key == "window" and "," in text:
            center, width = (float(part) for part in text.split(","))
            return center, width
        return int(text)
    except ValueError:
        must = {"window": "the number of a stored window or CENTRE,WIDTH", "name": "hash"}.get(key, "a whole number")
        raise ImageError(f"{key} must be {must}; got {text!r}") from None
