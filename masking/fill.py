"""What hidden pixels show instead, and how an image and its fill are blended.

A fill is itself an image: (1, C, H, W) in [0, 1]. Hiding every pixel of an image is showing its fill.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from masking.source import check_seed, random_rows

FILLS = ("mean", "blur", "noise")
BLUR_SHARE = 1 / 16  # standard deviation of the blur, as a share of the shorter side


def blend(image: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    """Show the image where a mask is 1, the fill where it is 0, and their mixture between.

    Args:
        image: (1, C, H, W) in [0, 1].
        masks: (N, 1, H, W) in [0, 1].
        fill: (1, C, H, W) or (1, C, 1, 1) in [0, 1].

    Returns:
        (N, C, H, W) in [0, 1].
    """
    return torch.addcmul(fill, masks, image - fill)


def make_fill(
    fill: str | float | Sequence[float] | Tensor,
    image: Tensor,
    *,
    mean: Sequence[float] | None = None,
    seed: int = 0,
) -> Tensor:
    """Turn the caller's wish into pixels.

    Args:
        fill: "mean" (the encoder's mean pixel, black for an encoder without one), "blur" (the image,
            blurred by 1/16 of its shorter side), "noise" (uniform), a grey value, one value per
            channel, or another image (1, C, H, W) of the image's size; values in [0, 1].
        image: (1, C, H, W) in [0, 1], the image to hide.
        mean: The encoder's mean pixel, one value per channel; None if it has none.
        seed: For "noise": same seed, same noise.

    Returns:
        (1, C, 1, 1) for a colour, otherwise (1, C, H, W); float32 in [0, 1], on the image's device.

    Raises:
        ValueError: If the fill is unknown, of another size, or not in [0, 1].
    """
    channels, height, width = image.shape[1:]
    if isinstance(fill, str):
        if fill == "mean":
            return _colour(mean or (0.0,), image)
        if fill == "blur":
            return _blur(image)
        if fill == "noise":
            check_seed(seed)
            noise = random_rows(seed, 0, channels * height, width, stream=1)
            return noise.view(1, channels, height, width).to(image.device)
        raise ValueError(f"fill must be {', '.join(FILLS)}, a value or colour in [0, 1], or an image; got {fill!r}")
    if isinstance(fill, Tensor) and fill.ndim >= 2:
        return _picture(fill, image)
    values = fill.tolist() if isinstance(fill, Tensor) else fill
    return _colour([values] if isinstance(values, int | float) else list(values), image)


def _colour(values: Sequence[float], image: Tensor) -> Tensor:
    channels = image.shape[1]
    if len(values) not in (1, channels):
        raise ValueError(f"fill must have one value or one per channel, here {channels}; got {len(values)}")
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"fill must lie in [0, 1], as the image's pixels do; got {list(values)}")
    return torch.tensor(values, dtype=torch.float32, device=image.device).expand(channels).view(1, -1, 1, 1)


def _picture(fill: Tensor, image: Tensor) -> Tensor:
    if fill.shape != image.shape:
        raise ValueError(f"fill must be an image of the shape {tuple(image.shape)}; got {tuple(fill.shape)}")
    if not (fill.min() >= 0 and fill.max() <= 1):
        raise ValueError(f"fill must lie in [0, 1]; got values from {fill.min():g} to {fill.max():g}")
    return fill.float().to(image.device)


def _blur(image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    sigma = max(min(height, width) * BLUR_SHARE, 0.5)
    # Three standard deviations each way, but no further than mirroring at the border can reach.
    rows, columns = (2 * min(round(3 * sigma), side - 1) + 1 for side in (height, width))
    blurred: Tensor = V.gaussian_blur(image, [columns, rows], [sigma, sigma])
    return blurred.clamp(0, 1)
