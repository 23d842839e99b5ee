"""Which part of an object a unit sees: its inside, its rim, or what is around it.

The rim is what lies within half a cell of the layer from the edge of the mask, on both sides, at least one pixel. A
unit sees a part to the degree that its area is denser there than on average in the pictures with the concept: its
pixels per pixel of the part, by its pixels per pixel of the picture. 1 is no preference, 0 never there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

PARTS = ("inside", "rim", "outside")


def parts_of(mask: NDArray[np.bool_], width: float) -> NDArray[np.bool_]:
    """(3, h, w) bool: the `PARTS` of a mask (h, w), which together are the picture, one each.

    Args:
        mask: True on the object.
        width: Pixels on either side of the edge that are the rim.
    """
    if not mask.any():
        return np.stack([mask, mask, ~mask])
    within = np.pad(mask, 1, mode="edge")  # the frame of the picture is no edge of the object
    depth = np.where(within, distance_transform_edt(within), distance_transform_edt(~within))[1:-1, 1:-1]
    rim = depth <= width if not mask.all() else np.zeros_like(mask)
    return np.stack([mask & ~rim, rim, ~mask & ~rim])


@dataclass
class PartCounts:
    """Pixels of units in the parts of each concept, over the pictures that have it.

    Attributes:
        units: (D, C, 3) pixels of the unit's areas.
        pixels: (C, 3) pixels of the parts.
    """

    units: Tensor
    pixels: Tensor

    @classmethod
    def empty(cls, units: int, concepts: int) -> PartCounts:
        """Nothing counted yet."""
        return cls(torch.zeros(units, concepts, 3, dtype=torch.float64), torch.zeros(concepts, 3, dtype=torch.float64))

    def add(self, areas: Tensor, active: Tensor, masks: NDArray[np.bool_], width: float) -> None:
        """Count one picture.

        Args:
            areas: (K, h, w) bool, of the units that have one.
            active: (K,) their numbers.
            masks: (C, h, w) bool.
            width: Of the rim, in pixels.
        """
        flat = areas.flatten(1).float()
        for concept, mask in enumerate(masks):
            if mask.any():
                parts = torch.from_numpy(parts_of(mask, width)).flatten(1).float()
                self.units[active, concept] += (flat @ parts.T).double()
                self.pixels[concept] += parts.sum(1).double()

    def density(self) -> Tensor:
        """(D, C, 3): how much denser the unit is in each part than in the whole; NaN where there is nothing of it."""
        whole = self.units.sum(2, keepdim=True) / self.pixels.sum(1)[:, None]
        return self.units / self.pixels / whole
