"""Read what a user calls an image into the one form that crosses the seams: (1, C, H, W) float32 in [0, 1].

A value is the stored number divided by the white of its type: 255 for 8 bits, 65535 for 16 bits, 1 for bits and
floats. There is no windowing, no stretching and no colour management (ICC profiles are ignored). Types whose white
is not known (32-bit and signed integers) are refused, never guessed. Transparent pixels are shown on white.

Pillow reads the files, with two exceptions where it would drop half of the bits in silence: 16-bit colour PNG goes
through torchvision, TIFF with 16-bit colour or float samples through tifffile. DICOM and NIfTI, whose values have no
white, go to `relax.io.medical`, which windows them and says how.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from relax.io.choice import discreet_name, split_choice
from relax.io.errors import MAX_PIXELS, ImageError, in_one_line
from relax.io.medical import read_chosen
from relax.text import printable

ImageSource: TypeAlias = str | Path | Image.Image | NDArray[Any] | Tensor
"""One image, as `read_image` takes it."""

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
"""What is opened. A fixed list, since Pillow would otherwise hand some formats to external programs."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 274, 258, 262, 339  # TIFF tags


def read_image(source: ImageSource, *, channels: int | None = 3) -> Tensor:
    """Read one image.

    Args:
        source: A path (PNG, JPEG, TIFF, WebP, BMP or a GIF of one frame; 1, 8 or 16 bits, grey, palette, colour, CMYK,
            with or without alpha; float TIFF in [0, 1]; EXIF orientation is applied; with the extra `[medical]` DICOM
            and a slice of NIfTI, "scan.dcm#frame=3&window=40,400", "brain.nii.gz#axial=40"), a PIL image,
            a numpy array (H, W) or (H, W, C), or a tensor (H, W), (C, H, W) or (1, C, H, W). Where the channels
            stand is decided by the type, channels last for numpy and first for torch, never by the numbers.
            Arrays and tensors hold uint8, uint16, bool, or floats in [0, 1] (rounding errors up to 1e-6 are clipped).
        channels: C of the result. 3 repeats grey, 1 takes the ITU-R 601 luma of colour; 4 channels are RGB and alpha
            where 1 or 3 are asked for. Any other number must be there. None keeps the channels of arrays and
            tensors and makes files and PIL images RGB.

    Returns:
        (1, C, H, W) float32 in [0, 1] on the CPU, a copy.

    Raises:
        ImageError: No such file, no image, damaged, several frames, fewer than 2 pixels on a side, more than
            `MAX_PIXELS`, NaN, values out of range, a type without a known white, channels that do not fit.
    """
    return read_with_record(source, channels=channels)[0]


def read_with_record(source: ImageSource, *, channels: int | None = 3) -> tuple[Tensor, dict[str, Any]]:
    """As `read_image`, with how its pixels came about where the file leaves a choice (frame, window), as JSON types."""
    if channels is not None and channels < 1:
        raise ValueError(f"channels must be at least 1, or None; got {channels}")
    how: dict[str, Any] = {}
    try:
        if isinstance(source, str | os.PathLike):
            values, how = _path_values(os.fspath(source))
            pixels = _colours(values, 3 if channels is None else channels)
        elif isinstance(source, Image.Image):
            pixels = _colours(_pillow_values(source), 3 if channels is None else channels)
        elif isinstance(source, np.ndarray | Tensor):
            pixels = _colours(_array_values(source, channels), channels)
        else:
            raise ImageError("an image is a path, a PIL image, a numpy array or a tensor")
    except ImageError as error:
        called = os.fspath(source) if isinstance(source, str | os.PathLike) else name_of(source)
        raise ImageError(f"{printable(called)}: {error}") from error.__cause__
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None], how


def one_by_one(source: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """The images in `source`: one image, a list or tuple of images, or a tensor (B, C, H, W). Nothing is read."""
    if isinstance(source, Tensor) and source.ndim == 4:
        return list(source)
    if isinstance(source, Sequence) and not isinstance(source, str):
        return list(source)
    return [source]


def name_of(source: object) -> str:
    """What to call an image in messages and provenance: its path as given, or its type and shape.

    A DICOM or NIfTI path that ends in #name=hash, or a DICOM path in which one of the file's own identifiers is found
    (the patient's name, a number, a date, a UID), gives way to a hash of the file.
    """
    if isinstance(source, str | os.PathLike):
        return discreet_name(os.fspath(source))
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "")) or f"PIL image {source.width} x {source.height}"
    kind = {np.ndarray: "array", Tensor: "tensor"}.get(type(source), type(source).__name__)
    return f"{kind} {tuple(source.shape)}" if isinstance(source, np.ndarray | Tensor) else kind


