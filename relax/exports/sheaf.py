"""The maps of one or more pictures of a DICOM series, in the order of the pictures, each with the frame it explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.dicom.header import checked_frame, frame_header, open_header
from relax.io.dicom.inventory import Entry, entry_of
from relax.io.errors import ImageError, decoding_errors
from relax.io.explained import checked_source
from relax.io.extra import medical_extra
from relax.io.volumes.series import SeriesVolume
from relax.io.volumes.stack import PLACING, Place, arranged, stacks
from relax.maps import MAPS, ExplanationLike
from relax.questions.volume import VolumeExplanation
from relax.text import one_of

with medical_extra():
    from pydicom.dataset import Dataset

Layer = Callable[[ExplanationLike], NDArray[Any]]
"""What is laid over a picture: (H, W) of an explanation."""


@dataclass(frozen=True)
class Frame:
    """One picture of the source; its identifiers are not shown when it is printed.

    Attributes:
        file: Its file.
        number: In its file, from 1.
        several: Whether the file may hold more than one.
        kind: UID of the kind of object, its SOP class.
        instance: UID of the object, its SOP instance.
        header: Pixels and geometry, see `relax.io.dicom.header`.
    """

    file: Path = field(repr=False)
    number: int
    several: bool
    kind: str = field(repr=False)
    instance: str = field(repr=False)
    header: Dataset = field(repr=False)

    @property
    def place(self) -> Place | None:
        """Where it lies in the patient, if its header says so."""
        size = (int(self.header.Rows), int(self.header.Columns))
        try:
            position, orientation, spacing = (self.header.get(name) for name in PLACING)
            return Place.of(position, orientation, spacing, size)
        except ImageError:
            return None


@dataclass(frozen=True, eq=False)
class Sheaf:
    """Maps over frames of one series.

    Attributes:
        frames: (S) the pictures with maps, by their positions where they have one.
        explained: (S) the explanation of each, or None where slices of another plane were explained.
        records: How the maps were made, of all explanations.
        series, study, frame_of_reference: UIDs of the source; "" where it has none.
        laid: The layer of all frames, (S, H, W), from that of one explanation.
        seen: The pictures as they were explained, (S, H, W, 3) uint8.
        volume: If the frames are slices of a volume, that.
    """

    frames: tuple[Frame, ...]
    explained: tuple[ExplanationLike | None, ...]
    records: tuple[dict[str, Any], ...] = field(repr=False)
    series: str = field(repr=False)
    study: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    laid: Callable[[Layer], NDArray[Any]] = field(repr=False)
    seen: Callable[[], NDArray[np.uint8]] = field(repr=False)
    volume: SeriesVolume | None = field(default=None, repr=False)

    def map(self, name: str) -> NDArray[np.float32]:
        """(S, H, W) float32 of a map; NaN where it is unknown.

        Raises:
            ValueError: If there is no such map, or it is undefined everywhere.
        """
        one_of("map", name, MAPS)
        values: NDArray[np.float32] = self.laid(lambda explanation: getattr(explanation, name))
        if not np.isfinite(values).any():
            raise ValueError(f"map must have values; {name} is undefined everywhere")
        return values

    @property
    def distance(self) -> float | None:
        """Mm between neighbouring frames; None where they do not lie beside each other."""
        known = [place for frame in self.frames if (place := frame.place) is not None]
        if len(known) < len(self.frames) or len(stacks(known)) > 1:
            return None
        distance = arranged(known).distance
        return None if np.isnan(distance) else round(distance, 6)

    @property
    def together(self) -> bool:
        """Whether the frames can be one object with frames: one frame of reference, one direction, no place twice."""
        places = [frame.place for frame in self.frames]
        known = [place for place in places if place is not None]
        if not self.frame_of_reference or len(known) < len(places):
            return len(self.frames) == 1
        return len(stacks(known)) == 1 and not arranged(known).doubles

    def apart(self) -> list[list[int]]:
        """Numbers of the frames that go into one object each: all of them, or one by one."""
        numbers = list(range(len(self.frames)))
        return [numbers] if self.together else [[number] for number in numbers]


def sheaf_of(explanations: Sequence[ExplanationLike], sources: Sequence[str]) -> Sheaf:
    """The maps of pictures of one series.

    Args:
        explanations: Each of one frame.
        sources: Address of the frame of each.

    Raises:
        ImageError: If a source cannot be read, or is no frame of DICOM.
        ValueError: If an explanation is not of its source, or the sources are not of one series and size.
    """
    pairs = [_frame(explanation, source) for explanation, source in zip(explanations, sources, strict=True)]
    entries = [entry for _, entry in pairs]
    if len({(entry.study, entry.series) for entry in entries}) > 1:
        count = len({entry.series for entry in entries})
        raise ValueError(f"explanations must be of one series, and are of {count}: export those of each by themselves")
    if len({(int(frame.header.Rows), int(frame.header.Columns)) for frame, _ in pairs}) > 1:
        raise ValueError("explanations must be of pictures of one size: export those of each size by themselves")
    order = _order([frame for frame, _ in pairs])
    frames, kept = [pairs[number][0] for number in order], [explanations[number] for number in order]
    if len({(frame.file, frame.number) for frame in frames}) < len(frames):
        raise ValueError("explanations must each be of another picture, and two are of the same one: leave one out")
    return Sheaf(
        tuple(frames),
        tuple(kept),
        tuple(explanation.provenance for explanation in kept),
        entries[0].series,
        entries[0].study,
        entries[0].frame_of_reference,
        lambda layer: np.stack([layer(explanation) for explanation in kept]),
        lambda: np.stack([explanation.image for explanation in kept]),
    )


def sheaf_of_volume(explained: VolumeExplanation) -> Sheaf:
    """The maps of slices of a series, over those of its pictures that they reach.

    Raises:
        ValueError: If it is no volume of DICOM.
    """
    series = explained.volume.series
    if series is None:
        raise ValueError("DICOM objects refer to DICOM pictures, and the volume is NIfTI: export it as nifti")

    def everywhere(layer: Layer) -> NDArray[np.float32]:
        maps = {index: layer(explanation) for index, explanation in explained.slices.items()}
        return explained.volume.placed(explained.axis, maps).T

    reached = np.flatnonzero(np.isfinite(everywhere(lambda explanation: explanation.importance)).any(axis=(1, 2)))
    several = len({part.file for part in series.slices}) < len(series.slices)
    frames = [
        Frame(part.file, part.frame, several, part.kind, part.instance, part.header)
        for part in (series.slices[number] for number in reached)
    ]
    return Sheaf(
        tuple(frames),
        tuple(_of_slice(explained, marks) for marks in everywhere(_marks(explained))[reached]),
        tuple(explanation.provenance for explanation in explained.slices.values()),
        series.series,
        series.study,
        series.frame_of_reference,
        lambda layer: everywhere(layer)[reached],
        lambda: np.stack([_shown(series, int(number)) for number in reached]),
        series,
    )


def _frame(explanation: ExplanationLike, source: str) -> tuple[Frame, Entry]:
    """The frame that an explanation is of, and the entry of its file."""
    path, choice = checked_source(explanation, source, "dicom")
    with decoding_errors():
        entry = entry_of(path)
        dataset, _ = open_header(path)
        number = checked_frame(dataset, choice.get("frame"))
        header = frame_header(dataset, number)
    return Frame(path, number, entry.frames > 1, entry.kind, entry.instance, header), entry


def _order(frames: Sequence[Frame]) -> list[int]:
    """By position; by file and number where one has none, or they do not lie beside each other."""
    places = [frame.place for frame in frames]
    known = [place for place in places if place is not None]
    if len(known) == len(places) and len(stacks(known)) == 1:
        return list(arranged(known).order)
    return sorted(range(len(frames)), key=lambda number: (str(frames[number].file), frames[number].number))


def _marks(explained: VolumeExplanation) -> Layer:
    """The number of an explained slice at each of its pixels."""
    numbers = {id(explanation): index for index, explanation in explained.slices.items()}
    return lambda explanation: np.full(explanation.importance.shape, numbers[id(explanation)], np.float32)


def _of_slice(explained: VolumeExplanation, marks: NDArray[np.float32]) -> ExplanationLike | None:
    """The explanation of a slice as the file has it; None where slices of another plane cross it."""
    numbers = np.unique(marks)
    return explained.slices[int(numbers[0])] if len(numbers) == 1 and np.isfinite(numbers[0]) else None


def _shown(series: SeriesVolume, number: int) -> NDArray[np.uint8]:
    """(H, W, 3) a slice as its encoder saw it: grey, in the window of the volume."""
    unit = (series.slices[number].values() - series.low) / (series.high - series.low)
    grey: NDArray[np.uint8] = np.rint(255 * unit.clip(0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
