"""Image files, as Pillow and tifffile decode them, without the loss of a bit.

Pillow silently drops the lower half of the bits of 16-bit colour: PNG is read by `relax.io.raster.png`, TIFF by
`relax.io.raster.tiff`, PPM here, and 16-bit colour JPEG 2000 is refused. AVIF and HEIC, which lose more in their
compression, are read at 8 bits. What may be decoded at all, `relax.io.raster.opening` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from relax.io.errors import ImageError
from relax.io.limits import check_size
from relax.io.pixels import Raster, strip, unit
from relax.io.raster.opening import opened, tiff_tag, unrecognised
from relax.io.raster.png import check_chunks, read_deep_png
from relax.io.raster.tiff import MAGIC, pillow_keeps_all_bits, read_tiff

_BITS, _PHOTOMETRIC = 258, 262  # TIFF tags


def read_file(path: Path) -> Raster:
    """The rows of an image file, with 1, 3 or 4 channels.

    Raises:
        ImageError: If there is no such file, or it is not an image of one frame that can be decoded.
    """
    if path.is_dir():
        raise ImageError("is a folder; name the images in it, such as FOLDER/*.png")
    if not path.exists():
        raise ImageError("no such file")
    if not path.is_file():
        raise ImageError("is not a regular file")
    # An open file rather than a path: given a path, Pillow 13 maps rotated TIFFs into memory unrotated.
    with path.open("rb") as file:
        return read_stream(file)


def read_stream(file: IO[bytes]) -> Raster:
    """As `read_file`, of an open file, or of the bytes of one."""
    head = file.read(32)
    if not head:
        raise ImageError("the file is empty")
    try:
        image = opened(file)
    except UnidentifiedImageError:
        if head[:4] in MAGIC:
            return read_tiff(file)
        raise ImageError(unrecognised(head)) from None
    if image.format == "PNG":
        check_chunks(file)
        if head[24] == 16:
            return read_deep_png(file, colour=head[25])
    if image.format == "TIFF" and not pillow_keeps_all_bits(image):
        return read_tiff(file)
    if image.format == "PPM" and image.mode == "RGB" and (white := _white_of_pnm(image)) > 255:
        return _deep_ppm(file, image, white)
    if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA") and _jpeg2000_bits(file) > 8:
        raise ImageError(
            "has more than 8 bits per colour, of which a JPEG 2000 decoder here drops some; save it as TIFF"
        )
    return read_pillow(image, in_place=True)


def read_pillow(image: Image.Image, *, in_place: bool = False) -> Raster:
    """The rows of a PIL image, with 1, 3 or 4 channels; its EXIF orientation is applied.

    Args:
        image: The image.
        in_place: Whether it may be turned itself, which needs no copy.

    Raises:
        ImageError: If it is too large or damaged.
    """
    check_size(*image.size, 4)
    inverted = (
        image.mode.startswith("I;16") and tiff_tag(image, _PHOTOMETRIC, 1) == 0
    )  # Pillow inverts only 8-bit images
    white = np.float32(65535 if image.format == "PPM" else 2 ** tiff_tag(image, _BITS, 16) - 1)
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")  # which is scaled to 16 bits
    if in_place:
        ImageOps.exif_transpose(image, in_place=True)
    else:
        image = ImageOps.exif_transpose(image)
    if deep:

        def grey(start: int, stop: int) -> NDArray[Any]:
            values = np.asarray(strip(image, start, stop), dtype=np.float32) / white
            return (1 - values if inverted else values)[..., None]

        return Raster(image.height, image.width, 1, grey)
    if image.mode in ("I", "F"):
        return Raster.of(unit(np.asarray(image))[..., None])
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"

    def rows(start: int, stop: int) -> NDArray[Any]:
        part = strip(image, start, stop)
        values = np.asarray((part.convert("LA") if part.mode == "La" else part).convert(mode))
        return values[..., None] if values.ndim == 2 else values

    image.load()
    return Raster(image.height, image.width, len(mode), rows)


def _white_of_pnm(image: Any) -> int:
    """The white of a PNM; Pillow hands those other than 255 to a decoder of its own."""
    arguments = image.tile[0].args
    return int(arguments[-1]) if image.tile[0].codec_name == "ppm" and isinstance(arguments, tuple) else 255


def _deep_ppm(file: IO[bytes], image: Any, white: int) -> Raster:
    file.seek(image.tile[0].offset)
    values = np.frombuffer(file.read(image.width * image.height * 6), ">u2").reshape(image.height, image.width, 3)
    return Raster(image.height, image.width, 3, lambda start, stop: values[start:stop] / np.float32(white))


def _jpeg2000_bits(file: IO[bytes]) -> int:
    """Bits per sample: the byte after the markers SOC and SIZ and 36 bytes of sizes."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"\xff\x4f\xff\x51")
    return (head[at + 42] & 0x7F) + 1 if 0 <= at < len(head) - 42 else 8
