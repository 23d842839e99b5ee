"""The elements of a DICOM header that concern pixels and geometry, and no others.

Enhanced multi-frame objects store rescaling, window and position per frame, in functional groups; they are converted to
a flat data set of one frame, so that other modules read classic and enhanced objects alike.

Source: DICOM PS3.3, C.7.6.3 (image pixel), C.7.6.16 (functional groups), C.11.1 and C.11.2 (modality and VOI LUT).
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from relax.io.bounded import BoundedReader
from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.identity import tells_date, tells_name, tells_number, tells_place
from relax.io.limits import check_bytes, check_size

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.uid import (
        UID,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

_PLAIN = (None, ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
OTHER_COLOURS = ("ARGB", "CMYK", "HSV", "XYB", "YBR_PARTIAL_420", "YBR_PARTIAL_422")  # defined, but not read

GEOMETRY = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
)
"""Elements that place pixels in space. They are copied into maps and do not identify the patient."""

_VALUES = (
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
)
_PIXELS = (
    "SOPClassUID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "BurnedInAnnotation",
    *(
        f"{part}PaletteColorLookupTable{what}"
        for part in ("Red", "Green", "Blue", "Alpha", "SegmentedRed", "SegmentedGreen", "SegmentedBlue")
        for what in ("Data", *(() if part.startswith("Segmented") else ("Descriptor",)))
        if (part, what) != ("Alpha", "Descriptor")
    ),
)
_SCOPES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GROUPS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameContentSequence",
)

_NAMING = (  # identifiers that files and folders are often named after
    "PatientName",
    "PatientBirthName",
    "PatientMotherBirthName",
    "OtherPatientNames",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "ConsultingPhysicianName",
    "RequestingPhysician",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "InstitutionName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "AdmissionID",
    "AccessionNumber",
    "StudyID",
    "RequestedProcedureID",
    "PatientBirthDate",
    "AdmittingDate",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ContentDate",
    "InstanceCreationDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
)

_PIXEL_DATA = bytes.fromhex("e07f1000")  # tag (7FE0,0010), little endian
_WAY_OUT = "correct it in a copy, as with dcmodify, or export the picture again"


def read_header(path: Path, frame: int | None) -> tuple[Dataset, int, list[str]]:
    """Pixels and geometry of one frame as a flat data set, the number of the frame, from 1, and notes.

    The data set is complete: a transfer syntax or a number of stored bits that the file lacks is set, and noted.

    Raises:
        ImageError: If the file holds no picture, one that is too large, or several frames of which `frame` names none.
    """
    dataset, notes = open_header(path)
    frame = checked_frame(dataset, frame)
    return frame_header(dataset, frame), frame, notes


def open_header(path: Path, further: tuple[str, ...] = ()) -> tuple[Dataset, list[str]]:
    """The header of a picture of one or more frames, with `further` elements, complete, and notes.

    Raises:
        ImageError: If the file holds no picture, or one of which a frame is too large.
    """
    dataset = read_elements(path, (*_PIXELS, *_VALUES, *GEOMETRY, *_SCOPES, *further))
    notes = _complete(dataset)
    _check_picture(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:
        notes.append(_state_syntax(path, dataset))
    return dataset, notes


def frame_header(dataset: Dataset, frame: int, further: tuple[str, ...] = ()) -> Dataset:
    """Pixels and geometry of one frame, from 1, with `further` elements, as a flat data set."""
    header = Dataset()
    header.file_meta = dataset.file_meta
    header.set_original_encoding(*dataset.original_encoding)
    for level in _levels(dataset, frame):
        for name in (*_PIXELS, *_VALUES, *GEOMETRY, *further):
            if name in level:
                header[name] = level[name]
    return header


def names_patient(text: str, path: Path) -> bool:
    """Whether the text tells a name, date, number, UID or institution of the file: see `relax.io.identity`.

    It may, if the header ends before the patient.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as below; values are converted when they are looked at
        dataset = read_elements(path, (*_NAMING, "Rows"))
        cut_off = "PatientName" not in dataset and "Rows" not in dataset
        return cut_off or _tells(text, dataset)


def _tells(text: str, dataset: Dataset) -> bool:
    rules = {"PN": tells_name, "DA": tells_date, "DT": tells_date}
    for element in dataset.iterall():
        rule = rules.get(element.VR, tells_place if element.keyword.startswith("Institution") else tells_number)
        values = element.value if element.VM > 1 else [element.value]
        if element.VR not in ("SQ", "US") and any(rule(text, str(value or "")) for value in values):
            return True
    return False


def read_elements(path: Path, keywords: tuple[str, ...]) -> pydicom.FileDataset:
    """The elements of a file with these keywords, and its file meta information.

    Raises:
        ImageError: If it is not a DICOM file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of pydicom may quote the header
        bare = _is_bare(path)
        if not bare:
            _check_inflation(path)
        with BoundedReader(path) as file:
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(keywords), force=bare)


def _is_bare(path: Path) -> bool:
    """Whether the file is a data set alone: it begins with an element of an early group, not with the letters DICM.

    Raises:
        ImageError: If it is neither.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if head[128:132] == b"DICM":
        return False
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0"):
        raise ImageError("is not a DICOM file: it lacks the letters DICM at byte 128")
    if DeflatedExplicitVRLittleEndian.encode() in head:
        raise ImageError("is deflated, and lacks the letters DICM at byte 128; convert it, as with dcmconv")
    return True


