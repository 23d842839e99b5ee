"""The header of one frame of a DICOM file: its pixels and geometry, complete and checked.

Enhanced multi-frame objects store rescaling, window and position per frame, in functional groups; they are converted to
a flat data set of one frame, so that other modules read classic and enhanced objects alike.

Source: DICOM PS3.3, C.7.6.3 (image pixel), C.7.6.16 (functional groups), C.11.1 and C.11.2 (modality and VOI LUT).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from relax.io.dicom.bounded import BoundedReader
from relax.io.dicom.elements import COLOUR, GEOMETRY, GREY, GROUPS, OTHER_COLOURS, PIXELS, SCOPES, VALUES
from relax.io.dicom.reading import WAY_OUT, number, read_elements, uid_name
from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.limits import check_size

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

_PLAIN = (None, ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_PIXEL_DATA = bytes.fromhex("e07f1000")  # tag (7FE0,0010), little endian


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
    dataset = read_elements(path, (*PIXELS, *VALUES, *GEOMETRY, *SCOPES, *further))
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
        for name in (*PIXELS, *VALUES, *GEOMETRY, *further):
            if name in level:
                header[name] = level[name]
    return header


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


def _levels(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """The data sets that may hold elements of a frame; later ones take precedence."""
    yield dataset
    shared, per_frame = (dataset.get(scope) or [] for scope in SCOPES)
    for groups in (*shared[:1], *per_frame[frame - 1 : frame]):
        for name in GROUPS:
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
            raise ImageError(f"its element {keyword} must be {words} ({photometric}); got {value}: {WAY_OUT}")
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
        raise ImageError(f"its element NumberOfFrames must be at least 1; got {frames}: {WAY_OUT}")
    if frame is None and frames > 1:
        raise ImageError(
            f"holds {frames:,} frames; name one, from 1, as in scan.dcm#frame={(frames + 1) // 2}, or frame=all"
        )
    if frame is not None and not 1 <= frame <= frames:
        raise ImageError(f"frame must be from 1 to {frames:,}; got {frame}")
    return frame or 1
