"""TIFF whose bits Pillow does not keep: 16-bit colour and float samples, as tifffile reads them."""

from __future__ import annotations

import logging
import zlib
from functools import partial
from lzma import LZMADecompressor
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relax.io.errors import ImageError, decoding_errors
from relax.io.limits import RESULT, check_bytes
from relax.io.pixels import Raster, unit

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _BITS, _SAMPLE_FORMAT = 274, 258, 339  # tags
_DEFLATE, _LZMA = (8, 32946), 34925  # compressions
_BOUNDED = (
    1,
    *_DEFLATE,
    _LZMA,
    5,
    32773,
    34926,
    50000,
)  # these and LZW, PackBits, zstd stop at the size of their strip

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # damage is told by the error, not on the terminal


def pillow_keeps_all_bits(image: Image.Image) -> bool:
    """Whether Pillow decodes a TIFF without loss."""
    tags: Any = getattr(image, "tag_v2", {})
    unsigned = all(sample == 1 for sample in tags.get(_SAMPLE_FORMAT, (1,)))
    return unsigned and (image.mode.startswith("I;16") or max(tags.get(_BITS, (1,))) <= 8)


def read_tiff(file: IO[bytes]) -> Raster:
    """The rows of a TIFF, with 1, 3 or 4 channels.

    Raises:
        ImageError: If it takes too much memory, holds several frames, is damaged, or is neither grey nor RGB.
    """
    import tifffile

    file.seek(0)
    try:
        with decoding_errors(), tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages.first
            _check_tiff(page, tiff.filehandle)
            if len(tiff.pages) > 1:
                raise ImageError(f"holds {len(tiff.pages)} frames; save the one to explain as a file of its own")
            values = page.asarray()
    except ImageError as error:
        cause = str(error.__cause__)  # what its line quotes is left out
        way_out = "; install imagecodecs, or save it uncompressed" if "imagecodecs" in cause else ""
        raise ImageError(f"{error}{way_out}") from error.__cause__
    if page.axes == "SYX":
        values = values.transpose(1, 2, 0)
    values = _turned(values.reshape(*values.shape[:2], -1), page.tags.valueof(_ORIENTATION, 1))
    if values.dtype.kind not in "u" or values.dtype.itemsize > 2:
        values = unit(values)  # as a whole: the error tells the range of all values
    colours = partial(_tiff_colours, page=page)
    channels = colours(unit(values[:2])).shape[-1]
    height, width = values.shape[:2]
    return Raster(height, width, channels, lambda start, stop: colours(unit(values[start:stop])))


def _check_tiff(page: Any, file: Any) -> None:
    """Refuse a page, before anything is allocated, that would take too much memory; and unpack it once, to count."""
    compressed = int(page.compression) != 1
    if int(page.compression) not in _BOUNDED:  # a picture in a picture has a size of its own
        name = getattr(page.compression, "name", page.compression)
        raise ImageError(f"is compressed as {name}, which may unfold to any size; save it with LZW, deflate or zstd")
    of_float = 4 * page.size if page.dtype is not None and page.dtype.kind == "f" else 0
    size = page.nbytes * (3 if compressed else 1) + of_float + page.imagewidth * page.imagelength * RESULT
    check_bytes(size, f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} samples")
    expected = (int(np.prod(page.chunks, dtype=object)) * page.bitspersample + 7) // 8
    check_bytes((3 if compressed else 1) * expected, f"a tile or strip of {' x '.join(map(str, page.chunks))} samples")
    if max(page.databytecounts, default=0) > file.size:  # it would be asked for as memory
        raise ImageError("is damaged or truncated: a strip is longer than the file")
    if int(page.compression) not in (*_DEFLATE, _LZMA):
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        if _unpacks_to_more(file.read(count), expected, lzma=int(page.compression) == _LZMA):
            raise ImageError("is damaged: a strip unpacks to more than its header says")


def _unpacks_to_more(packed: bytes, limit: int, *, lzma: bool) -> bool:
    if lzma:
        return len(LZMADecompressor().decompress(packed, limit + 1)) > limit
    return len(zlib.decompressobj().decompress(packed, limit + 1)) > limit


def _turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The values (H, W, S) of a page as they are shown, by its orientation as in EXIF."""
    values = values.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else values
    values = values[:, ::-1] if orientation in (2, 3, 6, 7) else values
    return values[::-1] if orientation in (3, 4, 7, 8) else values


def _tiff_colours(pixels: NDArray[np.float32], page: Any) -> NDArray[np.float32]:
    """(H, W, C) grey, RGB or RGBA of the samples (H, W, S) of a TIFF page."""
    colours = {0: 1, 1: 1, 2: 3}.get(int(page.photometric), 0)  # 0: white is zero, 1: black is zero, 2: RGB
    extra = [int(sample) for sample in page.extrasamples]
    if not colours or pixels.shape[-1] != colours + len(extra) or (colours == 1 and 0 in extra):
        name = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"holds {pixels.shape[-1]} {name} samples per pixel; save it as grey or RGB, or pass an array")
    colour = 1 - pixels[..., :colours] if int(page.photometric) == 0 else pixels[..., :colours]
    if not extra or extra[0] not in (1, 2):
        return colour
    alpha = pixels[..., colours : colours + 1]
    if extra[0] == 1:  # the stored colours are multiplied by alpha
        on_white: NDArray[np.float32] = (colour + (1 - alpha)).clip(0, 1)
        return on_white
    return np.concatenate([np.repeat(colour, 3 // colours, axis=-1), alpha], axis=-1)
