"""The level that a unit exceeds in a given share of all cells of all pictures, exact, from its largest values only.

For a share of 0.005 only 0.5 % of the values are kept, so a whole data set fits into memory, and no second pass is
needed. The level equals `numpy.quantile(values, 1 - share)` of all values of the unit together.

Source: the threshold T_k of Network Dissection (Bau et al., CVPR 2017, section 2.2), P(a_k > T_k) = 0.005.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class LargestValues:
    """The largest values of every unit, batch by batch.

    Args:
        units: D.
        total: Values of each unit that will come, over all pictures, or more.
        share: Of them that shall exceed the level, in (0, 1).
    """

    def __init__(self, units: int, total: int, share: float) -> None:
        self.total, self.share, self.seen = total, share, 0
        self.kept = self._above(total)  # which grows with the number of values, so that it is enough for fewer
        self._largest = torch.empty(units, 0)

    def add(self, values: Tensor) -> None:
        """Take in further values (D, n)."""
        self.seen += values.shape[1]
        both = torch.cat([self._largest, values.float().cpu()], 1)
        self._largest = both.topk(min(self.kept, both.shape[1]), dim=1).values

    def levels(self) -> Tensor:
        """(D,) float64: the level of each unit, between two of its values where the share falls between them.

        Raises:
            RuntimeError: If none came, or more than announced.
        """
        if not 0 < self.seen <= self.total:
            raise RuntimeError(f"levels need 1 to {self.total} values of a unit; got {self.seen}")
        place = (self.seen - 1) * (1 - self.share)  # of the level among the sorted values, from 0, as numpy counts
        needed = self._above(self.seen)
        highest = self._largest.double()  # falling
        below, above = highest[:, needed - 1], highest[:, max(needed - 2, 0)]
        return below + (above - below) * (place - math.floor(place))

    def _above(self, count: int) -> int:
        """How many values, of so many, are at the place of the level or above."""
        return count - math.floor((count - 1) * (1 - self.share))
