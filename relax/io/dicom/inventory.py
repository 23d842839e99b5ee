"""What the DICOM files of a folder are: pictures, of which series, or reports, segmentations, duplicates and the like.

Only headers are read. Identifiers stay in memory: what is shown of a series is its number, its modality, how many
pictures it has, and a hash of its UID, which tells nothing to those who do not have the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from encoders.folders import hashed
from relax.io.dicom.reading import number, read_elements, uid_name
from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.text import listed

with medical_extra():
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, ParametricMapStorage, RTDoseStorage, SegmentationStorage

_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # of pydicom's dictionary, but not among its names
NOT_PICTURES = (SegmentationStorage, _LABEL_MAP, ParametricMapStorage, RTDoseStorage)
"""Kinds of objects that have pixels, and whose pixels are no picture of the patient."""

_ELEMENTS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("SeriesNumber", "Modality", "ImageType", "NumberOfFrames", "Rows", "Columns"),
)
_MODALITIES = 16  # characters of a code string


@dataclass(frozen=True)
class Entry:
    """One DICOM file; its identifiers are not shown when it is printed.

    Attributes:
        file: Its path.
        kind: UID of the kind of object, its SOP class.
        instance, series, study, frame_of_reference: UIDs, "" where there is none.
        number: Of the series; None where there is none.
        modality: Such as "CT".
        frames: How many it has.
        no_picture: What it is instead of a picture; "" for a picture.
        localiser: Whether it is a scout, in which slices are planned.
    """

    file: Path = field(repr=False)
    kind: str
    instance: str = field(repr=False)
    series: str = field(repr=False)
    study: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    number: int | None
    modality: str
    frames: int
    no_picture: str
    localiser: bool

    @property
    def series_name(self) -> str:
        """By which an address can name the series, and which tells nobody its UID."""
        return f"s{hashed(self.series)[:8]}"


def entry_of(file: Path) -> Entry:
    """The entry of a file.

    Raises:
        ImageError: If it is not a DICOM file, or damaged.
    """
    with decoding_errors():
        dataset = read_elements(file, _ELEMENTS)
        kind = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
        has_pixels = "Rows" in dataset and "Columns" in dataset
        modality = str(dataset.get("Modality") or "")
        return Entry(
            file=file,
            kind=kind,
            instance=_uid(dataset, "SOPInstanceUID"),
            series=_uid(dataset, "SeriesInstanceUID"),
            study=_uid(dataset, "StudyInstanceUID"),
            frame_of_reference=_uid(dataset, "FrameOfReferenceUID"),
            number=_number(dataset, "SeriesNumber"),
            modality=modality if modality.isalnum() and len(modality) <= _MODALITIES else "",
            frames=max(1, _number(dataset, "NumberOfFrames") or 1),
            no_picture="" if has_pixels and kind not in NOT_PICTURES else uid_name(kind),
            localiser="LOCALIZER" in [str(part).strip().upper() for part in dataset.get("ImageType") or ()],
        )


def is_of_series(entry: Entry, name: str) -> bool:
    """Whether a picture is of the series of this number, UID or name."""
    return name in (entry.series, entry.series_name, str(entry.number))


def series_among(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Pictures by the UID of their series, in the order of their numbers."""
    series: dict[str, list[Entry]] = {}
    for entry in entries:
        series.setdefault(entry.series, []).append(entry)
    return dict(sorted(series.items(), key=lambda item: (item[1][0].number is None, item[1][0].number or 0, item[0])))


def named_series(entries: Iterable[Entry], name: str | None) -> list[Entry]:
    """The pictures of the one series that has this number, UID or name (`Entry.series_name`); None where there is one.

    Raises:
        ImageError: If none or several have it, with a list of those that there are.
    """
    series = series_among(entries)
    chosen = [pictures for pictures in series.values() if name is None or is_of_series(pictures[0], name)]
    if len(chosen) == 1:
        return chosen[0]
    if not series:
        raise ImageError("holds no DICOM picture")
    problem = f"has {len(chosen) or 'no'} series of this name" if name is not None else f"has {len(series)} series"
    raise ImageError(
        f"{problem}; name one, as in FOLDER#series={_way_to(series)}: {series_list(list(series.values()))}"
    )


def series_list(series: Sequence[Sequence[Entry]]) -> str:
    """The series in words: name, number, modality, and how many pictures they have."""
    lines = []
    for pictures in series:
        first, count = pictures[0], sum(entry.frames for entry in pictures)
        number = "without number" if first.number is None else f"number {first.number}"
        what = " ".join(filter(None, (first.modality, f"{count} {'pictures' if count > 1 else 'picture'}")))
        lines.append(f"{first.series_name} ({number}, {what})")
    return listed(lines)


def _way_to(series: dict[str, list[Entry]]) -> str:
    """The name of the first series, for an example: its number if no other has it."""
    numbers = [pictures[0].number for pictures in series.values()]
    first = next(iter(series.values()))[0]
    return str(first.number) if first.number is not None and numbers.count(first.number) == 1 else first.series_name


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(UID(str(dataset.get(keyword) or "")))


def _number(dataset: Dataset, keyword: str) -> int | None:
    try:
        value = number(dataset, keyword)
    except ImageError:  # told when the picture is read
        return None
    return None if value is None else int(value)
