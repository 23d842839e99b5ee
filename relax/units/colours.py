"""Pictures of any number of channels as they are shown, in colour."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def as_colour(pixels: Tensor) -> Tensor:
    """(N, 3, h, w) of pictures (N, C, h, w): grey ones repeated, colour as it is, of others the mean."""
    channels = pixels.shape[1]
    if channels == 3:
        return pixels
    return (pixels if channels == 1 else pixels.mean(1, keepdim=True)).expand(-1, 3, -1, -1).contiguous()


def of_size(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) squeezed to another size, in [0, 1]."""
    if tuple(pixels.shape[-2:]) == size:
        return pixels
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) of values at cells (N, gh, gw), bilinear."""
    with torch.no_grad():
        return F.interpolate(values[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
