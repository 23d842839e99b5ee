"""A check that an explanation belongs to a medical picture, whose geometry its maps will take."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from relax.io.choice import parse, plane_of, split_choice, unparse
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image
from relax.io.picture import AXES
from relax.maps import ExplanationLike


def checked_source(explanation: ExplanationLike, source: str | Path, required_kind: str) -> tuple[Path, dict[str, Any]]:
    """The source's file and the choice in it, if the explanation is one of exactly that picture.

    Args:
        explanation: The explanation to be written.
        source: Address of the explained picture. What it leaves open is taken from the provenance.
        required_kind: The kind of file that the source must be, "dicom" or "nifti".

    Raises:
        ImageError: If the source is of another kind or cannot be read.
        ValueError: If its pixels are not those that were explained.
    """
    path, kind, choice = split_choice(str(source))
    of_series = required_kind == "nifti" and kind is not None and plane_of(parse(choice, kind)) is not None
    if kind is None or (kind != required_kind and not of_series):
        name = {"dicom": "DICOM", "nifti": "NIfTI"}[required_kind]
        raise ImageError(f"{name_of(str(source))}: must be a {name} file, whose geometry a {name} map takes")
    values = _completed(parse(choice, kind), (explanation.provenance.get("read") or {}).get("asked", {}))
    address = f"{path}#{completed}" if (completed := unparse(values)) else str(path)
    images = [read_image(address, channels=channels) for channels in (3, 1)]  # encoders take colour or grey
    hashes = [sha256(image.numpy().tobytes()).hexdigest() for image in images]
    same_size = explanation.importance.shape == images[0].shape[-2:]
    if not same_size or explanation.provenance.get("image_sha256") not in hashes:
        raise ValueError(
            f"source must be what was explained, {explanation.provenance.get('image')}; {name_of(address)} "
            "shows other pixels: name the same file, frame and window, as in scan.dcm#frame=3&window=40,400"
        )
    return path, values


def _completed(values: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """The values with those recorded added where they leave a choice open; a slice replaces a recorded one."""
    names_slice = bool(set(AXES) & set(values))
    return {**{key: value for key, value in recorded.items() if key not in AXES or not names_slice}, **values}
