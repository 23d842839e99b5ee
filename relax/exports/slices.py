"""Slices of a DICOM series that were explained one by one (`scans#axial=40`), as slices of its volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relax.io.choice import parse, split_choice, unparse
from relax.io.explained import checked_source
from relax.io.picture import AXES
from relax.io.volumes.opening import open_volume
from relax.maps import ExplanationLike
from relax.questions.volume import VolumeExplanation


def volume_of_slices(explanations: Sequence[ExplanationLike], source: object) -> VolumeExplanation | None:
    """The explanation of the volume that they are slices of; None for explanations of pictures.

    Args:
        explanations: One or more.
        source: Address of the series; None is what they recorded.

    Raises:
        ImageError: If the series cannot be read.
        ValueError: If they are not slices along one axis of one volume, or the series shows other pixels.
    """
    records = [explanation.provenance.get("read") or {} for explanation in explanations]
    if not any(_of_series(record) for record in records):
        return None
    chosen = [_choice(explanation, source) for explanation in explanations]
    first = chosen[0]
    axes = {str(record.get("axis")) for record in records}
    if not all(map(_of_series, records)) or len(axes) > 1 or any(other != first for other in chosen):
        raise ValueError("explanations must be slices along one axis of one volume, or pictures: export them apart")
    path, values = first
    (axis,) = axes
    slices: dict[int, Any] = {}
    for explanation, record in zip(explanations, records, strict=True):
        index = int(record["slice"])
        checked_source(explanation, f"{path}#{unparse({**values, axis: index})}", "nifti")
        slices[index] = explanation
    choice = unparse(values)
    return VolumeExplanation(open_volume(f"{path}#{choice}" if choice else path), axis, slices)


def _of_series(record: dict[str, Any]) -> bool:
    return record.get("format") == "DICOM series" and record.get("axis") in AXES


def _choice(explanation: ExplanationLike, source: object) -> tuple[str, dict[str, Any]]:
    """The file or folder, and what is chosen of it but for the slice."""
    address = str(explanation.provenance.get("image") if source is None else source)
    path, kind, choice = split_choice(address)
    if kind is None and not path.is_dir():
        raise ValueError(
            "source must name the series that was explained: the record has no folder or file that is here"
        )
    asked = (explanation.provenance.get("read") or {}).get("asked") or {}
    values = {**asked, **parse(choice, kind or "series")}
    return str(path), {name: value for name, value in values.items() if name not in AXES}
