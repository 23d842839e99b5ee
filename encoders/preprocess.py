"""How an image becomes what a network was trained to see: resize, centre crop, normalise.

The two halves are kept apart, because hiding happens on pixels: `view` gives the pixels that the
network will see, still in [0, 1], and `normalise` is the last step before the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from encoders.choices import one_of
from encoders.errors import EncoderError

INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
LEVELS = 255  # the largest 8-bit value


@dataclass(frozen=True)
class Preprocess:
    """Size, crop, mean and std that belong to a set of weights.

    Attributes:
        size: (h, w) that the network sees; None leaves pixels as they are.
        resize: How the image gets there. None: the whole image is squeezed to `size`. A number R: the
            shorter side becomes R, aspect ratio kept, then a centre crop of `size`. A pair (h, w): the
            whole image is squeezed to it, then a centre crop of `size`.
        mean: One value per channel, subtracted from pixels in [0, 1]; None together with `std`: no normalising.
        std: One value per channel, by which the difference is divided.
        interpolation: "bilinear" or "bicubic", both with antialiasing as PIL resizes, or "nearest".
        rounded_down: Whether a crop that cannot be in the middle starts at the pixel above and to the left of it, as
            transformers crops; otherwise at the nearest even one, as torchvision and timm do.
        eight_bit: Whether the network takes 8-bit pictures and normalises them by itself. They are then resized as PIL
            does it, rounding to 8 bits, and not normalised here: `mean` is the colour that the network takes to 0, and
            `std` may be left out.
        padded: Whether the whole picture is brought into `size` with its aspect ratio kept, and what is left on two
            sides shows the mean pixel (black without one); `resize` is None then.

    Raises:
        EncoderError: If the numbers cannot belong together.
    """

    size: tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str = "bilinear"
    rounded_down: bool = False
    eight_bit: bool = False
    padded: bool = False

    def __post_init__(self) -> None:
        one_of("interpolation", self.interpolation, INTERPOLATIONS)
        alone = self.eight_bit and self.std is None
        if not alone and ((self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ())):
            raise EncoderError(f"mean and std must come together, one number a channel; got {self.mean} and {self.std}")
        if not all(map(math.isfinite, (*(self.mean or ()), *(self.std or ())))):
            raise EncoderError(f"mean and std must be finite numbers; got {self.mean} and {self.std}")
        if self.mean and max(self.mean) > 1:
            raise EncoderError(f"mean must be of pixels in [0, 1]; got {max(self.mean):g}: divide mean and std by 255")
        if self.std is not None and min(self.std) <= 0:
            raise EncoderError(f"std must be above 0 in every channel; got {self.std}")
        if self.size is not None and min(self.size) < 1:
            raise EncoderError(f"size must be at least 1 x 1 px; got {self.size}")
        if self.padded and (self.size is None or self.resize is not None):
            raise EncoderError(f"padded needs size and no resize; got {self.size} and {self.resize}")
        if self.resize is not None and not _covers(self.resize, self.size):
            raise EncoderError(f"resize must be at least size, here {self.size}; got {self.resize}")

    def fitted(self, view: str) -> Preprocess:
        """The same with another way to bring pictures to its size, a key of `encoders.choices.VIEWS`.

        Raises:
            EncoderError: If it leaves pixels as they are.
        """
        if view == "auto":
            return self
        if self.size is None:
            raise EncoderError(
                f"view says how pictures get to the size of an encoder, which this one has not; got {view!r}"
            )
        if view == "crop":
            resize = self.resize if isinstance(self.resize, int) else max(self.size)
            return replace(self, resize=resize, padded=False)
        return replace(self, resize=None, padded=view == "pad")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The size that the network sees, (h, w), with the depth before it for volumes; None: as it comes."""
        return self.size

    def view(self, pixels: Tensor) -> Tensor:
        """Bring images to the size that the network sees.

        Args:
            pixels: (B, C, H, W) in [0, 1], any H and W.

        Returns:
            (B, C, h, w) in [0, 1]. Bicubic overshoot is clamped, as PIL does when it rounds to 8 bits.
            Pixels that have the size already come back untouched.
        """
        if self.size is None:
            return pixels
        sides, (top, left) = self._plan(self.size, *pixels.shape[-2:])
        if sides != tuple(pixels.shape[-2:]):
            resize = _resize_levels if self.eight_bit else resized
            pixels = resize(pixels, sides, self.interpolation)
        if self.padded:
            return self._padded(pixels, -top, -left)
        return pixels[..., top : top + self.size[0], left : left + self.size[1]]

    def view_of_mask(self, mask: Tensor) -> Tensor:
        """The share of each pixel that the network sees which a mask covers: (1, 1, H, W) in [0, 1] to (1, 1, h, w).

        The area is averaged, whatever the interpolation of pictures, so that what a mask does not touch has 0, and so
        has padding.
        """
        if self.size is None:
            return mask
        sides, (top, left) = self._plan(self.size, *mask.shape[-2:])
        rows, columns = map(_overlaps, mask.shape[-2:], sides)
        share = (rows @ mask.double() @ columns.mT).clamp(0, 1).to(mask.dtype)
        if self.padded:
            return replace(self, mean=None, std=None)._padded(share, -top, -left)
        return share[..., top : top + self.size[0], left : left + self.size[1]]

    def seen(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of an image of height x width px that `view` covers.

        Returns:
            (top, left, bottom, right) in image pixels, edges not centres: the whole image is
            (0, 0, height, width). Fractions are pixels that are partly seen; beyond the image lies padding.
        """
        if self.size is None:
            return 0.0, 0.0, float(height), float(width)
        sides, (top, left) = self._plan(self.size, height, width)
        down, across = height / sides[0], width / sides[1]
        return top * down, left * across, (top + self.size[0]) * down, (left + self.size[1]) * across

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std, channel by channel, unless the network does it; the mean colour becomes exactly 0."""
        if self.mean is None or self.std is None or self.eight_bit:
            return pixels
        mean, std = _statistics(self.mean, self.std, pixels.device, pixels.dtype)
        return (pixels - mean).div_(std)  # in place: one large tensor less, the subtraction's own

    def _plan(self, size: tuple[int, int], height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(h, w) after resizing and (top, left) of the centre crop in it, the sides rounded as torchvision does."""
        if isinstance(self.resize, int):
            longer = int(self.resize * max(height, width) / min(height, width))
            sides = (self.resize, longer) if height <= width else (longer, self.resize)
        elif self.padded:
            scale = min(size[0] / height, size[1] / width)
            sides = (max(1, round(height * scale)), max(1, round(width * scale)))
        else:
            sides = self.resize or size
        rounded = int if self.rounded_down else round
        return sides, (rounded((sides[0] - size[0]) / 2), rounded((sides[1] - size[1]) / 2))

    def _padded(self, pixels: Tensor, top: int, left: int) -> Tensor:
        """Pixels (B, C, H, W) in the middle of `size`, with the mean pixel around them."""
        channels, (height, width) = pixels.shape[1], pixels.shape[-2:]
        colour = pixels.new_tensor(self.mean or (0.0,)).view(1, -1, 1, 1).expand(1, channels, 1, 1)
        assert self.size is not None  # noqa: S101  # `view` saw to it
        whole = colour.expand(len(pixels), channels, *self.size).clone()
        whole[..., top : top + height, left : left + width] = pixels
        return whole


def levels_of(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1] as uint8, rounded.

    Raises:
        EncoderError: If there are others, which would wrap around.
    """
    levels = (pixels * LEVELS).round_()
    low, high = (float(value) for value in levels.aminmax())
    if not 0 <= low <= high <= LEVELS:
        raise EncoderError(
            f"pixels must be in [0, 1] for a network that takes 8-bit pictures; got {low / LEVELS:g} to "
            f"{high / LEVELS:g}"
        )
    return levels.byte()


def _covers(resize: int | tuple[int, int], size: tuple[int, int] | None) -> bool:
    if size is None:
        return False
    height, width = resize if isinstance(resize, tuple) else (resize, resize)
    return height >= size[0] and width >= size[1]


def resized(pixels: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """(B, C, H, W) in [0, 1] at another size, with antialiasing unless it is "nearest"."""
    if interpolation == "nearest":
        rows, columns = map(_nearest, pixels.shape[-2:], size)
        return pixels[..., rows[:, None], columns]
    smooth = F.interpolate(pixels, size, mode=interpolation, align_corners=False, antialias=True)
    return smooth.clamp(0, 1)  # bilinear too: its weights add up to 1 only to within rounding


def _overlaps(before: int, after: int) -> Tensor:
    """(after, before) float64: the share of each of `after` pixels that each of `before` covers, along one side."""
    edges = torch.arange(after + 1, dtype=torch.float64) * before / after
    starts = torch.arange(before, dtype=torch.float64)
    overlaps = torch.minimum(edges[1:, None], starts + 1) - torch.maximum(edges[:-1, None], starts)
    return overlaps.clamp(min=0) * (after / before)


def _nearest(before: int, after: int) -> Tensor:
    """(after,) indices of the pixels that PIL takes, which adds up its steps in double precision."""
    step = before / after
    return torch.from_numpy(np.cumsum([step / 2, *[step] * (after - 1)]).astype(np.int64))


def _resize_levels(pixels: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """By PIL itself, which rounds between rows and columns too: a network of 8-bit numbers notices a single level."""
    resampling = Image.Resampling[interpolation.upper()]
    bands = map(Image.fromarray, levels_of(pixels.detach()).cpu().flatten(0, 1).numpy())
    levels = np.stack([np.asarray(band.resize((size[1], size[0]), resampling)) for band in bands])
    return (torch.from_numpy(levels).view(*pixels.shape[:2], *size) / LEVELS).to(pixels)


@lru_cache(maxsize=64)
def _statistics(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """(C, 1, 1) each, kept on the device: the masking loop asks for them at every batch."""
    with torch.inference_mode(False):  # else gradients through a later call would be refused
        return (
            torch.tensor(mean, device=device, dtype=dtype).view(-1, 1, 1),
            torch.tensor(std, device=device, dtype=dtype).view(-1, 1, 1),
        )
