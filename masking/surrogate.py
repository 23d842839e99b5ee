"""Functions of random-grid masks whose averages are known exactly: the control variates of the maps.

If a score were a sum of effects of single regions and of pairs of neighbours, its map would have a closed form.
The scores of real encoders are nearly such sums, so that only a small remainder has to be averaged over masks.

With cells of mean p, independent and centred to d = cell - p, and a pixel's mask m = p + sum(h d), where h are the
hat functions at a shift: the features are f = sum(a d), the mean of the centred mask over each of cells x cells
regions, and the products f f' of a region with itself and its neighbours, minus their mean. Since the d are independent
with variance v = p (1 - p) and third moment v (1 - 2 p),

    E[m f] / p                = (1 - p) E[sum(h a)]
    E[m (f f' - E f f')] / p  = (1 - p) (1 - 2 p) E[sum(h a a')]

where the expectations on the right are over the shift alone. They are products of one factor per axis, of which a
picture has two and a volume three, computed by the midpoint rule.

Source: control variates, Hammersley & Handscomb, "Monte Carlo Methods" (1964), section 5.5; formulas derived here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import product
from operator import mul

import torch
from torch import Tensor
from torch.nn import functional as F

from masking.grid import RandomGrid, spread

SHIFTS = 256  # points of the midpoint rule over one cell
KEPT = 2**25  # bytes of features of masks that no encoder sees, which are the same for each picture


@dataclass(frozen=True)
class _Dimensions:
    """What depends on the number of axes.

    Attributes:
        neighbours: Steps from a region to its partner in a product, along each axis.
        most_with_pairs: Cells along a side, above which products would outnumber the masks and are left out.
        lattice: Shifts along each axis, where averages are estimated.
        pairs: The sum over pairs of regions, as einsum writes it.
        grids: The sum of a grid for each shift along the last axis, enlarged to pixels, as einsum writes it.
    """

    neighbours: tuple[tuple[int, ...], ...]
    most_with_pairs: int
    lattice: int
    pairs: str
    grids: str


DIMENSIONS = {
    # Itself, right, below, two diagonals.
    2: _Dimensions(((0, 0), (0, 1), (1, 0), (1, 1), (1, -1)), 16, 16, "yac,xbd,abcd->yx", "sab,sxb,ya->yx"),
    # Itself, right, below, behind: with diagonals there would be ten more, and seven cells are 343 regions.
    3: _Dimensions(
        ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)), 7, 8, "zad,ybe,xcf,abcdef->zyx", "sabc,sxc,yb,za->zyx"
    ),
}


@dataclass(frozen=True)
class _Unseen:
    """Masks of all shifts along the last axis, and one shift along those before it.

    Attributes:
        cells: (patterns, shifts, points, points) bool, or points^3 of a volume.
        features: (patterns * shifts, features).
        of_pixels: Weights of the grid points in the pixels of each axis, see `spread`.
    """

    cells: Tensor
    features: Tensor
    of_pixels: list[Tensor]


class GridSurrogate:
    """Features of the masks of a random grid, and their averages over all possible masks.

    With more than 16 cells along a side, or 7 of a volume, the products are left out, since they would outnumber the
    masks.

    Args:
        grid: The masks, with at most 36 cells along a side, or 10 of a volume.
        device: Device of the features and maps, which are float64.
    """

    def __init__(self, grid: RandomGrid, device: torch.device | str = "cpu") -> None:
        self.grid, self.device, self.dimensions = grid, torch.device(device), DIMENSIONS[grid.axes]
        self.spread = grid.keep * (1 - grid.keep)  # v, the variance of a cell
        self.skew = (1 - grid.keep) * (1 - 2 * grid.keep)
        pairs = torch.tensor(_pairs(grid.cells, self.dimensions), dtype=torch.long, device=self.device).view(-1, 2)
        self.first, self.second = pairs[:, 0], pairs[:, 1]
        self.linear = grid.cells**grid.axes  # number of single-region features, which come first, row by row
        self.axes = tuple(_axis(pixels, grid.cells) for pixels in grid.image_size)
        self.pixel = tuple(axis.pixel.to(self.device) for axis in self.axes)
        self.pairs = tuple(axis.pairs.to(self.device) for axis in self.axes)
        self.table = (grid.cells,) * grid.axes
        # Rows and columns by hand: torch.unravel_index imports sympy, which takes longer than a map.
        powers = [grid.cells**power for power in reversed(range(grid.axes))]
        places = ([regions // power % grid.cells for power in powers] for regions in (self.first, self.second))
        along = (pairs[first, second] for pairs, first, second in zip(self.pairs, *places, strict=True))
        self.mean_of_products = reduce(torch.mul, along, torch.tensor(self.spread, dtype=torch.float64))
        self._kept: tuple[int, list[_Unseen]] = 0, []  # how many patterns, and their masks

    def features(self, start: int, stop: int) -> Tensor:
        """(N, features) of masks `start` to `stop - 1`: regions, then products of neighbours, each with mean zero."""
        cells, shifts = (values.to(self.device).double() for values in self.grid.draw(start, stop))
        regions = [self._regions(axis, shifts[:, axis]) for axis in range(self.grid.axes)]
        return self._features(spread(cells - self.grid.keep, regions))

    def _features(self, table: Tensor) -> Tensor:
        """(N, features) from the centred mean visibility of the regions, (N, cells, cells), or ^3 of a volume."""
        regions = table.flatten(1)
        return torch.cat([regions, regions[:, self.first] * regions[:, self.second] - self.mean_of_products], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """The exact mask-weighted mean, E[m g] / E[m], of g = features @ weights: (features,) to (H, W)."""
        result = (1 - self.grid.keep) * spread(weights[: self.linear].view(self.table), self.pixel)
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
        tables = single.view(-1, *self.table)
        means = self.spread * (tables * spread(tables, self.pairs)).flatten(1).sum(1)
        result: Tensor = (means @ shares).expand(self.grid.image_size)
        if self.skew:
            result = result + self._of_pairs(single.mT @ (shares[:, None] * single))
        if not weights[:, self.linear :].any():
            return result
        shifts = self.dimensions.lattice**self.grid.axes
        return result + self._contribution_of_products(weights, shares, -(-masks // shifts))

    def _contribution_of_products(self, weights: Tensor, shares: Tensor, patterns: int) -> Tensor:
        """(H, W): mask-weighted mean of g^2 minus that of its single-region part squared; `patterns` per shift."""
        grid, linear, lattice = self.grid, self.linear, self.dimensions.lattice
        result = torch.zeros(grid.image_size, dtype=torch.float64, device=self.device)
        for unseen in self._unseen(patterns):
            total, single = unseen.features @ weights.mT, unseen.features[:, :linear] @ weights[:, :linear].mT
            difference = ((total.square() - single.square()) @ shares).view(patterns, lattice)
            weighted = torch.einsum("ns,ns...->s...", difference, unseen.cells.double()) / (patterns * grid.keep)
            result += torch.einsum(self.dimensions.grids, weighted, *reversed(unseen.of_pixels))
        shifts: int = lattice**grid.axes
        return result / shifts

    def _unseen(self, patterns: int) -> list[_Unseen] | Iterator[_Unseen]:
        """Masks that no encoder sees, `patterns` per shift: kept for the next picture where they are few."""
        masks = patterns * self.dimensions.lattice**self.grid.axes
        if masks * (self.linear + len(self.first)) * 8 > KEPT:
            return self._drawn_unseen(patterns)
        known, kept = self._kept
        if known != patterns:
            kept = list(self._drawn_unseen(patterns))
            self._kept = patterns, kept
        return kept

    def _drawn_unseen(self, patterns: int) -> Iterator[_Unseen]:
        """All shifts along the last axis at once, for each shift along those before it."""
        grid, lattice = self.grid, self.dimensions.lattice
        steps = (torch.arange(lattice, device=self.device).double() + 0.5) / lattice
        hats = [grid.hats(grid.positions(pixels, steps)).double() for pixels in grid.image_size]
        regions = [_regions(of_axis, grid.cells) for of_axis in hats]
        generator = torch.Generator().manual_seed(grid.seed)
        for shift in product(range(lattice), repeat=grid.axes - 1):
            uniform = torch.rand(patterns, lattice, *grid.table, generator=generator, dtype=torch.float64)
            cells = (uniform < grid.keep).to(self.device)
            of_regions, of_pixels = (
                [*(factors[axis][step] for axis, step in enumerate(shift)), factors[-1]] for factors in (regions, hats)
            )
            features = self._features(spread(cells.double() - grid.keep, of_regions).flatten(0, 1))
            yield _Unseen(cells, features, of_pixels)

    def _of_pairs(self, weights: Tensor) -> Tensor:
        """Mask-weighted mean of sum(weights f f') minus its mean: (regions, regions) to (H, W)."""
        along = (axis.pixel_and_pairs.to(self.device) for axis in self.axes)
        result: Tensor = self.skew * torch.einsum(self.dimensions.pairs, *along, weights.view(*self.table, *self.table))
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


def _pairs(cells: int, dimensions: _Dimensions) -> list[tuple[int, int]]:
    """Numbers of the regions in each product, counted row by row."""
    if cells > dimensions.most_with_pairs:
        return []
    pairs = []
    for step in dimensions.neighbours:
        weights = [cells**power for power in reversed(range(len(step)))]
        offset = sum(map(mul, step, weights))
        for place in product(*(range(max(0, -along), cells - max(0, along)) for along in step)):
            number = sum(map(mul, place, weights))
            pairs.append((number, number + offset))
    return pairs
