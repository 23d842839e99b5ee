"""How far the areas of units and the areas of concepts are the same, counted over a data set.

The area of a unit in a picture is where its activation map, enlarged bilinearly to the size of the concept masks,
exceeds the unit's level. IoU is that of all pictures together: pixels in both, added up, by pixels in either, added up.

With it the same number for masks that lie on the wrong pictures: each picture's areas against the masks of another
one, in `shuffles` orders of the pictures. What a unit overlaps with by chance, or because it prefers a place in the
frame where the concept often is, it overlaps with there as well.

Source: Network Dissection (Bau et al., CVPR 2017, equation 1). As in its authors' code, an area is what
exceeds the level, strictly, so that a unit which is 0 nearly everywhere has no area where it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

PIXELS = 1 << 24  # values of enlarged maps at a time: 64 MB


@dataclass
class Overlaps:
    """Pixels of units, of concepts and of both.

    Attributes:
        units: (D,) pixels in the areas of each unit, float64 as all counts here.
        concepts: (C,) pixels in the masks of each concept.
        both: (D, C) in both.
        shuffled: (S, D, C) in both, with the masks of other pictures.
    """

    units: Tensor
    concepts: Tensor
    both: Tensor
    shuffled: Tensor = field(default_factory=lambda: torch.zeros(0, 0, 0))

    @classmethod
    def empty(cls, units: int, concepts: int, shuffles: int = 0) -> Overlaps:
        """Nothing counted yet."""
        return cls(*(torch.zeros(*shape, dtype=torch.float64)
                     for shape in ((units,), (concepts,), (units, concepts), (shuffles, units, concepts))))  # fmt: skip

    def add(self, active: Tensor, areas: Tensor, masks: Tensor, others: Tensor | None = None) -> None:
        """Count one picture.

        Args:
            active: (K,) numbers of the units that have an area in it.
            areas: (K, h, w) bool, their areas.
            masks: (C, h, w) bool, True on the concept.
            others: (S, C, h, w) bool masks of other pictures.
        """
        inside = areas.flatten(1).float()
        against = masks[None] if others is None else torch.cat([masks[None], others])
        flat = against.flatten(2).flatten(0, 1)  # ((1 + S) * C, pixels)
        shared = torch.cat([inside @ part.float().T for part in flat.split(PIXELS // flat.shape[1] + 1)], 1)
        tables = shared.double().unflatten(1, against.shape[:2]).transpose(0, 1)  # (1 + S, K, C)
        self.units[active] += inside.sum(1).double()
        self.concepts += masks.flatten(1).double().sum(1)
        self.both[active] += tables[0]
        self.shuffled[:, active] += tables[1:]

    def iou(self) -> Tensor:
        """(D, C) in [0, 1]; 0 where there is neither unit nor concept."""
        return self._ratio(self.both)

    def shuffled_iou(self) -> Tensor:
        """(S, D, C) IoU with the masks of other pictures."""
        return self._ratio(self.shuffled)

    def _ratio(self, both: Tensor) -> Tensor:
        either = self.units[:, None] + self.concepts - both
        return torch.where(either > 0, both / either, 0.0)


def areas(maps: Tensor, levels: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where maps, enlarged bilinearly, exceed the levels of their units.

    Args:
        maps: (D, gh, gw) activations; cells lie at the centres of equal parts of the frame.
        levels: (D,).
        size: (h, w) of the areas.

    Returns:
        (K,) numbers of the units that exceed theirs in a cell, for no other one has an area, and (K, h, w) bool.
    """
    active = torch.nonzero(maps.flatten(1).amax(1).double() > levels)[:, 0]
    masks = torch.zeros(len(active), *size, dtype=torch.bool)
    step = max(1, PIXELS // (size[0] * size[1]))
    for start in range(0, len(active), step):
        chosen = active[start : start + step]
        enlarged = F.interpolate(maps[None, chosen].float(), size, mode="bilinear", align_corners=False)[0]
        masks[start : start + step] = enlarged.double() > levels[chosen, None, None]
    return active, masks