def number(dataset: Dataset, keyword: str, convert: Callable[[Any], Any] = int) -> Any:
    """The number in an element; None where it is absent or empty.

    Raises:
        ImageError: If it is no number.
    """
    try:
        value = dataset.get(keyword)
        return None if value is None or value == "" else convert(value)
    except (TypeError, ValueError, OverflowError, ArithmeticError):
        raise ImageError(f"its element {keyword} must be one number; {_WAY_OUT}") from None


def _complete(dataset: Dataset) -> list[str]:
    """Set what has one usual value if it is absent, and write the photometric interpretation as the standard does."""
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    if photometric:
        dataset.PhotometricInterpretation = photometric.strip().upper()
    if number(dataset, "BitsStored") is None and (allocated := number(dataset, "BitsAllocated")):
        dataset.BitsStored = allocated
        return [f"BitsStored is absent: as many as are allocated, {allocated}"]
    return []


def _state_syntax(path: Path, dataset: Dataset) -> str:
    """Set the transfer syntax that the file does not state, and say so.

    Raises:
        ImageError: If its pixels do not have the length of uncompressed ones.
    """
    implicit, little = dataset.original_encoding
    with BoundedReader(path) as file:
        pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=["Rows"])
        start = file.read(12)
    length = int.from_bytes(start[4:8] if implicit else start[8:], "little") if start[:4] == _PIXEL_DATA else 0
    sides = [number(dataset, name) or 1 for name in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    bits = sides[0] * sides[1] * sides[2] * sides[3] * number(dataset, "BitsAllocated")
    if not little or length not in ((bits + 7) // 8, (bits + 15) // 16 * 2):
        raise ImageError(
            "does not state its transfer syntax, and its pixels are not those of an uncompressed picture; convert it, "
            "as with dcmconv, or write it with pydicom: dataset.save_as(path, enforce_file_format=True)"
        )
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    return f"its transfer syntax is not stated: read as {syntax.name}"


def uid_name(uid: object) -> str:
    """The registered name of a kind or a syntax, or its number; text that is neither may be anything, and stays out."""
    found = UID(str(uid or ""))
    return found.name if found.is_valid else "no UID" if found else "not stated"


def _levels(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """The data sets that may hold elements of a frame; later ones take precedence."""
    yield dataset
    shared, per_frame = (dataset.get(scope) or [] for scope in _SCOPES)
    for groups in (*shared[:1], *per_frame[frame - 1 : frame]):
        for name in _GROUPS:
            yield from (groups.get(name) or [])[:1]


def _check_picture(dataset: Dataset) -> None:
    if "Rows" not in dataset or "Columns" not in dataset:
        kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        raise ImageError(f"is a DICOM file without a picture ({uid_name(kind)})")
    rows, columns = number(dataset, "Rows") or 0, number(dataset, "Columns") or 0
    if min(rows, columns) < 2:
        raise ImageError(f"{columns} x {rows} pixels; both sides must be at least 2")
    supported = (*GREY, *COLOUR, "PALETTE COLOR")
    photometric = dataset.get("PhotometricInterpretation")
    if photometric not in supported:
        got = photometric if photometric in OTHER_COLOURS else "another one" if photometric else "none"
        raise ImageError(f"its photometric interpretation must be one of {', '.join(supported)}; got {got}")
    samples = 3 if photometric in COLOUR else 1
    allocated = number(dataset, "BitsAllocated")
    for keyword, valid in (
        ("SamplesPerPixel", [samples]),
        ("BitsAllocated", [1, *range(8, 65, 8)]),
        ("BitsStored", range(1, (allocated or 0) + 1)),
        ("PixelRepresentation", [0, 1, None]),
        ("PlanarConfiguration", [0, 1, None]),
    ):
        if (value := number(dataset, keyword)) not in valid:
            words = f"{valid[0]} to {valid[-1]}" if isinstance(valid, range) else _one_of(valid)
            raise ImageError(f"its element {keyword} must be {words} ({photometric}); got {value}: {_WAY_OUT}")
    colours = 3 if photometric not in GREY else 1
    copies = 1 if dataset.file_meta.get("TransferSyntaxUID") in _PLAIN else 3  # as decoders make them
    check_size(columns, rows, samples * allocated / 8 * copies + 4 * colours)


def _one_of(numbers: Iterable[int | None]) -> str:
    *first, last = [str(number) for number in numbers if number is not None]
    return f"{', '.join(first)} or {last}" if first else last


def checked_frame(dataset: Dataset, frame: int | None) -> int:
    """The number of the frame, from 1, which may be left out where there is one."""
    frames = number(dataset, "NumberOfFrames") or 1
    if frames < 1:
        raise ImageError(f"its element NumberOfFrames must be at least 1; got {frames}: {_WAY_OUT}")
    if frame is None and frames > 1:
        raise ImageError(
            f"holds {frames:,} frames; name one, from 1, as in scan.dcm#frame={(frames + 1) // 2}, or frame=all"
        )
    if frame is not None and not 1 <= frame <= frames:
        raise ImageError(f"frame must be from 1 to {frames:,}; got {frame}")
    return frame or 1


def _check_inflation(path: Path) -> None:
    """Refuse a deflated data set that would fill the memory, since pydicom inflates it as a whole."""
    with BoundedReader(path) as file:
        pydicom.filereader.read_preamble(file, force=False)
        meta = pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        # after the preamble, DICM, the element that holds the length, and the group itself
        file.seek(144 + int(meta.FileMetaInformationGroupLength))
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while block := file.read(1 << 16):
            while block:
                size += len(inflate.decompress(block, 1 << 24))
                block = inflate.unconsumed_tail
                check_bytes(3 * size, "its deflated data set")
