"""Functions of random-grid masks whose averages are known exactly: the control variates of the maps.

If a score were a sum of effects of single regions and of pairs of neighbours, its map would have a closed form.
The scores of real encoders are nearly such sums, so that only a small remainder has to be averaged over masks.

With cells of mean p, independent and centred to d = cell - p, and a pixel's mask m = p + sum(h d), where h are the
hat functions at a shift: the features are f = sum(a d), the mean of the centred mask over each of cells x cells
regions, and the products f f' of a region with itself and its neighbours, minus their mean. Since the d are independent
with variance v = p (1 - p) and third moment v (1 - 2 p),

    E[m f] / p                = (1 - p) E[sum(h a)]
    E[m (f f' - E f f')] / p  = (1 - p) (1 - 2 p) E[sum(h a a')]

where the expectations on the right are over the shift alone. They are products of one factor per axis, computed by
the midpoint rule.

Source: control variates, Hammersley & Handscomb, "Monte Carlo Methods" (1964), section 5.5; formulas derived here.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from masking.grid import RandomGrid

SHIFTS = 256  # points of the midpoint rule over one cell
LATTICE = 16  # shifts along each axis, where averages are estimated
MAX_CELLS_WITH_PAIRS = 16  # cells along a side
NEIGHBOURS = (
    (0, 0),
    (0, 1),
    (1, 0),
    (1, 1),
    (1, -1),
)  # (down, right) from a region to its partner in a product: itself, right, below, two diagonals


class GridSurrogate:
    """Features of the masks of a random grid, and their averages over all possible masks.

    With more than 16 cells along a side the products are left out, since they would outnumber the masks.

    Args:
        grid: The masks, with at most 36 cells along a side.
        device: Device of the features and maps, which are float64.
    """

    def __init__(self, grid: RandomGrid, device: torch.device | str = "cpu") -> None:
        self.grid, self.device = grid, torch.device(device)
        self.spread = grid.keep * (1 - grid.keep)  # v, the variance of a cell
        self.skew = (1 - grid.keep) * (1 - 2 * grid.keep)
        pairs = torch.tensor(_pairs(grid.cells), dtype=torch.long, device=self.device).view(-1, 2)
        self.first, self.second = pairs[:, 0], pairs[:, 1]
        self.linear = grid.cells**2  # number of single-region features, which come first, row by row
        self.axes = tuple(_axis(pixels, grid.cells) for pixels in grid.image_size)
        self.pixel = tuple(axis.pixel.to(self.device) for axis in self.axes)
        self.pairs = tuple(axis.pairs.to(self.device) for axis in self.axes)
        down = self.pairs[0][self.first // grid.cells, self.second // grid.cells]
        right = self.pairs[1][self.first % grid.cells, self.second % grid.cells]
        self.mean_of_products = self.spread * down * right

    def features(self, start: int, stop: int) -> Tensor:
        """(N, features) of masks `start` to `stop - 1`: regions, then products of neighbours, each with mean zero."""
        cells, shifts = (values.to(self.device).double() for values in self.grid.draw(start, stop))
        rows, columns = (self._regions(axis, shifts[:, axis]) for axis in (0, 1))
        return self._features(rows @ (cells - self.grid.keep) @ columns.mT)

    def _features(self, table: Tensor) -> Tensor:
        """(N, features) from the centred mean visibility of the regions, (N, cells, cells)."""
        regions = table.flatten(1)
        return torch.cat([regions, regions[:, self.first] * regions[:, self.second] - self.mean_of_products], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """The exact mask-weighted mean, E[m g] / E[m], of g = features @ weights: (features,) to (H, W)."""
        cells = self.grid.cells
        single = weights[: self.linear].view(cells, cells)
        result: Tensor = (1 - self.grid.keep) * (self.pixel[0] @ single @ self.pixel[1].mT)
        if self.skew:
            pairs = torch.zeros(self.linear, self.linear, dtype=torch.float64, device=self.device)
            pairs[self.first, self.second] = weights[self.linear :]
            result = result + self._of_pairs(pairs)
        return result

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """The mask-weighted mean, E[m g^2] / E[m], of the square of g = features @ weights, over several fits.

        Exact for the single regions. The contribution of the products is averaged over further masks, which no encoder
        sees and whose shifts lie on a lattice, so that the maps cost next to nothing.

        Args:
            weights: (fits, features).
            shares: (fits,) weights of the fits, summing to 1.
            masks: Approximate number of masks to average over.

        Returns:
            (H, W).
        """
        single = weights[:, : self.linear]
        tables = single.view(-1, self.grid.cells, self.grid.cells)
        means = self.spread * (tables * (self.pairs[0] @ tables @ self.pairs[1])).sum((1, 2))
        result = (means @ shares).expand(self.grid.image_size)
        if self.skew:
            result = result + self._of_pairs(single.mT @ (shares[:, None] * single))
        if not weights[:, self.linear :].any():
            return result
        return result + self._contribution_of_products(weights, shares, -(-masks // LATTICE**2))

    def _contribution_of_products(self, weights: Tensor, shares: Tensor, patterns: int) -> Tensor:
        """(H, W): mask-weighted mean of g^2 minus that of its single-region part squared; `patterns` per shift."""
        grid, linear, points = self.grid, self.linear, self.grid.points
        steps = (torch.arange(LATTICE, device=self.device).double() + 0.5) / LATTICE
        rows, columns = (grid.hats(grid.positions(pixels, steps)).double() for pixels in grid.image_size)
        down, right = (_regions(hats, grid.cells) for hats in (rows, columns))
        generator = torch.Generator().manual_seed(grid.seed)
        result = torch.zeros(grid.image_size, dtype=torch.float64, device=self.device)
        for hats, regions in zip(rows, down, strict=True):
            uniform = torch.rand(patterns, LATTICE, points, points, generator=generator, dtype=torch.float64)
            cells = (uniform < grid.keep).double().to(self.device)
            features = self._features((regions @ (cells - grid.keep) @ right.mT).flatten(0, 1))
            total, single = features @ weights.mT, features[:, :linear] @ weights[:, :linear].mT
            difference = ((total.square() - single.square()) @ shares).view(patterns, LATTICE)
            weighted = torch.einsum("ns,nsij->sij", difference, cells) / (patterns * grid.keep)
            result += (hats @ weighted @ columns.mT).sum(0)
        return result / LATTICE**2

    def _of_pairs(self, weights: Tensor) -> Tensor:
        """Mask-weighted mean of sum(weights f f') minus its mean: (regions, regions) to (H, W)."""
        cells = self.grid.cells
        rows, columns = (axis.pixel_and_pairs.to(self.device) for axis in self.axes)
        table = weights.view(cells, cells, cells, cells)
        result: Tensor = self.skew * torch.einsum("yac,xbd,abcd->yx", rows, columns, table)
        return result

    def _regions(self, axis: int, shifts: Tensor) -> Tensor:
        """(N, cells, points): the weight of each grid point in each region, along one axis."""
        hats = self.grid.hats(self.grid.positions(self.grid.image_size[axis], shifts))
        return _regions(hats, self.grid.cells)


class _Axis:
    """Averages over the shifts along one axis, of `pixels` pixels and `cells` regions."""

    def __init__(self, pixels: int, cells: int) -> None:
        grid = RandomGrid((pixels, pixels), cells)
        shifts = (torch.arange(SHIFTS, dtype=torch.float64) + 0.5) / SHIFTS
        self._hats = grid.hats(grid.positions(pixels, shifts))
        self._regions = _regions(self._hats, cells)
        self.pixel = torch.einsum("uyp,uap->ya", self._hats, self._regions) / SHIFTS  # (pixels, cells) of sum(h a)
        self.pairs = torch.einsum("uap,ubp->ab", self._regions, self._regions) / SHIFTS  # (cells, cells) of sum(a a')

    @cached_property
    def pixel_and_pairs(self) -> Tensor:
        """(pixels, cells, cells) of sum(h a a')."""
        return torch.einsum("uyp,uap,ucp->yac", self._hats, self._regions, self._regions) / SHIFTS


_axis = lru_cache(maxsize=8)(_Axis)  # most images of a run share a size


def _regions(hats: Tensor, cells: int) -> Tensor:
    """(N, pixels, points) to (N, cells, points): means over the pixels of each region."""
    return F.adaptive_avg_pool1d(hats.mT, cells).mT


def _pairs(cells: int) -> list[tuple[int, int]]:
    if cells > MAX_CELLS_WITH_PAIRS:
        return []
    return [
        (row * cells + column, (row + down) * cells + column + right)
        for down, right in NEIGHBOURS
        for row in range(cells - down)
        for column in range(max(0, -right), cells - max(0, right))
    ]
