"""A picture from a medical file: its pixels, and a record of how they were obtained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Window: TypeAlias = int | tuple[float, float]
"""Number of a window stored in the file, from 1, or (centre, width) in the unit of the values."""

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis of a canonical (right, anterior, superior) volume along which slices of each plane are numbered."""


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        pixels: (H, W, C) float32 in [0, 1]; C is 1 (grey), 3 (RGB) or 4 (RGB and alpha).
        how: Record, as JSON types, of the part of the file and of the conversion from stored values to pixels; no
            identifiers.
    """

    pixels: NDArray[np.float32]
    how: dict[str, Any]


@dataclass(frozen=True)
class Voxels:
    """A volume for an encoder of volumes.

    Attributes:
        name: Of its source.
        pixels: (1, C, D, H, W) float32 in [0, 1].
        how: Record, as for a `Picture`.
    """

    name: str
    pixels: Tensor
    how: dict[str, Any]
