"""Image files, as Pillow and tifffile decode them, without the loss of a bit.

Pillow silently drops the lower half of the bits of 16-bit colour. From PNG it is therefore made to read both halves,
one after the other; TIFF with 16-bit colour or float samples is read by tifffile, 16-bit colour PPM here, and 16-bit
colour JPEG 2000 is refused. AVIF and HEIC, which lose more in their compression, are read at 8 bits.

No decoder sees unchecked bytes of a PNG: its chunks carry checksums, which come first. How much memory a picture would
take is known from its header, see `relax.io.limits`.
"""

from __future__ import annotations

import logging
import struct
import zlib
from functools import cache, partial
from importlib import import_module
from lzma import LZMADecompressor
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from encoders.folders import image_endings
from relax.io.errors import ImageError, decoding_errors
from relax.io.limits import MAX_BYTES, RESULT, VARIABLE, check_bytes, check_size, max_bytes
from relax.io.pixels import Raster, unit
from relax.text import printable

_PILLOW = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM")
_READ = "PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, PPM, AVIF or HEIC"

# What each decoder holds per pixel beside the result, as measured; else a copy of four bytes, as Pillow keeps colours.
_DECODER_BYTES = {"WEBP": 16, "AVIF": 12, "HEIF": 12, "JPEG2000": 12}

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _BITS, _PHOTOMETRIC, _TILE_SIDES, _SAMPLE_FORMAT = 274, 258, 262, (322, 323), 339  # TIFF tags
_DEFLATE, _LZMA = (8, 32946), 34925  # TIFF compressions

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # damage is told by the error, not on the terminal


@cache
def formats() -> tuple[str, ...]:
    """The formats that are opened: a fixed list, since Pillow would hand some others to external programs."""
    found = list(_PILLOW)
    if ".avif" in image_endings():
        found.append("AVIF")
    if ".heic" in image_endings():
        import_module("pillow_heif").register_heif_opener()
        found.append("HEIF")
    return tuple(found)


def read_file(path: Path) -> Raster:
    """The rows of an image file, with 1, 3 or 4 channels.

    Raises:
        ImageError: If there is no such file, or it is not an image of one frame that can be decoded.
    """
    if path.is_dir():
        raise ImageError(f"is a folder; name the images in it, such as {path}/*.png")
    if not path.exists():
        raise ImageError("no such file")
    if not path.is_file():
        raise ImageError("is not a regular file")
    # An open file rather than a path: given a path, Pillow 13 maps rotated TIFFs into memory unrotated.
    with path.open("rb") as file:
        return _decoded(file)


def _decoded(file: IO[bytes]) -> Raster:
    head = file.read(32)
    if not head:
        raise ImageError("the file is empty")
    _check_webp(head)
    try:
        image = _opened(file)
        _check_header(image)
    except UnidentifiedImageError:
        if head[:4] in _TIFF_MAGIC:
            return _tiff(file)
        raise ImageError(_unknown(head)) from None
    if image.format == "PNG":
        _check_chunks(file)
        if head[24] == 16:
            return _deep_png(file, colour=head[25])
    if image.format == "TIFF" and not _pillow_keeps_all_bits(image):
        return _tiff(file)
    if image.format == "PPM" and image.mode == "RGB" and (white := _white_of_pnm(image)) > 255:
        return _deep_ppm(file, image, white)
    if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA") and _jpeg2000_bits(file) > 8:
        raise ImageError(
            "has more than 8 bits per colour, of which a JPEG 2000 decoder here drops some; save it as TIFF"
        )
    return read_pillow(image, in_place=True)


def _opened(file: IO[bytes]) -> Image.Image:
    file.seek(0)
    if max_bytes() > MAX_BYTES:
        Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which would else stand below the one that was asked for
    try:
        return Image.open(file, formats=formats())
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"has more than {most:,} pixels; make it smaller first, or raise {VARIABLE}") from None


def _check_header(image: Image.Image) -> None:
    sides = getattr(image, "tag_v2", {})
    width, height = (max(side, _number(sides.get(tag, 0))) for side, tag in zip(image.size, _TILE_SIDES, strict=True))
    check_size(width, height, _DECODER_BYTES.get(str(image.format), 4))
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"holds {frames} frames; save the one to explain as a file of its own")


def _unknown(head: bytes) -> str:
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif", b"avis"):
        name = "AVIF" if head[8:11] == b"avi" else "HEIC"
        if name[:3] not in "".join(formats()):
            return f'{name} needs an extra; install it with: pip install "relax-explainer[heif]"'
    return f"not a {_READ} image, or too damaged to tell"


