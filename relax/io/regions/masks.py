"""Masks of pictures from files: (H, W) values of which 0 is outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relax.io.errors import ImageError, decoding_errors
from relax.io.images import read_image
from relax.io.raster.opening import formats

LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".heic", ".heif", ".hif")
"""Endings of formats whose zeros are not exact: half of white parts inside from outside."""


def mask_values(path: str | Path) -> NDArray[np.float32]:
    """(H, W) in [0, 1] the grey values of a mask file, as it is shown.

    Raises:
        ImageError: If it is no picture, or transparent, so that inside is unclear.
    """
    values: NDArray[np.float32] = read_image(path, channels=1)[0, 0].numpy()
    with decoding_errors(), Image.open(path, formats=formats()) as opened:
        see_through = "A" in opened.getbands() or "transparency" in opened.info
    if see_through:
        raise ImageError("a mask must not be transparent, or inside is unclear: save it in black and white")
    return values


def is_lossy(path: str | Path) -> bool:
    """Whether a file is of a format in `LOSSY`."""
    return Path(path).suffix.lower() in LOSSY
