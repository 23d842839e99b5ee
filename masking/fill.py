"""Fills, which replace hidden pixels, and the blend of an image with its fill.

A fill is itself an image: (1, C, H, W) in [0, 1]. An image whose every pixel is hidden equals its fill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from masking.checks import check_seed
from masking.source import random_rows
from masking.tables import FILLS

BLUR_SHARE = 1 / 16  # standard deviation of the blur, as a share of the shorter side


@dataclass(frozen=True)
class FillRequest:
    """The inputs of a fill; each fill uses those it needs.

    Attributes:
        image: (1, C, H, W) in [0, 1], the image to hide.
        mean: The encoder's mean pixel, one value per channel; None if it has none.
        seed: The only source of randomness.
    """

    image: Tensor
    mean: Sequence[float] | None = None
    seed: int = 0


def blend(image: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    """Show the image where a mask is 1, the fill where it is 0, and a linear mixture in between.

    Args:
        image: (1, C, H, W) in [0, 1].
        masks: (N, 1, H, W) in [0, 1].
        fill: (1, C, H, W) or (1, C, 1, 1) in [0, 1].

    Returns:
        (N, C, H, W) in [0, 1]. All may have a depth before H.
    """
    return torch.addcmul(fill, masks, image - fill)


def make_fill(
    fill: str | float | Sequence[float] | Tensor,
    image: Tensor,
    *,
    mean: Sequence[float] | None = None,
    seed: int = 0,
) -> Tensor:
    """Compute the pixels of a fill.

    Args:
        fill: A key of `FILLS`, a grey value, one value per channel, or another image (1, C, H, W) of the image's size;
            values in [0, 1].
        image: (1, C, H, W) in [0, 1], the image to hide.
        mean: The encoder's mean pixel, one value per channel; None if it has none.
        seed: Same seed, same noise.

    Returns:
        (1, C, 1, 1) for a colour, otherwise (1, C, H, W); float32 in [0, 1], on the image's device.

    Raises:
        ValueError: If the fill is unknown, has another size, or lies outside [0, 1].
    """
    if isinstance(fill, str):
        if fill not in FILLS:
            raise ValueError(f"fill must be {', '.join(FILLS)}, a value or colour in [0, 1], or an image; got {fill!r}")
        pixels: Tensor = FILLS[fill].load()(FillRequest(image, mean, seed))
        return pixels
    if isinstance(fill, Tensor) and fill.ndim >= 2:
        return _image(fill, image)
    values = fill.tolist() if isinstance(fill, Tensor) else fill
    return _colour([values] if isinstance(values, int | float) else list(values), image)


def mean_pixel(request: FillRequest) -> Tensor:
    """(1, C, 1, 1): the encoder's mean pixel, black if it has none."""
    return _colour(request.mean or (0.0,), request.image)


def blurred(request: FillRequest) -> Tensor:
    """(1, C, H, W), or (1, C, D, H, W): the image after a Gaussian blur, along all its axes."""
    from torchvision.transforms.v2 import functional as V  # takes longer to import than torch and all masks of a map

    sides = request.image.shape[2:]
    sigma = max(min(sides) * BLUR_SHARE, 0.5)
    # Three standard deviations to each side, but no further than reflection at the border allows.
    *depth, rows, columns = (2 * min(round(3 * sigma), side - 1) + 1 for side in sides)
    if depth:  # each plane is a channel; then each row of planes
        planes = V.gaussian_blur(request.image.flatten(0, 1), [columns, rows], [sigma, sigma]).transpose(1, 2)
        volume: Tensor = V.gaussian_blur(planes, [1, *depth], [sigma, sigma]).transpose(1, 2)
        return volume.view(request.image.shape).clamp(0, 1)
    pixels: Tensor = V.gaussian_blur(request.image, [columns, rows], [sigma, sigma])
    return pixels.clamp(0, 1)


def noise(request: FillRequest) -> Tensor:
    """(1, C, H, W): uniform noise in [0, 1)."""
    check_seed(request.seed)
    *sides, width = request.image.shape[1:]
    values = random_rows(request.seed, 0, math.prod(sides), width, stream=1)
    return values.view(request.image.shape).to(request.image.device)


def _colour(values: Sequence[float], image: Tensor) -> Tensor:
    channels = image.shape[1]
    if len(values) not in (1, channels):
        raise ValueError(f"fill must have one value or one per channel, here {channels}; got {len(values)}")
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"fill must lie in [0, 1], as the image's pixels do; got {list(values)}")
    return (
        torch.tensor(values, dtype=torch.float32, device=image.device)
        .expand(channels)
        .view(1, -1, *[1] * (image.ndim - 2))
    )


def _image(fill: Tensor, image: Tensor) -> Tensor:
    if fill.shape != image.shape:
        raise ValueError(f"fill must be an image of the shape {tuple(image.shape)}; got {tuple(fill.shape)}")
    if not (fill.min() >= 0 and fill.max() <= 1):
        raise ValueError(f"fill must lie in [0, 1]; got values from {fill.min():g} to {fill.max():g}")
    return fill.float().to(image.device)
