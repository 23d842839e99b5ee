"""The stored values of one frame, as pydicom and its plug-ins decode them, once its headers are checked.

The header of a compressed frame states its size once more, and a decoder believes that, not the header of the file: the
two are compared before a decoder sees the frame.

Source: ISO/IEC 15444-1, A.5.1 (SIZ of JPEG 2000).
"""

from __future__ import annotations

import struct
from pathlib import Path

from relax.io.dicom.bounded import BoundedReader
from relax.io.dicom.jpeg import LOSSLESS, SYNTAXES, decoded, jpeg_frame
from relax.io.dicom.reading import number, uid_name
from relax.io.dicom.windows import Values
from relax.io.errors import ImageError, in_one_line
from relax.io.extra import medical_extra

with medical_extra():
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.encaps import get_frame
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import (
        UID,
        DeflatedExplicitVRLittleEndian,
        JPEG2000TransferSyntaxes,
        JPEGLSTransferSyntaxes,
        JPEGTransferSyntaxes,
        RLELossless,
    )

MORE_DECODERS = 'pip install "relax-explainer[medical]" has the decoders'

_SIZ = b"\xff\x4f\xff\x51"  # the markers SOC and SIZ, with which a JPEG 2000 codestream begins
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
_JPEG_2000 = (*JPEG2000TransferSyntaxes, *_HTJ2K)
_JPEG = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)
_OFFSETS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def stored_values(path: Path, header: Dataset, frame: int) -> Values:
    """(H, W) or (H, W, 3) as stored, but YBR converted to RGB; other frames are not kept in memory.

    Args:
        path: The file.
        header: Of the frame, see `relax.io.dicom.header.frame_header`.
        frame: Its number, from 1.

    Raises:
        ImageError: If there is no decoder, or the pixels cannot be decoded.
    """
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"its transfer syntax, {uid_name(syntax)}, is not supported by pydicom") from None
    if not decoder.is_available and syntax not in LOSSLESS:
        missing = "; or ".join(" ".join(text.split()) for text in decoder.missing_dependencies)
        raise ImageError(f"its transfer syntax, {uid_name(syntax)}, has no decoder here ({missing}); {MORE_DECODERS}")
    try:
        if syntax in _JPEG_2000 or syntax in _JPEG:
            data = _compressed(path, header, frame)
            _check_codestream(data, syntax, header)
            jpeg = jpeg_frame(data) if syntax in SYNTAXES else None
            if jpeg is not None and (syntax in LOSSLESS or jpeg.bits > 8):
                return decoded(data, jpeg, header)
        deflated = syntax == DeflatedExplicitVRLittleEndian  # whose frames pydicom finds in a data set only, not a file
        stated = {
            "transfer_syntax_uid": syntax,
            "photometric_interpretation": header.PhotometricInterpretation,
            "bits_stored": int(header.BitsStored),
        }
        if syntax == RLELossless:  # the plug-in in Rust panics at damaged data, which ends the process
            stated["decoding_plugin"] = "pydicom"
        return pixel_array(dcmread(path) if deflated else path, index=frame - 1, **stated)
    except AttributeError as error:
        reason = f"has no pixels, or lacks elements that describe them ({in_one_line(error)})"
        raise ImageError(f"{reason}; export it again from its source") from error
    except RuntimeError as error:
        reason = in_one_line(error, 300)
        raise ImageError(f"its pixels, {uid_name(syntax)}, cannot be decoded ({reason}); {MORE_DECODERS}") from error


def _compressed(path: Path, header: Dataset, frame: int) -> bytes:
    """The bytes of a compressed frame."""
    with BoundedReader(path) as file:
        offsets = dcmread(file, force=True, stop_before_pixels=True, specific_tags=list(_OFFSETS))
        if file.read(12)[:4] != b"\xe0\x7f\x10\x00":
            raise AttributeError("PixelData")
        extended = tuple(offsets.get(name) for name in _OFFSETS)
        frames = number(header, "NumberOfFrames") or 1
        return get_frame(file, frame - 1, number_of_frames=frames, extended_offsets=extended if all(extended) else None)


def _check_codestream(data: bytes, syntax: UID, header: Dataset) -> None:
    """Refuse a compressed frame of another size than the header of the file claims, which is within the limits."""
    size = _size_of_jpeg_2000(data) if syntax in _JPEG_2000 else _size_of_jpeg(data)
    claimed = tuple(int(header[name].value) for name in ("Columns", "Rows", "SamplesPerPixel"))
    if size is None:
        raise ImageError(f"its pixels, {uid_name(syntax)}, are damaged or truncated: they do not state their size")
    if size != claimed:
        sizes = " and ".join(f"{width} x {height} pixels of {n} channels" for width, height, n in (size, claimed))
        raise ImageError(f"its pixels, {uid_name(syntax)}, and its header do not agree, {sizes}: it is damaged")


def _size_of_jpeg_2000(data: bytes) -> tuple[int, int, int] | None:
    start = data.find(_SIZ, 0, 1 << 16)
    if start < 0 or len(data) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    return right - left, bottom - top, *struct.unpack_from(">H", data, start + 40)


def _size_of_jpeg(data: bytes) -> tuple[int, int, int] | None:
    frame = jpeg_frame(data)
    return None if frame is None else (frame.width, frame.height, frame.channels)
