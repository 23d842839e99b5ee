"""PNG: no decoder sees unchecked bytes, and none of 16 bits is lost.

Its chunks carry checksums, which are compared before anything is decoded. Pillow silently drops the lower half of the
bits of 16-bit colour; it is made to read both halves, one after the other.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from relax.io.errors import ImageError
from relax.io.limits import check_size
from relax.io.pixels import Raster, strip
from relax.io.raster.opening import opened
from relax.text import printable


def check_chunks(file: IO[bytes]) -> None:
    """Refuse a PNG if one of the chunks that its pixels depend on is cut off or has changed since it was written."""
    file.seek(8)
    while True:
        start = file.read(8)
        if len(start) < 8:
            raise ImageError("is truncated: the chunk IEND of this PNG is missing")
        length, kind = struct.unpack(">I4s", start)
        if kind[0] & 0x20:  # a lower-case letter: not needed for the pixels
            file.seek(length + 4, 1)
            continue
        checksum, left = zlib.crc32(kind), length
        while left and (block := file.read(min(left, 1 << 20))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        if left or file.read(4) != checksum.to_bytes(4, "big"):
            name = printable(kind.decode("latin-1"))
            raise ImageError(f"is damaged or truncated: the checksum of its chunk {name} does not fit; copy it again")
        if kind == b"IEND":
            return


def read_deep_png(file: IO[bytes], colour: int) -> Raster:
    """A PNG of 16 bits; `colour` is its colour type: 0 grey, 2 colour, 4 grey and alpha, 6 colour and alpha.

    Pillow's decoder takes the name of a layout. It is given layouts that drop no bit: each sample as two bytes of
    another picture, or the upper byte of each sample and then the lower one, the upper one in the other byte order.
    """
    if colour == 4:
        return _big_endian(_decoded_as(file, "RGBA", "RGBA"), 2)
    if colour == 0:
        image = _decoded_as(file, "LA", "LA")
        return _with_key(_big_endian(image, 1), image.info.get("transparency"))
    mode = "RGB" if colour == 2 else "RGBA"
    image = opened(file)
    check_size(*image.size, 8)
    high, low = (_decoded_as(file, mode, f"{mode};16{order}") for order in "BL")

    def rows(start: int, stop: int) -> NDArray[Any]:
        upper, lower = (np.asarray(strip(half, start, stop)) for half in (high, low))
        values: NDArray[Any] = upper.astype(np.uint16) << 8 | lower
        return values

    return _with_key(Raster(high.height, high.width, len(mode), rows), high.info.get("transparency"))


def _decoded_as(file: IO[bytes], mode: str, layout: str) -> Image.Image:
    """A PNG decoded as if its pixels had another layout, and turned by its EXIF orientation."""
    image: Any = opened(file)
    image._mode = mode
    image.tile = [tile._replace(args=layout) for tile in image.tile]
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    turned: Image.Image = image
    return turned


def _big_endian(image: Image.Image, samples: int) -> Raster:
    """The 16-bit samples in pairs of bytes of a picture: grey, or grey and alpha as colour and alpha."""

    def rows(start: int, stop: int) -> NDArray[Any]:
        values = np.asarray(strip(image, start, stop)).view(">u2").astype(np.uint16)
        return values if samples == 1 else values[..., [0, 0, 0, 1]]

    return Raster(image.height, image.width, 1 if samples == 1 else 4, rows)


def _with_key(raster: Raster, key: Any) -> Raster:
    """The picture with alpha 0 where it has the colour `key`, if there is one."""
    if key is None:
        return raster

    def rows(start: int, stop: int) -> NDArray[Any]:
        values = raster.rows(start, stop)
        alpha = (values != np.array(key)).any(axis=-1, keepdims=True) * np.uint16(65535)
        return np.concatenate([np.repeat(values, 3 // raster.channels, axis=-1), alpha], axis=-1)

    return Raster(raster.height, raster.width, 4, rows)
