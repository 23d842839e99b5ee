"""The part of a DICOM header that concerns pixels and geometry, and nothing else of it.

Enhanced multi-frame objects keep rescaling, window and position per frame, in functional groups; they are brought to
one flat data set per frame, so that everything behind reads old and enhanced objects alike.

Source: DICOM PS3.3, C.7.6.3 (image pixel), C.7.6.16 (functional groups), C.11.1 and C.11.2 (modality and VOI LUT).
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from relax.io.errors import MAX_PIXELS, ImageError
from relax.io.extra import medical_extra

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

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
"""What places pixels in space. Copied into maps; says nothing of who was imaged."""

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
_GROUPS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)

_NAMING = (  # identifiers that files and folders are called after
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
)

MAX_INFLATED = 1 << 30  # bytes of a deflated data set


def read_header(path: Path, frame: int | None) -> tuple[Dataset, int]:
    """Pixels and geometry of one frame as a flat data set, and the number of the frame, from 1.

    Raises:
        ImageError: If the file is no picture, too large, or holds several frames and `frame` does not name one.
    """
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    whole = read_elements(path, (*_PIXELS, *_VALUES, *GEOMETRY, *groups))
    _check_picture(whole)
    frame = _frame(whole, frame)
    header = Dataset()
    header.file_meta = whole.file_meta
    header.set_original_encoding(*whole.original_encoding)
    for home in _homes(whole, frame):
        for name in (*_PIXELS, *_VALUES, *GEOMETRY):
            if name in home:
                header[name] = home[name]
    return header, frame


def names_patient(path: Path) -> bool:
    """Whether the path holds one of the data set's identifiers: part of a name, a number, a date or a UID."""
    found = read_elements(path, _NAMING)
    text = str(path).casefold()
    for element in found:
        for value in element.value if element.VM > 1 else [element.value]:
            whole = str(value or "").casefold()
            parts = whole.replace("^", " ").replace("=", " ").split() if element.VR == "PN" else [whole]
            if any(len(part) > 2 and part in text for part in parts):
                return True
    return False


def read_elements(path: Path, keywords: tuple[str, ...]) -> pydicom.FileDataset:
    """These elements of a file, and its file meta information."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's may quote the header
            _check_inflation(path)
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except InvalidDicomError:
        raise ImageError("is no DICOM file: the letters DICM are not at byte 128") from None


def _homes(whole: Dataset, frame: int) -> Iterator[Dataset]:
    """Where elements may stand; what comes later counts more."""
    yield whole
    shared, each = (whole.get(f"{kind}FunctionalGroupsSequence") or [] for kind in ("Shared", "PerFrame"))
    for groups in (*shared[:1], *each[frame - 1 : frame]):
        for name in _GROUPS:
            yield from (groups.get(name) or [])[:1]


def _check_picture(whole: Dataset) -> None:
    if "Rows" not in whole or "Columns" not in whole:
        kind = UID(str(whole.get("SOPClassUID") or whole.file_meta.get("MediaStorageSOPClassUID") or "")).name
        raise ImageError(f"is a DICOM file without a picture ({kind or 'of no stated kind'})")
    rows, columns = int(whole.Rows or 0), int(whole.Columns or 0)
    if rows * columns > MAX_PIXELS:
        raise ImageError(f"{columns} x {rows} is more than {MAX_PIXELS:,} pixels; make it smaller first")
    if min(rows, columns) < 2:
        raise ImageError(f"{columns} x {rows} pixels; both sides must be at least 2")
    known = (*GREY, *COLOUR, "PALETTE COLOR")
    if (found := whole.get("PhotometricInterpretation")) not in known:
        raise ImageError(f"its photometric interpretation is {found}; must be one of {', '.join(known)}")
    if not 1 <= int(whole.get("BitsStored") or 32) <= int(whole.get("BitsAllocated") or 0) <= 64:
        raise ImageError(f"{whole.get('BitsStored')} bits stored in {whole.get('BitsAllocated')} allocated: impossible")


def _frame(whole: Dataset, frame: int | None) -> int:
    frames = int(whole.get("NumberOfFrames") or 1)
    if frame is None and frames > 1:
        raise ImageError(f"holds {frames:,} frames; name one, from 1, as in scan.dcm#frame={(frames + 1) // 2}")
    if frame is not None and not 1 <= frame <= frames:
        raise ImageError(f"frame must be from 1 to {frames:,}; got {frame}")
    return frame or 1


def _check_inflation(path: Path) -> None:
    """A deflated data set must not fill the memory when pydicom inflates it at once."""
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        file.seek(144 + int(meta.FileMetaInformationGroupLength))  # preamble, DICM and the element that says the length
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while block := file.read(1 << 16):
            while block:
                size += len(inflate.decompress(block, 1 << 24))
                block = inflate.unconsumed_tail
                if size > MAX_INFLATED:
                    raise ImageError(f"unpacks to more than {MAX_INFLATED >> 20:,} MiB; save it uncompressed")
