"""CT, MR and other slices of one DICOM series as a volume, put together by their positions in the patient.

    volume = relax.read_series("scans/ct#series=3")
    volume.values                       (S, H, W) float32, Hounsfield units for CT; slices by their positions
    volume.affine                       (4, 4) from (column, row, slice) to mm, in the axes of NIfTI
    nibabel.Nifti1Image(volume.values.T, volume.affine)

The slices of a classic series are files of their own, those of an enhanced object frames of one. Each has a rescale of
its own. Nothing is interpolated, and nothing is repaired in silence: see `relax.io.volumes.stack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.choice import discreet_name
from relax.io.dicom.decoding import stored_values
from relax.io.dicom.elements import GREY
from relax.io.dicom.header import frame_header, open_header
from relax.io.dicom.inventory import Entry
from relax.io.dicom.reading import number
from relax.io.dicom.windows import modality, stored_windows, window_range
from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.limits import check_bytes
from relax.io.picture import Window
from relax.io.volumes.stack import PLACING, Place, Stack, affine_of, arranged, stacks
from relax.text import listed

with medical_extra():
    from pydicom.dataset import Dataset

_APART = (  # by which pictures at one position differ, the first that tells them apart
    *("TemporalPositionIdentifier", "TemporalPositionIndex", "AcquisitionNumber", "EchoNumbers", "EchoTime"),
    *("EffectiveEchoTime", "DiffusionBValue", "TriggerTime", "InversionTime"),
)
_TO_NIFTI = np.diag(
    [-1.0, -1.0, 1.0, 1.0]
)  # DICOM's x and y run to the left and to the back, NIfTI's to the other side


@dataclass(frozen=True)
class Slice:
    """One slice of a volume, and where it comes from.

    Attributes:
        file: Its file.
        frame: Its number in the file, from 1.
        kind: UID of the kind of object, its SOP class.
        instance: UID of the object, its SOP instance.
        header: Pixels and geometry, see `relax.io.dicom.header`.
    """

    file: Path = field(repr=False)
    frame: int
    kind: str = field(repr=False)
    instance: str = field(repr=False)
    header: Dataset = field(repr=False)

    def values(self) -> NDArray[np.float32]:
        """(H, W) after the modality transform, such as Hounsfield units.

        Raises:
            ImageError: If its pixels cannot be decoded.
        """
        with decoding_errors():
            transformed, _, _ = modality(self.header)
            return np.asarray(transformed(stored_values(self.file, self.header, self.frame)), np.float32)


@dataclass(frozen=True, eq=False)
class SeriesVolume:
    """Slices of one series in the order of their positions; identifiers are not shown when it is printed.

    Attributes:
        slices: (S) in the order of their positions along the normal of the slices.
        place: Where the first of them lies, with orientation, spacing and size.
        stack: Positions, and what is missing, double or uneven.
        series, study, frame_of_reference: UIDs of the source; "" where it has none.
        modality: Such as "CT".
        unit: "HU" for CT, else "".
        low: Value shown black.
        high: Value shown white; below `low` where white is low (MONOCHROME1).
        how: Record of the window and the geometry, as JSON types; no identifiers.
    """

    slices: tuple[Slice, ...]
    place: Place
    stack: Stack
    series: str
    study: str
    frame_of_reference: str
    modality: str
    unit: str
    low: float
    high: float
    how: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return (len(self.slices), *self.place.size)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """(S, H, W) after the modality transform of each slice, such as Hounsfield units.

        Raises:
            ImageError: If a slice cannot be decoded, or the whole takes too much memory.
        """
        check_bytes(4 * float(np.prod(self.shape)), f"{' x '.join(map(str, self.shape))} voxels")
        return np.stack([part.values() for part in self.slices])

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from (column, row, slice) to mm in the axes of NIfTI: x to the right, y to the front, z to the head.

        Raises:
            ImageError: If no single step leads from each slice to the next.
        """
        return _TO_NIFTI @ self.affine_of_dicom

    @property
    def affine_of_dicom(self) -> NDArray[np.float64]:
        """The same in the axes of DICOM: x to the left, y to the back, z to the head."""
        if not self.stack.even:
            raise ImageError(
                f"its slices are no even volume ({'; '.join(self.stack.notes)}), and none is made of them; explain "
                "them as pictures of their own, or complete the series"
            )
        return affine_of(self.place, self.stack)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm between slices, rows and columns."""
        return (self.stack.distance, *self.place.spacing)

    @property
    def positions(self) -> NDArray[np.float64]:
        """(S, 3) of the centre of the first pixel of each slice, in mm and the axes of DICOM."""
        return self.stack.positions

    def __repr__(self) -> str:
        what = f"{self.modality} {len(self.slices)} slices of {self.place}, {self.stack.distance:.4g} mm apart"
        return f"SeriesVolume({'; '.join([what, *self.stack.notes])})"


def volume_of(entries: Sequence[Entry], volume: int | None = None, window: Window | None = None) -> SeriesVolume:
    """The volume of the pictures of one series.

    Args:
        entries: The files.
        volume: Which of several volumes, from 0: those that differ in size, direction or distance of pixels, or lie at
            the same positions, such as phases and echoes.
        window: As for `relax.io.dicom.frame.read_dicom`, one for all slices. None takes the first window of the files,
            which is that of the slice in the middle where they differ, else the lowest and highest value of the volume.

    Raises:
        ImageError: If a file cannot be read or says of no place in the patient, pictures have colours, there are
            several volumes and none is named, or no such volume or window.
    """
    placed: list[tuple[Slice, Place]] = []
    for entry in entries:
        try:
            placed += _slices_of(entry)
        except ImageError as error:
            raise ImageError(f"{Path(discreet_name(str(entry.file))).name}: {error}") from error.__cause__
    parts = _volumes(placed)
    if volume is None and len(parts) > 1:
        words = [f"{count}: {len(part)} slices of {part[0][1]}" for count, part in enumerate(parts)]
        raise ImageError(
            f"holds {len(parts)} volumes ({listed(words)}); name one, from 0, as in FOLDER#axial=40&volume=0"
        )
    if volume is not None and not 0 <= volume < len(parts):
        raise ImageError(f"volume must be from 0 to {len(parts) - 1}; got {volume}")
    part = parts[volume or 0]
    stack = arranged([place for _, place in part])
    slices = tuple(part[number][0] for number in stack.order)
    first, middle = slices[0].header, slices[len(slices) // 2]
    low, high, used, notes = _range(slices, middle.header, window)
    if first.PhotometricInterpretation == "MONOCHROME1":
        low, high = high, low
    notes = [*stack.notes, *notes]
    record: dict[str, Any] = {"format": "DICOM series", "slices": len(slices), "plane": str(part[stack.order[0]][1])}
    record |= {"distance_mm": None if np.isnan(stack.distance) else stack.distance}
    record |= {"volume": volume, "window": {"used": used, "low": low, "high": high}}
    record |= {"notes": notes} if notes else {}
    kind = entries[0].modality
    return SeriesVolume(
        slices,
        part[stack.order[0]][1],
        stack,
        entries[0].series,
        entries[0].study,
        entries[0].frame_of_reference,
        kind,
        "HU" if kind == "CT" else "",
        low,
        high,
        record,
    )


def _slices_of(entry: Entry) -> list[tuple[Slice, Place]]:
    """The frames of a file, each with its place."""
    with decoding_errors():
        dataset, _ = open_header(entry.file, _APART)
        if dataset.PhotometricInterpretation not in GREY:
            raise ImageError("has colours, of which no volume is made")
        placed = []
        for frame in range(1, entry.frames + 1):
            header = frame_header(dataset, frame, _APART)
            size = (int(header.Rows), int(header.Columns))
            place = Place.of(header.get(PLACING[0]), header.get(PLACING[1]), header.get(PLACING[2]), size)
            placed.append((Slice(entry.file, frame, entry.kind, entry.instance, header), place))
        return placed


def _volumes(placed: Sequence[tuple[Slice, Place]]) -> list[list[tuple[Slice, Place]]]:
    """The slices of each volume, the largest first."""
    parts: list[list[tuple[Slice, Place]]] = []
    for group in stacks([place for _, place in placed]):
        parts += _apart([placed[number] for number in group])
    return sorted(parts, key=lambda part: (-len(part), str(part[0][1])))


def _apart(part: list[tuple[Slice, Place]]) -> list[list[tuple[Slice, Place]]]:
    """Slices that lie at the same positions, in volumes by the first element that tells them apart, if one does."""
    if not _doubles(part):
        return [part]
    for keyword in _APART:
        groups: dict[float, list[tuple[Slice, Place]]] = {}
        for item in part:
            value = _value(item[0].header, keyword)
            groups.setdefault(value, []).append(item)
        if len(groups) > 1 and not any(map(_doubles, groups.values())):
            return [groups[value] for value in sorted(groups)]
    return [part]


def _doubles(part: Sequence[tuple[Slice, Place]]) -> bool:
    return bool(arranged([place for _, place in part]).doubles)


def _value(header: Dataset, keyword: str) -> float:
    try:
        value = number(header, keyword, float)
    except ImageError:
        return -1.0
    return -1.0 if value is None else float(value)


def _range(slices: Sequence[Slice], middle: Dataset, window: Window | None) -> tuple[float, float, str, list[str]]:
    """Values shown black and white, the rule behind them, and notes."""
    windows = [pair for pair in stored_windows(middle) if np.isfinite(pair).all()]
    if isinstance(window, int):
        if not 1 <= window <= len(windows):
            raise ImageError(f"window must be the number of one of the {len(windows)} windows of a slice; got {window}")
        return *window_range(middle, windows[window - 1]), f"window {window} of the slice in the middle", []
    if window is not None:
        return *window_range(middle, window), "window given by the caller", []
    if windows:
        differ = any(stored_windows(part.header)[:1] != windows[:1] for part in slices)
        notes = ["slices have windows of their own: that of the slice in the middle is used for all"] if differ else []
        return *window_range(middle, windows[0]), "window 1 of the slice in the middle", notes
    low, high = np.inf, -np.inf
    for part in slices:
        values = part.values()
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high if high > low else low + 1.0, "lowest and highest value of the volume", []
