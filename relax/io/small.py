"""Small versions of pictures, for display and for measures that need no detail."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from relax.io.images import ImageSource, read_image


def shrunk(pixels: Tensor, longest: int) -> Tensor:
    """(1, C, H, W) reduced so that its longer side has at most `longest` px."""
    height, width = pixels.shape[-2:]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = [max(2, round(side * scale)) for side in (height, width)]
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def small_picture(source: ImageSource, longest: int) -> NDArray[np.uint8]:
    """(h, w, 3) a small version of an image, in colour.

    Raises:
        ImageError: If it cannot be read.
    """
    pixels = shrunk(read_image(source, channels=3), longest)[0]
    return (pixels * 255).round().byte().permute(1, 2, 0).numpy()