def _path_values(text: str) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """(H, W, 1, 3 or 4) in [0, 1] of a file, and how they came about where it leaves a choice."""
    path, kind, choice = split_choice(text)
    if kind is None:
        return _file_values(path), {}
    try:
        picture = read_chosen(path, kind, choice)
    except (ImportError, OSError) as error:
        raise ImageError(str(error)) from None
    return picture.pixels, picture.how


def _file_values(path: Path) -> NDArray[np.float32]:
    """(H, W, 1, 3 or 4) in [0, 1] of a picture file."""
    if path.is_dir():
        raise ImageError(f"is a folder; name the images in it, such as {path}/*.png")
    if not path.exists():
        raise ImageError("no such file")
    if not path.is_file():
        raise ImageError("is not a regular file")
    try:
        # An open file rather than a path: given a path, Pillow 13 maps rotated TIFFs into memory unrotated.
        with path.open("rb") as file:
            return _stream_values(file)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error


def _stream_values(file: IO[bytes]) -> NDArray[np.float32]:
    magic = file.read(4)
    if not magic:
        raise ImageError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb warning: the limit here is MAX_PIXELS
            image = Image.open(file, formats=FORMATS)
            _check_header(image.size, getattr(image, "n_frames", 1) if image.format != "MPO" else 1)
        if image.format == "PNG" and _png_bits(file) == 16:
            return _deep_png_values(file, image)
        if image.format == "TIFF" and not _pillow_keeps_all_bits(image):
            return _tiff_values(file)
        return _pillow_values(image)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"has more than {MAX_PIXELS:,} pixels; make it smaller first") from None
    except UnidentifiedImageError:
        if magic in _TIFF_MAGIC:
            return _tiff_values(file)
        raise ImageError("not a PNG, JPEG, TIFF, WebP, BMP or GIF image, or too damaged to tell") from None
    except Exception as error:  # a damaged file can break a decoder anywhere
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error


def _check_header(size: tuple[int, int], frames: int) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"{size[0]} x {size[1]} is more than {MAX_PIXELS:,} pixels; make it smaller first")
    if frames > 1:
        raise ImageError(f"holds {frames} frames; save the one to explain as a file of its own")


