"""Soft random masks: a coarse random grid, enlarged and shifted.

Every mask is a small grid of visible (1) and hidden (0) cells, enlarged bilinearly and moved by a
random part of a cell, so that cell borders fall everywhere. A bilinear value is a sum of two hat
functions per axis, so a batch of masks takes two matrix products: rows x grid x columns. A volume has
a third axis, its planes, before rows and columns, and all else is the same.

Source: RISE (Petsiuk, Das & Saenko, BMVC 2018), used by RELAX (Wickstrøm et al., IJCV 2023).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from masking.checks import check_cells, check_keep, check_seed
from masking.designs import block_length, check_design, draw
from masking.source import MaskRequest, random_rows


def spread(table: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Multiply a table by a matrix along each of its axes, as a grid of cells is enlarged to pixels.

    Args:
        table: (..., a, b), or (..., a, b, c) of a volume.
        weights: (..., y, a) and (..., x, b), and for volumes (..., z, c), of leading axes that broadcast.

    Returns:
        (..., y, x), or (..., y, x, z): sums over a and b (and c) of the table times the weights.
    """
    *planes, rows, columns = weights
    for matrix in planes:
        table = (matrix @ table.flatten(-2)).unflatten(-1, table.shape[-2:])
        rows, columns = rows.unsqueeze(-3), columns.unsqueeze(-3)
    return rows @ table @ columns.mT


@dataclass(frozen=True)
class _Grid(ABC):
    """What the two grids share: parameters, drawing and enlargement."""

    image_size: tuple[int, ...]  # (H, W) in pixels, or (D, H, W) of a volume
    cells: int = 7  # along each side; a cell covers H / cells by W / cells pixels
    keep: float = 0.5  # probability that a cell is visible
    seed: int = 0

    kind: ClassVar[str]
    limit: ClassVar[int | None] = None
    independent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_cells(self.cells, min(self.image_size))
        check_keep(self.keep)
        check_seed(self.seed)

    @property
    @abstractmethod
    def points(self) -> int:
        """Grid points along each side."""

    @property
    def axes(self) -> int:
        """2 for pictures, 3 for volumes."""
        return len(self.image_size)

    @property
    def table(self) -> tuple[int, ...]:
        """The grid points along every axis."""
        return (self.points,) * self.axes

    @abstractmethod
    def positions(self, pixels: int, shift: Tensor) -> Tensor:
        """(N, pixels): position of each pixel centre on the grid, in points, for shifts (N,) in [0, 1)."""

    def draw(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The random part of masks `start` to `stop - 1`.

        Returns:
            Cells (N, points, points) float32, 1 = visible, with a further axis for volumes; shifts (N, 2) in [0, 1),
            down and right, or (N, 3) with the shift of the planes before.
        """
        rows = random_rows(self.seed, start, stop, self.points**self.axes + self.axes)
        cells = (rows[:, : -self.axes] < self.keep).float().view(-1, *self.table)
        return cells, rows[:, -self.axes :]

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (stop - start, 1, H, W) float32 in [0, 1], 1 = visible.

        (stop - start, 1, D, H, W) for volumes.
        """
        cells, shifts = (values.to(device) for values in self.draw(start, stop))
        hats = [self.hats(self.positions(pixels, shifts[:, axis])) for axis, pixels in enumerate(self.image_size)]
        # Rounded hats may sum to slightly more than 1, depending on the processor; the range is guaranteed.
        return spread(cells, hats).clamp_(0, 1).unsqueeze(1)

    def hats(self, positions: Tensor) -> Tensor:
        """(N, pixels, points): the weight of each grid point in each pixel; every row sums to 1."""
        points = torch.arange(self.points, device=positions.device)
        inside = positions.clamp(0, self.points - 1)
        return (1 - (inside.unsqueeze(-1) - points).abs()).clamp_(min=0)

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters of the grid, as JSON types."""
        return {"kind": self.kind, **asdict(self), "image_size": list(self.image_size)}


@dataclass(frozen=True)
class RandomGrid(_Grid):
    """RISE's masks: (cells + 1)^2 grid points, or ^3 for volumes, shifted by up to one full cell.

    Every pixel has expected visibility `keep`. More cells resolve finer detail and need more masks
    for the same error. The design sets how masks depend on each other, see `masking.designs`; each
    single mask has the same distribution under all of them.

    Raises:
        ValueError: If a cell would be smaller than a pixel, `keep` is not in (0, 1), or the design is unknown.

    Source: RISE (Petsiuk, Das & Saenko, BMVC 2018), section 3.2. There the cell is rounded up to
    whole pixels; here it is exactly 1 / cells of the image, and the shift is continuous.
    """

    design: str = "independent"

    kind: ClassVar[str] = "random-grid"

    @classmethod
    def of(cls, request: MaskRequest) -> RandomGrid:
        """The grid for a view."""
        return cls(tuple(request.view.shape[2:]), request.cells, request.keep, request.seed, request.design)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_design(self.design)

    @property
    def block(self) -> int:
        """Number of masks in a block; blocks are independent of each other, masks within a block need not be."""
        return block_length(self.design, self.points**self.axes, self.axes)

    def draw(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """As for every grid, but drawn by the design."""
        cells, shifts = draw(self.design, self.seed, start, stop, self.points**self.axes, self.keep, self.axes)
        return cells.view(-1, *self.table), shifts

    @property
    def points(self) -> int:
        """Grid points along each side: one more than `cells`, as room for the shift."""
        return self.cells + 1

    def positions(self, pixels: int, shift: Tensor) -> Tensor:
        """(N, pixels): pixel centres on the grid, in points, for shifts (N,) in cells."""
        centres = (torch.arange(pixels, device=shift.device) + 0.5) * (self.cells / pixels) - 0.5
        return centres + shift[:, None]


@dataclass(frozen=True)
class AuthorsGrid(_Grid):
    """The masks of the authors' package: cells^2 grid points, moved by at most cells // 2 pixels.

    The image-sized mask is moved by a whole number of pixels and mirrored at the border. Cell borders
    lie at nearly the same place in every mask, so the variance of the masks differs several-fold
    between pixels, which shows as a lattice in the maps. Use it to reproduce published numbers.

    Source: behaviour of `relax-xai` 0.0.5, inferred from its masks.
    """

    kind: ClassVar[str] = "authors-grid"

    @classmethod
    def of(cls, request: MaskRequest) -> AuthorsGrid:
        """The grid for a view; its masks are independent whatever the design."""
        return cls(request.size, request.cells, request.keep, request.seed)

    @property
    def points(self) -> int:
        """Grid points along each side."""
        return self.cells

    def positions(self, pixels: int, shift: Tensor) -> Tensor:
        """(N, pixels): pixel centres on the grid, in points; shifts in [0, 1) select the move."""
        reach = self.cells // 2
        moves = (shift * (2 * reach + 1)).floor() - reach
        source = (torch.arange(pixels, device=shift.device) + moves[:, None]).abs()
        source = torch.where(source > pixels - 1, 2 * (pixels - 1) - source, source)
        return (source + 0.5) * (self.cells / pixels) - 0.5