def read_pillow(image: Image.Image, *, in_place: bool = False) -> Raster:
    """The rows of a PIL image, with 1, 3 or 4 channels; its EXIF orientation is applied.

    Args:
        image: The image.
        in_place: Whether it may be turned itself, which needs no copy.

    Raises:
        ImageError: If it is too large or damaged.
    """
    check_size(*image.size, 4)
    inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == 0  # Pillow inverts only 8-bit images
    white = np.float32(65535 if image.format == "PPM" else 2 ** _tag(image, _BITS, 16) - 1)
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")  # which is scaled to 16 bits
    if in_place:
        ImageOps.exif_transpose(image, in_place=True)
    else:
        image = ImageOps.exif_transpose(image)
    if deep:

        def grey(start: int, stop: int) -> NDArray[Any]:
            values = np.asarray(_strip(image, start, stop), dtype=np.float32) / white
            return (1 - values if inverted else values)[..., None]

        return Raster(image.height, image.width, 1, grey)
    if image.mode in ("I", "F"):
        return Raster.of(unit(np.asarray(image))[..., None])
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"

    def rows(start: int, stop: int) -> NDArray[Any]:
        part = _strip(image, start, stop)
        values = np.asarray((part.convert("LA") if part.mode == "La" else part).convert(mode))
        return values[..., None] if values.ndim == 2 else values

    image.load()
    return Raster(image.height, image.width, len(mode), rows)


def _strip(image: Image.Image, start: int, stop: int) -> Image.Image:
    return image.crop((0, start, image.width, stop))


def _tag(image: Image.Image, tag: int, default: int) -> int:
    return _number(getattr(image, "tag_v2", {}).get(tag, default))


def _number(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


# WebP


def _check_webp(head: bytes) -> None:
    """Pillow allocates the canvas when it opens a WebP; its size stands in the first 30 bytes."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return
    numbers = int.from_bytes(head[20:30], "little")  # what follows the name and the length of the first chunk
    first, second = {
        b"VP8 ": (numbers >> 48 & 0x3FFF, numbers >> 64 & 0x3FFF),
        b"VP8L": ((numbers >> 8 & 0x3FFF) + 1, (numbers >> 22 & 0x3FFF) + 1),
        b"VP8X": ((numbers >> 32 & 0xFFFFFF) + 1, (numbers >> 56 & 0xFFFFFF) + 1),
    }.get(head[12:16], (0, 0))
    check_size(first, second, _DECODER_BYTES["WEBP"])


# PNG


def _check_chunks(file: IO[bytes]) -> None:
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


def _deep_png(file: IO[bytes], colour: int) -> Raster:
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
    image = _opened(file)
    check_size(*image.size, 8)
    high, low = (_decoded_as(file, mode, f"{mode};16{order}") for order in "BL")

    def rows(start: int, stop: int) -> NDArray[Any]:
        upper, lower = (np.asarray(_strip(half, start, stop)) for half in (high, low))
        values: NDArray[Any] = upper.astype(np.uint16) << 8 | lower
        return values

    return _with_key(Raster(high.height, high.width, len(mode), rows), high.info.get("transparency"))


def _decoded_as(file: IO[bytes], mode: str, layout: str) -> Image.Image:
    """A PNG decoded as if its pixels had another layout, and turned by its EXIF orientation."""
    image: Any = _opened(file)
    image._mode = mode
    image.tile = [tile._replace(args=layout) for tile in image.tile]
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    opened: Image.Image = image
    return opened


def _big_endian(image: Image.Image, samples: int) -> Raster:
    """The 16-bit samples in pairs of bytes of a picture: grey, or grey and alpha as colour and alpha."""

    def rows(start: int, stop: int) -> NDArray[Any]:
        values = np.asarray(_strip(image, start, stop)).view(">u2").astype(np.uint16)
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


# PPM and JPEG 2000


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


# TIFF


def _pillow_keeps_all_bits(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    unsigned = all(sample == 1 for sample in tags.get(_SAMPLE_FORMAT, (1,)))
    return unsigned and (image.mode.startswith("I;16") or max(tags.get(_BITS, (1,))) <= 8)


def _tiff(file: IO[bytes]) -> Raster:
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
    of_float = 4 * page.size if page.dtype is not None and page.dtype.kind == "f" else 0
    size = page.nbytes * (3 if compressed else 1) + of_float + page.imagewidth * page.imagelength * RESULT
    check_bytes(size, f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} samples")
    expected = int(np.prod(page.chunks, dtype=object)) * (page.bitspersample + 7) // 8
    check_bytes(3 * expected, f"a tile or strip of {' x '.join(map(str, page.chunks))} samples")
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
