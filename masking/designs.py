"""Designs: the joint distribution of the random cells and shifts of many masks.

Under every design each single mask has the same distribution: cells are visible with the keep probability,
independently of each other and of the shift, which is uniform. The designs differ in how masks of one block depend on
each other; blocks are independent. Dependence is
there to lower the variance of averages over masks; it leaves them unbiased.

- independent: no dependence.
- antithetic: masks in pairs, the second showing what the first hides (Hammersley & Morton, 1956).
- orthogonal: a randomised orthogonal array of strength 3. All eight patterns of any three cells are equally frequent
  in a block, so effects of up to three cells at a time average out exactly. The leading bits of the shifts are columns
  of the array like the cells: effects of one such bit and two cells average out as well, and the shifts fill the unit
  square, or cube, evenly. (Folded Hadamard array: Hedayat, Sloane & Stufken, "Orthogonal Arrays" (1999), theorem 7.5;
  its randomisation, and points inside its boxes: Owen, 1992; strata inside the boxes: Cochran, "Sampling Techniques"
  (1977), chapter 5.)
- sobol: Owen-scrambled Sobol points (Owen, 1995), one dimension per cell.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masking.source import BLOCK, block_words, random_rows
from masking.tables import DESIGNS

BITS = 6  # leading bits of all shifts that an orthogonal array balances together with the cells

Uniform = NDArray[np.float64]


class MaskDesign(Protocol):
    """The joint distribution of many masks."""

    def length(self, cells: int, axes: int) -> int:
        """Number of consecutive masks of `cells` cells, shifted along so many axes, that depend on each other."""

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float, axes: int) -> tuple[Tensor, Tensor]:
        """As the function `draw`, without the name."""


def check_design(design: str) -> None:
    """Refuse an unknown design."""
    if design not in DESIGNS:
        raise ValueError(f"design must be one of {', '.join(DESIGNS)}; got {design!r}")


def block_length(design: str, cells: int, axes: int = 2) -> int:
    """Number of consecutive masks that depend on each other, in a design with so many cells and axes."""
    return _design(design).length(cells, axes)


def draw(
    design: str, seed: int, start: int, stop: int, cells: int, keep: float, axes: int = 2
) -> tuple[Tensor, Tensor]:
    """The random part of masks `start` to `stop - 1`; ranges may be drawn in any order.

    Args:
        design: A key of `DESIGNS`.
        seed: The only source of randomness.
        start: Number of the first mask.
        stop: One past the number of the last mask.
        cells: Cells per mask, G.
        keep: Probability that a cell is visible, in (0, 1).
        axes: Of the shifts: 2 for pictures, 3 for volumes.

    Returns:
        Cells (N, G) float32, 1 = visible; shifts (N, axes) float32 in [0, 1).
    """
    return _design(design).draw(seed, start, stop, cells, keep, axes)


@cache
def _design(name: str) -> MaskDesign:
    design: MaskDesign = DESIGNS[name].load()()
    return design


class Independent:
    """Independent masks."""

    def length(self, cells: int, axes: int) -> int:
        """1: no mask depends on another."""
        return 1

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float, axes: int) -> tuple[Tensor, Tensor]:
        """One row of random numbers per mask."""
        rows = random_rows(seed, start, stop, cells + axes)
        return (rows[:, :-axes] < keep).float(), rows[:, -axes:]


class BlockDesign(ABC):
    """A design that draws whole blocks of masks, each with its own generator."""

    def length(self, cells: int, axes: int) -> int:
        """All masks of a block, unless a subclass has shorter runs."""
        return self.block_size(cells, axes)

    def block_size(self, cells: int, axes: int) -> int:
        """Number of masks drawn at once."""
        return BLOCK

    @abstractmethod
    def block(self, cells: int, axes: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """Uniform numbers (N, cells), below `keep` where a cell is visible, and shifts (N, axes)."""

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float, axes: int) -> tuple[Tensor, Tensor]:
        """The blocks that overlap the range, cut to it."""
        length = self.block_size(cells, axes)
        visible: list[Tensor] = []
        shifts: list[Tensor] = []
        for block in range(start // length, -(-stop // length)):
            inside = slice(max(start - block * length, 0), stop - block * length)
            for parts, values in zip((visible, shifts), _block(self, seed, block, cells, keep, axes), strict=True):
                parts.append(values[inside].float())
        return torch.cat(visible), torch.cat(shifts)


@lru_cache(maxsize=2)  # batches are often smaller than blocks, and control variates draw the same masks twice
def _block(design: BlockDesign, seed: int, block: int, cells: int, keep: float, axes: int) -> tuple[Tensor, Tensor]:
    """Visible cells (N, cells) bool and shifts (N, axes) float32 of all masks of a block."""
    uniform, shifts = design.block(cells, axes, np.random.default_rng(block_words(seed, block, 0)))
    rounded = torch.from_numpy(shifts.astype(np.float32)).clamp_(max=1 - 2**-24)  # float32 may round up to 1
    return torch.from_numpy(uniform < keep), rounded


class Antithetic(BlockDesign):
    """Masks in pairs, the second showing what the first hides."""

    def length(self, cells: int, axes: int) -> int:
        """2: masks depend on each other within a pair."""
        return 2

    def block(self, cells: int, axes: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """128 pairs, each sharing one shift."""
        half = rng.random((BLOCK // 2, cells))
        shift = rng.random((BLOCK // 2, axes)).repeat(2, axis=0)
        return np.stack([half, 1 - half], 1).reshape(BLOCK, cells), shift


class Orthogonal(BlockDesign):
    """A randomised orthogonal array of strength 3 over the cells and the leading bits of the shifts."""

    def block_size(self, cells: int, axes: int) -> int:
        """Rows of the array and of its complement."""
        return 2 * _order(cells)

    def block(self, cells: int, axes: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """The rows of the folded array, in random order."""
        order = _order(cells)
        bits = 1 << np.arange(BITS)  # independent columns: a block has every pattern of the shifts' bits
        columns = np.concatenate([rng.permutation(np.setdiff1d(np.arange(order), bits))[:cells], bits])
        # Sylvester's Hadamard matrix: the parity of the bits that the row and column numbers share.
        signs = np.bitwise_count(np.arange(order)[:, None] & columns) & 1
        folded = np.concatenate([signs, 1 - signs]) ^ rng.integers(0, 2, len(columns), dtype=np.uint8)
        rows = folded[rng.permutation(2 * order)]
        uniform = (rows[:, :cells] + rng.random((2 * order, cells))) / 2
        return uniform, _points_in(rows[:, cells:] @ bits, axes, rng)


class Sobol(BlockDesign):
    """Owen-scrambled Sobol points, one dimension per cell."""

    def block(self, cells: int, axes: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """256 points."""
        from scipy.stats import qmc  # here, because importing it takes a second

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            points: Uniform = qmc.Sobol(cells + axes, scramble=True, seed=rng).random(BLOCK)
        return points[:, :-axes], points[:, -axes:]


def _points_in(box: NDArray[np.int64], axes: int, rng: np.random.Generator) -> Uniform:
    """(N, axes) points in the unit cube, evenly spread inside the boxes (N,), of which there are 2^BITS."""
    side = 1 << BITS // axes
    shifts = _places(box, [side] * axes).astype(np.float64)
    by_box = np.argsort(box, kind="stable")
    shifts[by_box] += np.concatenate([_stratified(len(box) // side**axes, axes, rng) for _ in range(side**axes)])
    return shifts / side


def _stratified(count: int, axes: int, rng: np.random.Generator) -> Uniform:
    """(count, axes) points in the unit cube, one in each of `count` (a power of two) equal boxes, in random order."""
    sides: list[int] = []
    for axis in range(axes):
        bits = (count // math.prod(sides)).bit_length() - 1
        sides.append(1 << bits // (axes - axis))
    corner = _places(rng.permutation(count), sides)
    points: Uniform = (corner + rng.random((count, axes))) / np.array(sides)
    return points


def _places(number: NDArray[np.int64], sides: Sequence[int]) -> NDArray[np.int64]:
    """(N, axes) places of boxes that are numbered along the first axis first, of so many along each axis."""
    return np.stack(np.unravel_index(number, sides, order="F"), 1)


def _order(cells: int) -> int:
    """The smallest power of two with a column for every cell and every leading bit of the shifts."""
    return 1 << max(BITS, (cells + BITS - 1).bit_length())
