"""Image files, as Pillow, torchvision and tifffile decode them, without the loss of a bit.

Pillow reads all but two kinds of file of which it would silently drop half of the bits: 16-bit colour PNG is read by
torchvision, TIFF with 16-bit colour or float samples by tifffile.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from relax.io.errors import MAX_PIXELS, ImageError, in_one_line
from relax.io.pixels import unit

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
"""The formats that are opened. The list is fixed, since Pillow would hand some others to external programs."""

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 274, 258, 262, 339  # TIFF tags


def file_pixels(path: Path) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1] of an image file, C being 1, 3 or 4.

    Raises:
        ImageError: If there is no such file, or it is not an image of one frame that can be decoded.
    """
    if path.is_dir():
        raise ImageError(f"is a folder; name the images in it, such as {path}/*.png")
    if not path.exists():
        raise ImageError("no such file")
    if not path.is_file():
        raise ImageError("is not a regular file")
    try:
        # An open file rather than a path: given a path, Pillow 13 maps rotated TIFFs into memory unrotated.
        with path.open("rb") as file:
            return _decoded(file)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error


def _decoded(file: IO[bytes]) -> NDArray[np.float32]:
    magic = file.read(4)
    if not magic:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit here is MAX_PIXELS
            image = Image.open(file, formats=FORMATS)
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            _check_header(image.size, frames)
        if image.format == "PNG" and _png_bits(file) == 16:
            return _deep_png_pixels(file, image)
        if image.format == "TIFF" and not _pillow_keeps_all_bits(image):
            return _tiff_pixels(file)
        return pillow_pixels(image)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"has more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except UnidentifiedImageError:
        if magic in _TIFF_MAGIC:
            return _tiff_pixels(file)
        raise ImageError("not a PNG, JPEG, TIFF, WebP, BMP or GIF image, or too damaged to tell") from None
    except Exception as error:  # a damaged file can raise anything in a decoder
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error


def _check_header(size: tuple[int, int], frames: int) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"{size[0]} x {size[1]} is more than {MAX_PIXELS:,} pixels; make it smaller first")
    if frames > 1:
        raise ImageError(f"holds {frames} frames; save the one to explain as a file of its own")


def pillow_pixels(image: Image.Image) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1] of a PIL image, C being 1, 3 or 4; its EXIF orientation is applied.

    Raises:
        ImageError: If it is too large, damaged, or of a type without a known white.
    """
    _check_header(image.size, 1)
    inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == 0  # Pillow inverts only 8-bit images
    white = 2 ** _tag(image, _BITS, 16) - 1
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            grey = unit(np.asarray(image, dtype=np.float32) / np.float32(white))[..., None]
            return 1 - grey if inverted else grey
        if image.mode in ("I", "F"):
            return unit(np.asarray(image))[..., None]
        if image.has_transparency_data:
            image = image.convert("LA") if image.mode == "La" else image
            return unit(np.asarray(image.convert("RGBA")))
        if image.mode in ("1", "L"):
            return unit(np.asarray(image.convert("L")))[..., None]
        return unit(np.asarray(image.convert("RGB")))
    except ImageError:
        raise
    except Exception as error:  # as above; Pillow decodes lazily, so that damage shows here
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _pillow_keeps_all_bits(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    unsigned = all(sample == 1 for sample in tags.get(_SAMPLE_FORMAT, (1,)))
    return unsigned and (image.mode.startswith("I;16") or max(tags.get(_BITS, (1,))) <= 8)


def _png_bits(file: IO[bytes]) -> int:
    file.seek(24)  # signature 8, chunk header 8, width 4, height 4
    return file.read(1)[0]


def _deep_png_pixels(file: IO[bytes], image: Image.Image) -> NDArray[np.float32]:
    try:
        from torchvision.io import decode_png  # here, because it is slow to import and rarely needed
    except ImportError:  # torchvision 0.29 announces its removal
        raise ImageError("16-bit colour PNG is not read by this torchvision; save it as TIFF") from None

    file.seek(0)
    encoded = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        values = decode_png(encoded, apply_exif_orientation=True).permute(1, 2, 0).numpy()
    transparent = image.info.get("transparency")  # a single colour, if any
    if transparent is not None:
        alpha = (values != np.array(transparent)).any(axis=-1, keepdims=True) * np.uint16(65535)
        values = np.concatenate([values, alpha], axis=-1)
    pixels = unit(values)
    return pixels if pixels.shape[-1] != 2 else pixels[..., [0, 0, 0, 1]]  # grey and alpha


def _tiff_pixels(file: IO[bytes]) -> NDArray[np.float32]:
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            _check_header((page.imagewidth, page.imagelength), len(tiff.pages))
            values = page.asarray()
    except ImageError:
        raise
    except Exception as error:
        way_out = "; install imagecodecs, or save it uncompressed" if "imagecodecs" in str(error) else ""
        raise ImageError(f"cannot be decoded ({in_one_line(error)}){way_out}") from error
    if page.axes == "SYX":
        values = values.transpose(1, 2, 0)
    pixels = _tiff_colours(unit(values.reshape(*values.shape[:2], -1)), page)
    orientation = page.tags.valueof(_ORIENTATION, 1)
    pixels = pixels.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else pixels
    pixels = pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


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
