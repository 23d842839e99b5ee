"""What the first bytes of an image file say: its format, and whether it may be decoded.

Only listed formats are opened, and how much memory a picture would take is known from its header, see
`relax.io.limits`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import IO

from PIL import Image

from encoders.folders import image_endings
from relax.io.errors import ImageError
from relax.io.limits import PICTURES, check_size, max_bytes

_PILLOW = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM")
_READ = "PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, PPM, AVIF or HEIC"

# What each decoder holds per pixel beside the result, as measured; else a copy of four bytes, as Pillow keeps colours.
_DECODER_BYTES = {"WEBP": 16, "AVIF": 12, "HEIF": 12, "JPEG2000": 12}

_TILE_SIDES = 322, 323  # TIFF tags

# Pillow keeps a picture in blocks of 16 MB, which malloc may keep for the thread that freed them; larger ones go back.
import_module("PIL._imaging").set_block_size(1 << 26)


@cache
def formats() -> tuple[str, ...]:
    """The formats that are opened: a fixed list, since Pillow would hand some others to external programs."""
    names = list(_PILLOW)
    if ".avif" in image_endings():
        names.append("AVIF")
    if ".heic" in image_endings():
        import_module("pillow_heif").register_heif_opener()
        names.append("HEIF")
    return tuple(names)


def opened(file: IO[bytes]) -> Image.Image:
    """An image file, not decoded yet, that holds one frame and whose size is within the limit.

    Raises:
        UnidentifiedImageError: If it is of none of the `formats`.
        ImageError: If it takes too much memory, or holds several frames.
    """
    file.seek(0)
    _check_webp(file.read(30))
    if max_bytes() > PICTURES.default:
        Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit, which would else stand below the one that was asked for
    try:
        image = Image.open(file, formats=formats())
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"has more than {most:,} pixels: if you trust it, raise {PICTURES.variable}") from None
    width, height = (max(side, tiff_tag(image, tag, 0)) for side, tag in zip(image.size, _TILE_SIDES, strict=True))
    check_size(width, height, _DECODER_BYTES.get(str(image.format), 4))
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"holds {frames} frames; save the one to explain as a file of its own")
    return image


def tiff_tag(image: Image.Image, tag: int, default: int) -> int:
    """The number in a TIFF's tag, the first if there are several; other formats have none."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def unrecognised(head: bytes) -> str:
    """Why a file that begins with these bytes is not opened."""
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif", b"avis"):
        name = "AVIF" if head[8:11] == b"avi" else "HEIC"
        if name[:3] not in "".join(formats()):
            return f'{name} needs an extra; install it with: pip install "relax-explainer[heif]"'
    return f"not a {_READ} image, or too damaged to tell"


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
