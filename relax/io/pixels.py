"""Arrays, tensors and decoded files as pixels: float32 in [0, 1], with the number of channels that is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from encoders.values import unreadable
from relax.io.errors import ImageError

_STRIP = 1 << 18  # pixels that are converted at once

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as in Pillow


@dataclass(frozen=True)
class Raster:
    """A decoded picture that is converted a few rows at a time, so that no second copy of it is needed.

    Attributes:
        height, width: In pixels.
        channels: C.
        rows: (h, W, C) of the rows from a start to a stop, values as `unit` takes them.
    """

    height: int
    width: int
    channels: int
    rows: Callable[[int, int], NDArray[Any]]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Raster:
        """An array (H, W, C)."""
        height, width, channels = values.shape
        return cls(height, width, channels, lambda start, stop: values[start:stop])

    def pixels(self, channels: int | None) -> NDArray[np.float32]:
        """(C, H, W) in [0, 1], with this number of channels or its own.

        Raises:
            ImageError: If the values are not those of an image, or there is no such conversion.
        """
        result = np.empty((channels or self.channels, self.height, self.width), np.float32)
        step = max(2, _STRIP // max(self.width, 1))
        for start in range(0, max(self.height - 1, 1), step):  # a last row goes with those before it
            stop = start + step if start + step < self.height - 1 else self.height
            result[:, start:stop] = with_channels(unit(self.rows(start, stop)), channels).transpose(2, 0, 1)
        return result


def strip(image: Image.Image, start: int, stop: int) -> Image.Image:
    """The rows of a PIL image from a start to a stop."""
    return image.crop((0, start, image.width, stop))


def array_pixels(source: NDArray[Any] | Tensor, channels: int | None) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1] of an array (channels last) or a tensor (channels first), with the channels it has.

    Args:
        source: (H, W) or (H, W, C); a tensor (H, W), (C, H, W) or (1, C, H, W).
        channels: The number that is needed. It only serves to recognise an array whose channels are on the wrong side.

    Raises:
        ImageError: If the shape or the values are not those of an image.
    """
    if isinstance(source, Tensor):
        values = _channels_last(source)
        layout, other_side, way_out = "(H, W), (C, H, W) or (1, C, H, W)", "last", ".permute(2, 0, 1)"
    else:
        if isinstance(source, np.ma.MaskedArray):
            raise ImageError("a masked array has pixels without a value; give them one with .filled(0)")
        values = np.asarray(source)  # of subclasses, such as np.matrix, axes mean something else
        layout, other_side, way_out = "(H, W) or (H, W, C)", "first", ".transpose(1, 2, 0)"
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3:
        raise ImageError(f"must be {layout}; it has {source.ndim} axes")
    height, width, count = values.shape
    opposite = width if isinstance(source, Tensor) else height  # the axis of the channels if they are on the wrong side
    if count != channels and count > min(height, width) and opposite in (1, 3, 4):
        raise ImageError(f"must be {layout}; the channels seem to come {other_side}: turn it with {way_out}")
    return unit(values)


def _channels_last(source: Tensor) -> NDArray[Any]:
    """(H, W) or (H, W, C) of a tensor; other numbers of axes are left to the caller."""
    if reason := unreadable(source):
        raise ImageError(f"an image must hold real numbers; got {reason}")
    if source.ndim == 4 and len(source) != 1:
        raise ImageError(f"is a batch of {len(source)}; give one image at a time")
    tensor = source.detach().cpu().resolve_neg()
    tensor = tensor[0] if tensor.ndim == 4 else tensor
    foreign = tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64)
    values = (tensor.float() if foreign else tensor).numpy()  # numpy has no bfloat16 and no float8
    return values.transpose(1, 2, 0) if values.ndim == 3 else values


def unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """The values (H, W, ...) divided by the white of their type: 255, 65535, or 1 for bits and floats.

    Raises:
        ImageError: If a side has fewer than 2 pixels, the type has no known white, or a float is not in [0, 1].
    """
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
        normalised = "bring them there, undoing any normalisation, which is the encoder's (load_encoder(mean=, std=))"
        way_out = normalised if low < 0 or high > 255 else "divide by 255"
        raise ImageError(f"floats must lie in [0, 1]; these run from {low:.6g} to {high:.6g}: {way_out}")
    return np.clip(values.astype(np.float32), 0, 1)


def with_channels(pixels: NDArray[np.float32], channels: int | None) -> NDArray[np.float32]:
    """(H, W, C) converted to (H, W, channels): alpha composited on white, colour to luma, grey repeated.

    Raises:
        ImageError: If there is no such conversion.
    """
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
        raise ImageError(f"has {pixels.shape[-1]} channels; the encoder takes {channels}: give it such pictures")
    return pixels