def _pillow_values(image: Image.Image) -> NDArray[np.float32]:
    _check_header(image.size, 1)
    inverted = image.mode.startswith("I;16") and _tag(image, _PHOTOMETRIC, 1) == 0  # Pillow turns only 8-bit ones
    white = 2 ** _tag(image, _BITS, 16) - 1
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            grey = _unit(np.asarray(image, dtype=np.float32) / np.float32(white))[..., None]
            return 1 - grey if inverted else grey
        if image.mode in ("I", "F"):
            return _unit(np.asarray(image))[..., None]
        if image.has_transparency_data:
            image = image.convert("LA") if image.mode == "La" else image
            return _unit(np.asarray(image.convert("RGBA")))
        if image.mode in ("1", "L"):
            return _unit(np.asarray(image.convert("L")))[..., None]
        return _unit(np.asarray(image.convert("RGB")))
    except ImageError:
        raise
    except Exception as error:  # as above: Pillow decodes lazily, so damage shows here
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _pillow_keeps_all_bits(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    unsigned = all(kind == 1 for kind in tags.get(_SAMPLE_FORMAT, (1,)))
    return unsigned and (image.mode.startswith("I;16") or max(tags.get(_BITS, (1,))) <= 8)


def _png_bits(file: IO[bytes]) -> int:
    file.seek(24)  # signature 8, chunk head 8, width 4, height 4
    return file.read(1)[0]


def _deep_png_values(file: IO[bytes], image: Image.Image) -> NDArray[np.float32]:
    try:
        from torchvision.io import decode_png  # here, since it is slow to import and rarely needed
    except ImportError:  # torchvision 0.29 announces that a later version drops it
        raise ImageError("16-bit colour PNG is not read by this torchvision; save it as TIFF") from None

    file.seek(0)
    coded = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        values = decode_png(coded, apply_exif_orientation=True).permute(1, 2, 0).numpy()
    key = image.info.get("transparency")  # the one colour that means transparent, if any
    if key is not None:
        alpha = (values != np.array(key)).any(axis=-1, keepdims=True) * np.uint16(65535)
        values = np.concatenate([values, alpha], axis=-1)
    pixels = _unit(values)
    return pixels if pixels.shape[-1] != 2 else pixels[..., [0, 0, 0, 1]]  # grey and alpha


def _tiff_values(file: IO[bytes]) -> NDArray[np.float32]:
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
    pixels = _tiff_colours(_unit(values.reshape(*values.shape[:2], -1)), page)
    orientation = page.tags.valueof(_ORIENTATION, 1)
    pixels = pixels.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else pixels
    pixels = pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _tiff_colours(pixels: NDArray[np.float32], page: Any) -> NDArray[np.float32]:
    """Grey, RGB or RGBA of the samples that a TIFF page holds."""
    colours = {0: 1, 1: 1, 2: 3}.get(int(page.photometric), 0)  # white is 0, black is 0, RGB
    extra = [int(kind) for kind in page.extrasamples]
    if not colours or pixels.shape[-1] != colours + len(extra) or (colours == 1 and 0 in extra):
        kind = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"holds {pixels.shape[-1]} {kind} samples per pixel; save it as grey or RGB, or pass an array")
    colour = 1 - pixels[..., :colours] if int(page.photometric) == 0 else pixels[..., :colours]
    if not extra or extra[0] not in (1, 2):
        return colour
    alpha = pixels[..., colours : colours + 1]
    if extra[0] == 1:  # colours are stored already multiplied by alpha
        pixels = (colour + (1 - alpha)).clip(0, 1)
        return pixels
    return np.concatenate([np.repeat(colour, 3 // colours, axis=-1), alpha], axis=-1)


def _array_values(source: NDArray[Any] | Tensor, channels: int | None) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1] of an array or tensor."""
    if isinstance(source, Tensor):
        if source.ndim == 4 and len(source) != 1:
            raise ImageError(f"is a batch of {len(source)}; give one image at a time")
        tensor = source.detach().cpu()
        tensor = tensor[0] if tensor.ndim == 4 else tensor
        values = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        values = values.transpose(1, 2, 0) if values.ndim == 3 else values
        layout, other, turn = "(H, W), (C, H, W) or (1, C, H, W)", "last", ".permute(2, 0, 1)"
    else:
        values = source
        layout, other, turn = "(H, W) or (H, W, C)", "first", ".transpose(1, 2, 0)"
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3:
        raise ImageError(f"must be {layout}; it has {source.ndim} axes")
    height, width, count = values.shape
    far_end = width if isinstance(source, Tensor) else height  # where the channels stand if they were put wrongly
    if count != channels and count > min(height, width) and far_end in (1, 3, 4):
        raise ImageError(f"must be {layout}; the channels seem to come {other}: turn it with {turn}")
    return _unit(values)


def _unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """The values divided by the white of their type, checked."""
    if min(values.shape[:2]) < 2:
        raise ImageError(f"{values.shape[1]} x {values.shape[0]} pixels; both sides must be at least 2")
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    if values.dtype.kind != "f":
        raise ImageError(f"{values.dtype} has no known white; divide by it and pass floats in [0, 1], or use uint8")
    if not np.isfinite(values).all():
        raise ImageError(f"{np.count_nonzero(~np.isfinite(values)):,} values are NaN or infinite; replace them")
    low, high = float(values.min()), float(values.max())
    if low < -1e-6 or high > 1 + 1e-6:
        way_out = "bring them there, undoing any normalisation" if low < 0 or high > 255 else "divide by 255"
        raise ImageError(f"floats must lie in [0, 1]; these run from {low:.6g} to {high:.6g}: {way_out}")
    return np.clip(values.astype(np.float32), 0, 1)


def _colours(pixels: NDArray[np.float32], channels: int | None) -> NDArray[np.float32]:
    """(H, W, C) turned into (H, W, channels)."""
    if channels is None or pixels.shape[-1] == channels:
        return pixels
    if pixels.shape[-1] == 4 and channels in (1, 3):
        alpha = pixels[..., 3:]
        pixels = pixels[..., :3] * alpha + (1 - alpha)
    if (pixels.shape[-1], channels) == (3, 1):
        pixels = (pixels @ _LUMA).clip(0, 1)[..., None]
    if (pixels.shape[-1], channels) == (1, 3):
        return np.repeat(pixels, 3, axis=-1)
    if pixels.shape[-1] != channels:
        raise ImageError(f"has {pixels.shape[-1]} channels; the encoder takes {channels}")
    return pixels
