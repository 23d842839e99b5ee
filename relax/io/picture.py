"""One picture out of a medical file: its pixels, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Window: TypeAlias = int | tuple[float, float]
"""Number of a window stored in the file, from 1, or (centre, width) in the unit of the values."""

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Planes of the body, by the axis of a canonical (right, anterior, superior) volume on which their number counts."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        pixels: (H, W, C) float32 in [0, 1]; C is 1 (grey), 3 (RGB) or 4 (RGB and alpha).
        how: Which part of the file it is and how stored values became pixels, as JSON types; no identifiers.
    """

    pixels: NDArray[np.float32]
    how: dict[str, Any]
