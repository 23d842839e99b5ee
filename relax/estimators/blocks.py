"""The standard error of masks that depend on each other inside blocks, which are independent of each other.

A standard error for independent masks has the right shape over the pixels, but the wrong level: designs are there to
make masks differ more, or repeat themselves less, than chance would. The sums over whole blocks show the level.

Source: replicated systematic samples, Cochran, "Sampling Techniques" (1977), section 8.11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from relax.estimators.moments import RelaxMoments, weighted_sums

LEAST_BLOCKS, SHORTEST = 4, 32  # blocks, and masks in one, to tell what a design saves in variance


class MasksInBlocks(Protocol):
    """Numbered random masks, such as those of `masking.RandomGrid`."""

    @property
    def block(self) -> int:
        """Number of consecutive masks that depend on each other; 1 if none does."""

    @property
    def image_size(self) -> tuple[int, ...]:
        """(H, W) of the masks."""

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`, (N, 1, H, W)."""


@dataclass
class BlockSums:
    """Sums of masks and of masks times scores over whole blocks.

    Attributes:
        length: Masks in a block; several short blocks count as one.
        products: (3, H, W) sums over the blocks of a^2, a b and b^2, with a = sum of m s and b = sum of m.
        open: (2, H, W) a and b of the block that is not whole yet.
        middle: Subtracted from every score s, so that the narrow band they lie in does not cancel.
        count: Masks so far.
    """

    length: int
    products: Tensor
    open: Tensor
    middle: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, size: tuple[int, ...], block: int, device: torch.device | str = "cpu") -> BlockSums:
        """No masks yet, of a design with blocks of `block` masks, a power of two."""
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        return cls(max(block, SHORTEST), zeros(3, *size), zeros(2, *size))

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in the scores (N,) float64 of the next masks (N, 1, H, W)."""
        if self.count == 0:
            self.middle = float(scores.mean())
        start = 0
        while start < len(scores):
            stop = min(start + self.length - self.count % self.length, len(scores))
            self._add(scores[start:stop] - self.middle, masks[start:stop].squeeze(1))
            start = stop

    def _add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in masks of one block."""
        self.open += weighted_sums(torch.stack([scores, scores**0]), masks)
        self.count += len(scores)
        if self.count % self.length == 0:
            a, b = self.open
            self.products += torch.stack([a * a, a * b, b * b])
            self.open.zero_()

    def level(self, moments: RelaxMoments) -> float:
        """How far apart the sums of blocks are, against what they would be if all masks were independent.

        A ratio of standard errors, over all pixels together; 1 where there are too few whole blocks to tell.

        Args:
            moments: Of the same scores and masks.
        """
        blocks = self.count // self.length
        if blocks < LEAST_BLOCKS:
            return 1.0
        mean = moments.plain.mean - self.middle
        of_blocks = self.products[0] - 2 * mean * self.products[1] + mean.square() * self.products[2]
        variance = float(of_blocks.sum()) * blocks / (blocks - 1) / (blocks * self.length)
        of_masks = float((moments.standard_error * moments.plain.weight).square().sum()) / moments.count
        return math.sqrt(max(variance, 0.0) / of_masks) if of_masks > 0 else 1.0


@dataclass
class BlockedMoments:
    """The plain averages, with an error that knows about the blocks."""

    moments: RelaxMoments
    blocks: BlockSums

    @classmethod
    def empty(cls, size: tuple[int, ...], block: int, device: torch.device | str = "cpu") -> BlockedMoments:
        """Moments of no masks at all, for an image of `size` (H, W) and blocks of `block` masks."""
        return cls(RelaxMoments.empty(size, device), BlockSums.of(size, block, device))

    @property
    def count(self) -> int:
        """Masks so far."""
        return self.moments.count

    @property
    def importance(self) -> Tensor:
        """(H, W) float64, as `RelaxMoments.importance`."""
        return self.moments.importance

    @property
    def uncertainty(self) -> Tensor:
        """(H, W) float64, as `RelaxMoments.uncertainty`."""
        return self.moments.uncertainty

    @property
    def standard_error(self) -> Tensor:
        """(H, W) float64: that of independent masks, brought to the level of the differences between blocks."""
        return self.moments.standard_error * self.blocks.level(self.moments)

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in the scores (N,) of the next masks (N, 1, H, W)."""
        self.moments.add(scores, masks)
        self.blocks.add(scores.double(), masks)

    def record(self) -> dict[str, Any]:
        """Which estimator it is."""
        return self.moments.record()


def averages(grid: MasksInBlocks, device: torch.device | str = "cpu") -> RelaxMoments | BlockedMoments:
    """Plain averages over random masks, with the error that its design asks for; no masks yet."""
    if grid.block == 1:
        return RelaxMoments.empty(grid.image_size, device)
    return BlockedMoments.empty(grid.image_size, grid.block, device)
