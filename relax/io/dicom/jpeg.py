"""Lossless JPEG (process 14) and JPEG of more than 8 bits, which pydicom's own decoders do not read.

libjpeg-turbo decodes them, by imagecodecs. It fills what a truncated frame lacks, without a word: a frame without its
end is refused before.

Source: ITU-T T.81, B.2.2 (SOF) and H (lossless); ISO/IEC 14495-1, C.2.2 (SOF of JPEG-LS); DICOM PS3.5, A.4.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from relax.io.dicom.windows import Values
from relax.io.errors import ImageError, in_one_line
from relax.io.extra import medical_extra

with medical_extra():
    import imagecodecs
    from pydicom.dataset import Dataset
    from pydicom.pixels.processing import convert_color_space
    from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
SYNTAXES = (JPEGExtended12Bit, *LOSSLESS)
"""In which a frame may need `decoded`."""

_LOSSLESS = 0xC3
_SEQUENTIAL = (0xC0, 0xC1)
_SOF = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame's size, JPEG-LS's among them
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_END = b"\xff\xd9"


@dataclass(frozen=True)
class JpegFrame:
    """What the header of a JPEG codestream states.

    Attributes:
        process: The second byte of its marker SOF.
        bits: Of each sample.
        width, height: In pixels.
        channels: Of a pixel.
    """

    process: int
    bits: int
    width: int
    height: int
    channels: int


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """What the codestream states of itself; None if it states nothing before its pixels."""
    at = 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SOF and at + 10 <= len(data):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            return JpegFrame(marker, bits, width, height, channels)
        if marker == 0xFF:  # filling
            at += 1
        else:
            at += 2 if marker in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def decoded(data: bytes, frame: JpegFrame, header: Dataset) -> Values:
    """(H, W) or (H, W, 3) as stored, but YBR converted to RGB.

    Args:
        data: The codestream.
        frame: What it states, of the size that the header of the file states.
        header: Of the file.

    Raises:
        ImageError: If it is damaged, or of a kind that is not read.
    """
    photometric = header.PhotometricInterpretation
    _check(data, frame, int(header.BitsAllocated), photometric)
    colours = "rgb" if frame.channels == 3 else "grayscale"  # on both sides: nothing is converted
    try:
        values = imagecodecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours)
    except (imagecodecs.Jpeg8Error, ValueError) as error:
        raise ImageError(f"its pixels, JPEG, cannot be decoded ({in_one_line(error, 300)}): it is damaged") from error
    if frame.channels == 3:
        return values if photometric == "RGB" else convert_color_space(values, photometric, "RGB")
    return _signed(values, min(int(header.BitsStored), frame.bits)) if header.get("PixelRepresentation") else values


def _check(data: bytes, frame: JpegFrame, allocated: int, photometric: str) -> None:
    if _END not in data[-16:]:
        raise ImageError("its pixels, JPEG, are truncated: their end is missing")
    if frame.bits > allocated:
        raise ImageError(
            f"its pixels, JPEG, have {frame.bits} bits, and its header allocates {allocated}: it is damaged"
        )
    colour = frame.channels > 1
    if frame.process != _LOSSLESS and (colour or frame.process not in _SEQUENTIAL):
        raise ImageError("its pixels, JPEG, are neither lossless nor grey and sequential; convert it, as with dcmdjpeg")
    if colour and photometric != "RGB" and (frame.bits > 8 or photometric not in ("YBR_FULL", "YBR_FULL_422")):
        raise ImageError(
            f"lossless JPEG in {photometric} of {frame.bits} bits is not read; convert it, as with dcmdjpeg"
        )


def _signed(values: Values, bits: int) -> Values:
    """The lower bits as two's complement."""
    unused = values.dtype.itemsize * 8 - bits
    return (values << unused).view(f"i{values.dtype.itemsize}") >> unused
