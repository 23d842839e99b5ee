"""Hard cells: every mask shows or hides whole cells of one fixed grid, with sharp edges and no shift.

The soft random grid (`masking.grid`) moves from mask to mask, so that no place of the picture is ever a unit. Where a
question is about units, such as which cell of one picture goes with which cell of another, they must stand still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from masking.checks import check_cells, check_keep, check_seed
from masking.designs import block_length, check_design, draw


@dataclass(frozen=True)
class CellMasks:
    """Each cell of a grid is shown with the chance `keep`, independently of the others, under any design.

    Pixel y of H belongs to the row of cells floor((y + 1/2) cells / H), so cells differ by at most a pixel in size.

    Raises:
        ValueError: If a cell would be smaller than a pixel, `keep` is not in (0, 1), or the design is unknown.
    """

    image_size: tuple[int, int]  # (H, W) in pixels
    cells: int = 7  # along each side
    keep: float = 0.5  # chance that a cell is shown
    seed: int = 0
    design: str = "orthogonal"

    limit: ClassVar[int | None] = None
    independent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_cells(self.cells, min(self.image_size))
        check_keep(self.keep)
        check_seed(self.seed)
        check_design(self.design)

    @property
    def block(self) -> int:
        """Number of consecutive masks that depend on each other."""
        return block_length(self.design, self.cells**2)

    def shown(self, start: int, stop: int) -> Tensor:
        """(stop - start, cells^2) float32: which cells masks `start` to `stop - 1` show, in reading order."""
        return draw(self.design, self.seed, start, stop, self.cells**2, self.keep)[0]

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (stop - start, 1, H, W) float32, 0 or 1."""
        return self.enlarged(self.shown(start, stop).to(device))

    def enlarged(self, shown: Tensor) -> Tensor:
        """(N, 1, H, W): masks that show the cells (N, cells^2), in reading order."""
        table = shown.view(-1, 1, self.cells, self.cells)
        rows, columns = (self.places(pixels).to(shown.device) for pixels in self.image_size)
        return table[:, :, rows[:, None], columns]

    def places(self, pixels: int) -> Tensor:
        """(pixels,) the row, or column, of cells that each pixel of a side belongs to."""
        return (2 * torch.arange(pixels) + 1) * self.cells // (2 * pixels)

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters, as JSON types."""
        return {
            "kind": "cells",
            "image_size": list(self.image_size),
            "cells": self.cells,
            "keep": self.keep,
            "seed": self.seed,
            "design": self.design,
        }
