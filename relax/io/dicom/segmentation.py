"""Segments of a DICOM SEG, as masks of the pictures that it was drawn on.

A frame of a SEG belongs to the picture that it refers to as its source, by the UID of the object and, where that has
several, the number of the frame. Positions are not compared.

Source: DICOM PS3.3, A.51 (the object) and C.8.20 (its module); C.7.6.16.2.6 (source image of a frame).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.dicom.bounded import BoundedReader
from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.limits import check_bytes
from relax.text import listed

with medical_extra():
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.pixels.utils import pixel_array, unpack_bits

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
"""UID of the kind of object; label maps (66.7) are another."""

Reference = tuple[str, int | None]  # UID of the object, and number of the frame; None where it has one, or all


@dataclass(frozen=True)
class Segmentation:
    """One segment of a file.

    Attributes:
        dataset: The file, with its pixels as they are stored.
        frames: Numbers of its frames of the segment, from 0, with the pictures that they refer to.
        sources: UIDs of all objects that the file refers to.
    """

    dataset: Dataset
    frames: tuple[tuple[int, frozenset[Reference]], ...]
    sources: frozenset[str]

    @classmethod
    def open(cls, path: str | Path, segment: str | None = None) -> Segmentation:
        """Open a file.

        Args:
            path: The file.
            segment: Number or label of the segment; needed where there are several.

        Raises:
            ImageError: If it is no SEG in two levels, or there is no such segment.
        """
        path = Path(path)
        with decoding_errors(), BoundedReader(path) as file:
            dataset = dcmread(file)
            if dataset.get("SOPClassUID") != SEGMENTATION:
                raise ImageError("must be a DICOM SEG; its kind of object is another")
            count = int(dataset.get("NumberOfFrames") or 1)
            check_bytes(count * int(dataset.Rows) * int(dataset.Columns), f"{count} frames of segments")
            groups = [_groups(dataset, number) for number in range(count)]
            number = _numbered(dataset, segment)
            frames = tuple(
                (frame, frozenset(_references(group)))
                for frame, group in enumerate(groups)
                if _segment_of(group) == number
            )
        sources = {uid for _, references in frames for uid, _ in references} | set(_instances(dataset))
        return cls(dataset, frames, frozenset(sources))

    def mask(self, instance: str, frame: int = 1) -> NDArray[np.bool_]:
        """(H, W) bool: where the segment lies in a picture; nowhere where it has no frame of it.

        Args:
            instance: UID of the picture's object.
            frame: Its number in it, from 1.

        Raises:
            ImageError: If the file refers to other pictures only, or its pixels are not of two levels.
        """
        if instance not in self.sources:
            raise ImageError("was drawn on other pictures than this: none of its references is to it")
        inside = np.zeros((int(self.dataset.Rows), int(self.dataset.Columns)), dtype=bool)
        for number, references in self.frames:
            if (instance, None) in references or (instance, frame) in references:
                inside |= self._frame(number)
        return inside

    def _frame(self, number: int) -> NDArray[np.bool_]:
        with decoding_errors():
            packed = (
                self.dataset.get("BitsAllocated") == 1 and not self.dataset.file_meta.TransferSyntaxUID.is_compressed
            )
            values = self._unpacked(number) if packed else np.asarray(pixel_array(self.dataset, index=number))
            most = int(self.dataset.get("MaximumFractionalValue") or 1)
        if self.dataset.get("SegmentationType") == "FRACTIONAL" and not np.isin(values, (0, most)).all():
            raise ImageError("holds fractions, and a region is of two levels: make it BINARY")
        return np.asarray(values != 0)

    def _unpacked(self, number: int) -> NDArray[np.uint8]:
        """A frame of bits, which need not begin with a byte; pydicom unpacks whole bytes."""
        size = int(self.dataset.Rows), int(self.dataset.Columns)
        first = number * size[0] * size[1]
        last = first + size[0] * size[1]
        bits: Any = unpack_bits(self.dataset.PixelData[first // 8 : -(-last // 8)])
        frame: NDArray[np.uint8] = bits[first % 8 : first % 8 + last - first].reshape(size)
        return frame


def _groups(dataset: Dataset, number: int) -> list[Dataset]:
    """The functional groups of a frame: its own, then those that all share."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    return [*own[number : number + 1], *(dataset.get("SharedFunctionalGroupsSequence") or [])]


def _of(groups: Iterable[Dataset], *keywords: str) -> Iterator[Dataset]:
    """Items of a sequence in a sequence, such as the source images in the derivations."""
    items = [*groups]
    for keyword in keywords:
        items = [item for group in items for item in (group.get(keyword) or [])]
    yield from items


def _segment_of(groups: list[Dataset]) -> int | None:
    number = next((item.get("ReferencedSegmentNumber") for item in _of(groups, "SegmentIdentificationSequence")), None)
    return None if number is None else int(number)


def _references(groups: list[Dataset]) -> Iterator[Reference]:
    for item in _of(groups, "DerivationImageSequence", "SourceImageSequence"):
        frames: Any = item.get("ReferencedFrameNumber")
        uid = str(item.get("ReferencedSOPInstanceUID"))
        if frames is None:
            yield uid, None
        else:
            yield from (
                (uid, int(frame)) for frame in (frames if isinstance(frames, list | tuple) else _values(frames))
            )


def _values(frames: Any) -> list[Any]:
    return list(frames) if hasattr(frames, "__iter__") and not isinstance(frames, str) else [frames]


def _instances(dataset: Dataset) -> Iterator[str]:
    """UIDs of the objects that the file as a whole refers to."""
    for item in _of([dataset], "ReferencedSeriesSequence", "ReferencedInstanceSequence"):
        yield str(item.get("ReferencedSOPInstanceUID"))


def _numbered(dataset: Dataset, segment: str | None) -> int:
    """The number of a segment, by its number or label."""
    segments = {int(item.SegmentNumber): str(item.get("SegmentLabel") or "") for item in dataset.SegmentSequence}
    if segment is None:
        if len(segments) == 1:
            return next(iter(segments))
        numbers = listed([str(number) for number in segments])
        raise ImageError(f"has the segments {numbers}; name one, by number or label, as in #segment={min(segments)}")
    matches = [number for number, label in segments.items() if segment in (str(number), label)]
    matches = matches or [number for number, label in segments.items() if segment.casefold() == label.casefold()]
    if len(matches) != 1:
        numbers = listed([str(number) for number in segments])
        raise ImageError(f"has {'several' if matches else 'no'} segment {segment!r}; there are {numbers}")
    return matches[0]
