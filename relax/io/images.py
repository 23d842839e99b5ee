"""Read an image from any source into the form that all rooms use: (1, C, H, W) float32 in [0, 1].

A value is the stored number divided by the white of its type: 255 for 8 bits, 65535 for 16 bits, 1 for bits and
floats. There is no windowing, no stretching and no colour management (ICC profiles are ignored). Types without a known
white (32-bit and signed integers) are refused. Transparent pixels are composited on white.

`relax.io.raster` decodes image files, `relax.io.pixels` converts arrays and tensors. DICOM and NIfTI, whose values have
no white, are read by `relax.io.medical`, which windows them and records how.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from encoders.values import described, is_whole, plain, unreadable
from relax.io.choice import discreet_name, split_choice
from relax.io.datasets import Row, is_row, picture_of
from relax.io.elsewhere import is_elsewhere, opened_elsewhere
from relax.io.errors import ImageError, decoding_errors
from relax.io.medical import read_chosen
from relax.io.picture import Voxels
from relax.io.pixels import Raster, array_pixels
from relax.io.raster.reading import read_file, read_pillow, read_stream
from relax.io.sources import names_several, sources_of
from relax.text import printable

NARROW = 1 / 16  # of the way from black to white: what 12 bits take of 16
_SAMPLE = 1 << 20  # values, by which the range is told

ImageSource: TypeAlias = str | Path | Image.Image | NDArray[Any] | Tensor | Voxels
"""One image, as `read_image` takes it, or a volume for an encoder of volumes."""


def read_image(source: ImageSource, *, channels: int | None = 3) -> Tensor:
    """Read one image.

    Args:
        source: A path (PNG, JPEG, TIFF, WebP, BMP, JPEG 2000, PPM or a GIF of one frame; 1, 8 or 16 bits, grey,
            palette, colour, CMYK, with or without alpha; float TIFF in [0, 1]; EXIF orientation is applied; AVIF and,
            with the extra `[heif]`, HEIC, at 8 bits; with the extra `[medical]` DICOM and a slice of NIfTI,
            "scan.dcm#frame=3&window=40,400", "brain.nii.gz#axial=40"), a PIL image, a numpy array
            (H, W) or (H, W, C), or a tensor (H, W), (C, H, W) or (1, C, H, W). The position of the channels follows
            from the type, last for numpy and first for torch, never from the sizes. A row of a data set, (picture,
            label) or {"image": picture, ...}, is its picture.
            Arrays and tensors hold uint8, uint16, bool, or floats in [0, 1] (rounding errors up to 1e-6 are clipped).
        channels: C of the result. 3 repeats grey, 1 takes the ITU-R 601 luma of colour; for 1 and 3, four channels are
            taken as RGB and alpha. Any other number must be that of the source. None keeps the channels of arrays and
            tensors and converts files and PIL images to RGB.

    Returns:
        (1, C, H, W) float32 in [0, 1] on the CPU, a copy.

    Raises:
        ImageError: If the source does not exist, is not an image, is damaged, holds several frames, has fewer than 2
            pixels on a side, would take more than 1.2 GB of memory to read (75 million pixels of 8-bit colour, fewer
            of more bits; RELAX_MAX_PICTURE_BYTES in the environment sets another limit), holds NaN or values out of
            range, is of a type without a known white, or has channels that do not fit.
    """
    return read_with_record(source, channels=channels)[0]


def read_with_record(source: ImageSource, *, channels: int | None = 3) -> tuple[Tensor, dict[str, Any]]:
    """As `read_image`, with a record, as JSON types: choices that the file leaves open, such as frame and window, and
    whether colour was turned into grey.
    """
    channels = plain(channels)
    if channels is not None and not is_whole(channels, 1):
        raise ValueError(f"channels must be at least 1, or None; got {described(channels)}")
    record: dict[str, Any] = {}
    source, name = picture_of(source), name_of(source) if isinstance(source, Row) else None
    try:
        raster, record = _decoded(source, channels)
        if channels == 1 and raster.channels in (3, 4):
            record = {**record, "channels": "luma of colour (ITU-R 601)"}
        decoded = not isinstance(source, np.ndarray | Tensor)
        with decoding_errors():
            pixels = raster.pixels(3 if channels is None and decoded else channels)
    except ImageError as error:
        raise ImageError(f"{printable(name or name_of(source))}: {error}") from error.__cause__
    return torch.from_numpy(pixels)[None], record


def narrow_range(pixels: Tensor) -> str | None:
    """What is wrong if nearly all values of a picture are one shade, such as 12-bit data read as 16 bits.

    Args:
        pixels: (1, C, H, W) in [0, 1].

    Returns:
        None if the middle 99.8 % of the values span at least `NARROW`.
    """
    values = pixels.flatten()
    sample = values[:: 1 + len(values) // _SAMPLE].float()
    low, high = (float(sample.quantile(share)) for share in (0.001, 0.999))
    if high - low >= NARROW:
        return None
    return (
        f"nearly all its values lie between {low:.3g} and {high:.3g}, where 0 is black and 1 white, so that an encoder "
        "sees nearly one shade: is it blank, or its white not that of its type? Then divide by the highest value, or "
        "choose a window"
    )


def read_named(source: ImageSource, argument: str, *, channels: int | None = 3) -> Tensor:
    """As `read_image`, for a picture that is another argument than the image: an error names it, or the file."""
    try:
        return read_image(source, channels=channels)
    except ImageError as error:
        if isinstance(source, str | os.PathLike | Row):
            raise
        raise ImageError(f"{argument}: {error}") from error.__cause__


def is_picture(source: object) -> bool:
    """Whether it is of a type that `read_image` takes, whatever it holds."""
    return isinstance(source, str | os.PathLike | Image.Image | np.ndarray | Tensor | Mapping | Row) or is_row(source)


def one_by_one(source: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """The images in `source`: one image or row, a list or tuple of them, or a tensor (B, C, H, W). Nothing is read."""
    if isinstance(source, Tensor) and source.ndim == 4 and not unreadable(source):
        return list(source)
    if isinstance(source, Sequence) and not isinstance(source, str) and not is_row(source):
        return list(source)
    return [cast(ImageSource, source)]


def each_picture(source: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """As `one_by_one`, with the pictures of a folder, a DICOMDIR, or all frames or slices of a file in its place.

    Raises:
        ImageError: If there are none, or several series and none is named; see `relax.io.sources`.

    Warns:
        UserWarning: If files are passed over.
    """
    pictures: list[ImageSource] = []
    for picture in one_by_one(source):
        pictures += pictures_named(picture) if isinstance(picture, str | Path) and names_several(picture) else [picture]
    return pictures


def pictures_named(address: str | Path) -> list[str]:
    """The addresses of the pictures that an address names, see `relax.io.sources`; errors and warnings as above."""
    sources = sources_of(address)
    sources.warn()
    if not sources.pictures:
        raise ImageError(f"{name_of(address)}: holds no picture that can be read")
    return sources.pictures


def name_of(source: object) -> str:
    """The name of an image in messages and provenance: its path as given, or its type and shape.

    A hash of the file replaces a DICOM or NIfTI path that ends in #name=hash, and a DICOM path that tells one of the
    identifiers in the file (a name, a number, a date, a UID, the institution), in any form: see
    `relax.io.dicom.identity`.
    """
    if isinstance(source, Row | Voxels):
        return source.name
    source = picture_of(source)
    if isinstance(source, str | os.PathLike):
        return discreet_name(os.fspath(source))
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "")) or f"PIL image {source.width} x {source.height}"
    kind = {np.ndarray: "array", Tensor: "tensor"}.get(type(source), type(source).__name__)
    if isinstance(source, np.ndarray) or (isinstance(source, Tensor) and not source.is_nested):
        return f"{kind} {tuple(source.shape)}"
    return kind


def _decoded(source: object, channels: int | None) -> tuple[Raster, dict[str, Any]]:
    """The decoded picture, its channels being 1, 3 or 4 unless it is an array, and the record of a medical one."""
    if isinstance(source, np.ndarray | Tensor):
        return Raster.of(array_pixels(source, channels)), {}
    if isinstance(source, Image.Image):
        with decoding_errors():
            return read_pillow(source), {}
    if not isinstance(source, str | os.PathLike):
        raise ImageError("an image is a path, a PIL image, a numpy array or a tensor")
    if is_elsewhere(address := os.fspath(source)):
        with decoding_errors(), opened_elsewhere(address) as file:
            return read_stream(file), {}
    path, kind, choice = split_choice(address)
    if kind is None:
        with decoding_errors():
            return read_file(path), {}
    try:
        picture = read_chosen(path, kind, choice)
    except (ImageError, ImportError) as error:
        raise ImageError(str(error)) from None  # a cause may quote the header, and with it the patient
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    return Raster.of(picture.pixels), picture.how
