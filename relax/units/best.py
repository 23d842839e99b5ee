"""The pictures with the largest values of each of several units, kept while pictures stream by: memory stays flat."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(order=True)
class BestPicture:
    """A picture that is among the best of a unit.

    Attributes:
        value: Of the unit; the larger is the better.
        order: Minus the number of the picture, so that of equal values the earlier one is kept.
        map: (gh, gw) the value at each place.
    """

    value: float
    order: int
    map: Tensor = field(compare=False, repr=False)

    @property
    def number(self) -> int:
        """Of the picture."""
        return -self.order

    @property
    def cell(self) -> tuple[int, int]:
        """(row, column) of the largest value."""
        place = int(self.map.argmax())
        return place // self.map.shape[1], place % self.map.shape[1]


class Best:
    """The k best pictures of each unit so far, and what all pictures reach.

    Args:
        units: How many units.
        k: How many pictures of each.
    """

    def __init__(self, units: int, k: int) -> None:
        self.k = k
        self.heaps: list[list[BestPicture]] = [[] for _ in range(units)]
        self.count, self.total = 0, torch.zeros(units, dtype=torch.float64)

    def add(self, numbers: list[int], values: Tensor, maps: Tensor) -> None:
        """Add pictures.

        Args:
            numbers: (B) of the pictures, each once and ascending over all calls.
            values: (U, B) of each unit.
            maps: (U, B, gh, gw) at each place.
        """
        self.count += len(numbers)
        self.total += values.double().sum(1)
        for heap, row, places in zip(self.heaps, values, maps, strict=True):
            # Only those that may be kept are looked at one by one.
            for column in row.argsort(descending=True, stable=True)[: self.k].tolist():
                candidate = BestPicture(float(row[column]), -numbers[column], places[column].clone())
                if len(heap) < self.k:
                    heapq.heappush(heap, candidate)
                elif heap[0] < candidate:
                    heapq.heapreplace(heap, candidate)

    def of(self, unit: int) -> list[BestPicture]:
        """The best of a unit, the best first."""
        return sorted(self.heaps[unit], reverse=True)

    @property
    def mean(self) -> Tensor:
        """(U,) mean value over all pictures."""
        return self.total / max(self.count, 1)
