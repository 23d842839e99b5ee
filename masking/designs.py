"""Designs: how the random cells and shifts of many masks are drawn together.

Every design gives each single mask the same law, that of independent draws: cells are visible with the keep
probability, independently of each other and of the shift, which is uniform. What differs is how masks depend on each
other inside a block; blocks are independent. Averages over masks then vary less, and stay unbiased.

- independent: no dependence.
- antithetic: masks in pairs, the second showing what the first hides (Hammersley & Morton, 1956).
- orthogonal: a randomised orthogonal array of strength 3. Among any three cells all eight patterns are equally
  frequent in a block, so whatever depends on up to three cells at a time averages out exactly. The leading bits of
  the shifts are columns of the array like the cells: whatever depends on one of them and two cells averages out as
  well, and the shifts fill the unit square evenly. (Folded Hadamard array: Hedayat, Sloane & Stufken, "Orthogonal
  Arrays" (1999), theorem 7.5; its randomisation, and points inside its boxes: Owen, 1992; strata inside the boxes:
  Cochran, "Sampling Techniques" (1977), chapter 5.)
- sobol: Owen-scrambled Sobol points (Owen, 1995), one dimension per cell.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masking.source import BLOCK, block_words, random_rows
from masking.tables import DESIGNS

BITS = 3  # of each of the two shifts, that an orthogonal array balances together with the cells

Uniform = NDArray[np.float64]


class MaskDesign(Protocol):
    """How masks depend on each other."""

    def length(self, cells: int) -> int:
        """How many masks in a row depend on each other, with so many cells."""

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
        """As `draw`, below."""


def check_design(design: str) -> None:
    """Refuse the name of no design."""
    if design not in DESIGNS:
        raise ValueError(f"design must be one of {', '.join(DESIGNS)}; got {design!r}")


def block_length(design: str, cells: int) -> int:
    """How many masks in a row depend on each other, in a design with so many cells."""
    return _design(design).length(cells)


def draw(design: str, seed: int, start: int, stop: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
    """The random part of masks `start` to `stop - 1`, any stretch in any order.

    Args:
        design: A key of `DESIGNS`.
        seed: The only source of randomness.
        start: First mask.
        stop: One past the last mask.
        cells: Cells of one mask, G.
        keep: Chance that a cell is visible, in (0, 1).

    Returns:
        Cells (N, G) float32, 1 = visible; shifts (N, 2) float32 in [0, 1).
    """
    return _design(design).draw(seed, start, stop, cells, keep)


@cache
def _design(name: str) -> MaskDesign:
    design: MaskDesign = DESIGNS[name].load()()
    return design


class Independent:
    """No dependence."""

    def length(self, cells: int) -> int:
        """Each mask on its own."""
        return 1

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
        """One row of random numbers per mask."""
        rows = random_rows(seed, start, stop, cells + 2)
        return (rows[:, :-2] < keep).float(), rows[:, -2:]


class BlockDesign(ABC):
    """A design that draws whole blocks of masks, each from a generator of its own."""

    def length(self, cells: int) -> int:
        """All masks of a block depend on each other, unless a design knows better."""
        return self.drawn(cells)

    def drawn(self, cells: int) -> int:
        """How many masks are drawn at once."""
        return BLOCK

    @abstractmethod
    def block(self, cells: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """Uniform numbers (N, cells), a cell being visible where its number is below `keep`, and shifts (N, 2)."""

    def draw(self, seed: int, start: int, stop: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
        """The parts of the blocks that the stretch touches."""
        length = self.drawn(cells)
        visible: list[Tensor] = []
        shifts: list[Tensor] = []
        for block in range(start // length, -(-stop // length)):
            inside = slice(max(start - block * length, 0), stop - block * length)
            for parts, whole in zip((visible, shifts), _block(self, seed, block, cells, keep), strict=True):
                parts.append(whole[inside].float())
        return torch.cat(visible), torch.cat(shifts)


@lru_cache(maxsize=2)  # batches are often smaller than blocks, and control variates need the masks again
def _block(design: BlockDesign, seed: int, block: int, cells: int, keep: float) -> tuple[Tensor, Tensor]:
    """Visible cells (N, cells) bool and shifts (N, 2) float32 of all masks of a block."""
    uniform, shifts = design.block(cells, np.random.default_rng(block_words(seed, block, 0)))
    narrow = torch.from_numpy(shifts.astype(np.float32)).clamp_(max=1 - 2**-24)  # which may round up to 1
    return torch.from_numpy(uniform < keep), narrow


class Antithetic(BlockDesign):
    """Masks in pairs, the second showing what the first hides."""

    def length(self, cells: int) -> int:
        """A pair."""
        return 2

    def block(self, cells: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """128 pairs, each with one shift."""
        half = rng.random((BLOCK // 2, cells))
        shift = rng.random((BLOCK // 2, 2)).repeat(2, axis=0)
        return np.stack([half, 1 - half], 1).reshape(BLOCK, cells), shift


class Orthogonal(BlockDesign):
    """A randomised orthogonal array of strength 3 over the cells and the leading bits of the shifts."""

    def drawn(self, cells: int) -> int:
        """The array and its complement."""
        return 2 * _order(cells)

    def block(self, cells: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """The rows of the folded array, in random order."""
        order = _order(cells)
        bits = 1 << np.arange(2 * BITS)  # independent columns, so that a block meets every pattern of the shifts' bits
        columns = np.concatenate([rng.permutation(np.setdiff1d(np.arange(order), bits))[:cells], bits])
        # Sylvester's Hadamard matrix: the parity of the bits that row and column number have in common.
        signs = np.bitwise_count(np.arange(order)[:, None] & columns) & 1
        folded = np.concatenate([signs, 1 - signs]) ^ rng.integers(0, 2, len(columns), dtype=np.uint8)
        halves = folded[rng.permutation(2 * order)]
        uniform = (halves[:, :cells] + rng.random((2 * order, cells))) / 2
        return uniform, _inside(halves[:, cells:] @ (1 << np.arange(2 * BITS)), rng)


class Sobol(BlockDesign):
    """Owen-scrambled Sobol points, one dimension per cell."""

    def block(self, cells: int, rng: np.random.Generator) -> tuple[Uniform, Uniform]:
        """256 points."""
        from scipy.stats import qmc  # takes a second to load

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            points: Uniform = qmc.Sobol(cells + 2, scramble=True, seed=rng).random(BLOCK)
        return points[:, :-2], points[:, -2:]


def _inside(box: NDArray[np.int64], rng: np.random.Generator) -> Uniform:
    """(N, 2) points, each in its box (N,) of 2^BITS x 2^BITS in the unit square, spread evenly inside it."""
    side = 1 << BITS
    shifts = np.stack([box % side, box // side], 1).astype(np.float64)
    by_box = np.argsort(box, kind="stable")
    shifts[by_box] += np.concatenate([_stratified(len(box) // side**2, rng) for _ in range(side**2)])
    return shifts / side


def _stratified(count: int, rng: np.random.Generator) -> Uniform:
    """(count, 2) points in the unit square, one in each of `count` equal boxes, in random order; a power of two."""
    rows = 1 << (count.bit_length() - 1) // 2
    box = rng.permutation(count)
    corner = np.stack([box % rows, box // rows], 1)
    points: Uniform = (corner + rng.random((count, 2))) / np.array([rows, count // rows])
    return points


def _order(cells: int) -> int:
    """The smallest power of two that has a column for every cell and every leading bit of the shifts."""
    return 1 << max(2 * BITS, (cells + 2 * BITS - 1).bit_length())
