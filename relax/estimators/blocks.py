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
        blocks: Whole blocks so far.
        begun: Masks in the one that is not whole yet.
    """

    length: int
    products: Tensor
    open: Tensor
    middle: float = 0.0
    blocks: int = 0
    begun: int = 0

    @classmethod
    def of(cls, size: tuple[int, ...], block: int, device: torch.device | str = "cpu") -> BlockSums:
        """No masks yet, of a design with blocks of `block` masks, a power of two."""
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        return cls(max(block, SHORTEST), zeros(3, *size), zeros(2, *size))

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in the scores (N,) float64 of the next masks (N, 1, H, W)."""
        if self.blocks == self.begun == 0:
            self.middle = float(scores.mean())
        start = 0
        while start < len(scores):
            stop = min(start + self.length - self.begun, len(scores))
            self._add(scores[start:stop] - self.middle, masks[start:stop].squeeze(1))
            start = stop

    def _add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in masks of one block."""
        self.open += weighted_sums(torch.stack([scores, scores**0]), masks)
        self.begun += len(scores)
        if self.begun == self.length:
            a, b = self.open
            self.products += torch.stack([a * a, a * b, b * b])
            self.open.zero_()
            self.blocks, self.begun = self.blocks + 1, 0

    def shift(self, by: Tensor | float) -> None:
        """Add a number, or a map (H, W), to every score."""
        aa, ab, bb = self.products
        self.products = torch.stack([aa + by * (2 * ab + by * bb), ab + by * bb, bb])
        self.open[0] += by * self.open[1]

    def merge(self, other: BlockSums) -> None:
        """Take in the whole blocks of others; `other` is used up."""
        if self.blocks == self.begun == 0:
            self.middle = other.middle
        other.shift(other.middle - self.middle)
        self.products += other.products
        self.blocks += other.blocks

    def level(self, moments: RelaxMoments) -> float:
        """How far apart the sums of blocks are, against what they would be if all masks were independent.

        A ratio of standard errors, over all pixels together; 1 where there are too few whole blocks to tell. B blocks
        tell it with an error of their own, for which it is sqrt(B / (B - 1)) larger: that widens intervals of 1.96
        standard errors to those of Student's t with 3 (B - 1) degrees of freedom.

        Args:
            moments: Of the same scores and masks.
        """
        if self.blocks < LEAST_BLOCKS:
            return 1.0
        mean = moments.plain.mean - self.middle
        of_blocks = self.products[0] - 2 * mean * self.products[1] + mean.square() * self.products[2]
        variance = float(of_blocks.sum()) * self.blocks / (self.blocks - 1) ** 2 / self.length
        of_masks = float((moments.standard_error * moments.plain.weight).square().sum()) / moments.count
        return math.sqrt(max(variance, 0.0) / of_masks) if of_masks > 0 else 1.0


@dataclass
class BlockedMoments:
    """The plain averages, with an error that knows about the blocks; without blocks where masks are independent."""

    moments: RelaxMoments
    blocks: BlockSums | None

    @classmethod
    def empty(cls, size: tuple[int, ...], block: int, device: torch.device | str = "cpu") -> BlockedMoments:
        """Moments of no masks at all, for an image of `size` (H, W) and blocks of `block` masks."""
        return cls(RelaxMoments.empty(size, device), None if block == 1 else BlockSums.of(size, block, device))

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
        level = 1.0 if self.blocks is None else self.blocks.level(self.moments)
        return self.moments.standard_error * level

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in the scores (N,) of the next masks (N, 1, H, W)."""
        self.moments.add(scores, masks)
        if self.blocks is not None:
            self.blocks.add(scores.double(), masks)

    def merge(self, other: BlockedMoments) -> None:
        """Take in the moments of other masks of the same image and design; `other` is used up."""
        self.moments.merge(other.moments)
        if self.blocks is not None and other.blocks is not None:
            self.blocks.merge(other.blocks)

    def shift(self, by: Tensor) -> None:
        """Add a map (H, W) to every score, as it counts for each pixel."""
        self.moments.shift(by)
        if self.blocks is not None:
            self.blocks.shift(by)

    def record(self) -> dict[str, Any]:
        """Which estimator it is."""
        return self.moments.record()


def averages(grid: MasksInBlocks, device: torch.device | str = "cpu") -> BlockedMoments:
    """Plain averages over random masks, with the error that its design asks for; no masks yet."""
    return BlockedMoments.empty(grid.image_size, grid.block, device)
