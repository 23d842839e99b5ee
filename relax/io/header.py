"""The elements of a DICOM header that concern pixels and geometry, and no others.

Enhanced multi-frame objects store rescaling, window and position per frame, in functional groups; they are converted to
a flat data set of one frame, so that other modules read classic and enhanced objects alike.

Source: DICOM PS3.3, C.7.6.3 (image pixel), C.7.6.16 (functional groups), C.11.1 and C.11.2 (modality and VOI LUT).
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from relax.io.errors import MAX_PIXELS, ImageError
from relax.io.extra import medical_extra
from relax.io.identity import tells_date, tells_name, tells_number, tells_place

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

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

MAX_INFLATED = 1 << 30  # bytes of a deflated data set


def read_header(path: Path, frame: int | None) -> tuple[Dataset, int]:
    """Pixels and geometry of one frame as a flat data set, and the number of the frame, from 1.

    Raises:
        ImageError: If the file holds no picture, one that is too large, or several frames of which `frame` names none.
    """
    groups = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    dataset = read_elements(path, (*_PIXELS, *_VALUES, *GEOMETRY, *groups))
    _check_picture(dataset)
    frame = _checked_frame(dataset, frame)
    header = Dataset()
    header.file_meta = dataset.file_meta
    header.set_original_encoding(*dataset.original_encoding)
    for level in _levels(dataset, frame):
        for name in (*_PIXELS, *_VALUES, *GEOMETRY):
            if name in level:
                header[name] = level[name]
    return header, frame


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of pydicom may quote the header
            _check_inflation(path)
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
    except InvalidDicomError:
        raise ImageError("is not a DICOM file: it lacks the letters DICM at byte 128") from None


def uid_name(uid: object) -> str:
    """The registered name of a kind or a syntax, or its number; text that is neither may be anything, and stays out."""
    found = UID(str(uid or ""))
    return found.name if found.is_valid else "no UID" if found else "not stated"


def _levels(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """The data sets that may hold elements of a frame; later ones take precedence."""
    yield dataset
    shared, per_frame = (dataset.get(f"{scope}FunctionalGroupsSequence") or [] for scope in ("Shared", "PerFrame"))
    for groups in (*shared[:1], *per_frame[frame - 1 : frame]):
        for name in _GROUPS:
            yield from (groups.get(name) or [])[:1]


def _check_picture(dataset: Dataset) -> None:
    if "Rows" not in dataset or "Columns" not in dataset:
        kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
        raise ImageError(f"is a DICOM file without a picture ({uid_name(kind)})")
    rows, columns = int(dataset.Rows or 0), int(dataset.Columns or 0)
    if rows * columns > MAX_PIXELS:
        raise ImageError(f"{columns} x {rows} is more than {MAX_PIXELS:,} pixels; make it smaller first")
    if min(rows, columns) < 2:
        raise ImageError(f"{columns} x {rows} pixels; both sides must be at least 2")
    supported = (*GREY, *COLOUR, "PALETTE COLOR")
    if (photometric := dataset.get("PhotometricInterpretation")) not in supported:
        got = photometric if photometric in OTHER_COLOURS else "another one" if photometric else "none"
        raise ImageError(f"its photometric interpretation must be one of {', '.join(supported)}; got {got}")
    stored, allocated = dataset.get("BitsStored"), dataset.get("BitsAllocated")
    if not 1 <= int(stored or 32) <= int(allocated or 0) <= 64:
        raise ImageError(f"{stored} bits stored in {allocated} allocated: impossible")


def _checked_frame(dataset: Dataset, frame: int | None) -> int:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frame is None and frames > 1:
        raise ImageError(f"holds {frames:,} frames; name one, from 1, as in scan.dcm#frame={(frames + 1) // 2}")
    if frame is not None and not 1 <= frame <= frames:
        raise ImageError(f"frame must be from 1 to {frames:,}; got {frame}")
    return frame or 1


def _check_inflation(path: Path) -> None:
    """Refuse a deflated data set that would fill the memory, since pydicom inflates it as a whole."""
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        # after the preamble, DICM, the element that holds the length, and the group itself
        file.seek(144 + int(meta.FileMetaInformationGroupLength))
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while block := file.read(1 << 16):
            while block:
                size += len(inflate.decompress(block, 1 << 24))
                block = inflate.unconsumed_tail
                if size > MAX_INFLATED:
                    raise ImageError(f"unpacks to more than {MAX_INFLATED >> 20:,} MiB; save it uncompressed")
