"""Whether an explanation is one of a given medical picture: a map takes the geometry of no other."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from relax.io.choice import parse, split_choice, unparse
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image
from relax.io.picture import AXES
from relax.maps import ExplanationLike


def checked_source(explanation: ExplanationLike, source: str | Path, must: str) -> tuple[Path, dict[str, Any]]:
    """The file and the choice in it, after checking that the explanation is one of that very picture.

    Args:
        explanation: What is to be written.
        source: What it is an explanation of.
        must: The kind of file that gives its geometry: "dicom" or "nifti".

    Raises:
        ImageError: If the source is of another kind or cannot be read.
        ValueError: If it shows other pixels.
    """
    path, kind, wishes = split_choice(str(source))
    if kind != must:
        name = {"dicom": "DICOM", "nifti": "NIfTI"}[must]
        raise ImageError(f"{source}: must be a {name} file, whose geometry a {name} map takes")
    named, before = parse(wishes, kind), (explanation.provenance.get("read") or {}).get("asked", {})
    asked = {**{key: value for key, value in before.items() if key not in AXES or not set(AXES) & set(named)}, **named}
    address = f"{path}#{chosen}" if (chosen := unparse(asked)) else str(path)
    shown = [read_image(address, channels=channels) for channels in (3, 1)]  # encoders take colour or grey
    hashes = [sha256(pixels.numpy().tobytes()).hexdigest() for pixels in shown]
    same = explanation.importance.shape == shown[0].shape[-2:] and explanation.provenance.get("image_sha256") in hashes
    if not same:
        raise ValueError(
            f"source must be what was explained, {explanation.provenance.get('image')}; {name_of(address)} "
            "shows other pixels: name the same file, frame and window, as in scan.dcm#frame=3&window=40,400"
        )
    return path, asked
