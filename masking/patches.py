"""Masks of whole patches, for vision transformers; every mask shows the same number of patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from masking.checks import check_keep, check_seed
from masking.source import MaskRequest, random_rows


@dataclass(frozen=True)
class PatchMasks:
    """Each mask shows K of the T patches, drawn without replacement; masks are independent.

    The number is fixed because a batch of tokens must be rectangular. K is `keep` times T, rounded and clipped to
    [1, T - 1]; a pixel is visible with probability K / T.

    Raises:
        ValueError: If the patches do not tile the image, there is only one, or `keep` is not in (0, 1).
    """

    image_size: tuple[int, int]  # (H, W) in pixels
    grid: tuple[int, int]  # (rows, columns) of patches
    keep: float = 0.5  # share of the patches that are visible
    seed: int = 0

    limit: ClassVar[int | None] = None
    independent: ClassVar[bool] = True

    @classmethod
    def of(cls, request: MaskRequest) -> PatchMasks:
        """Masks of the encoder's patches of a view."""
        return cls(request.size, request.patches, request.keep, request.seed)

    def __post_init__(self) -> None:
        (height, width), (rows, columns) = self.image_size, self.grid
        if min(self.grid) < 1 or height % rows or width % columns or rows * columns < 2:
            raise ValueError(f"grid must be 2 patches or more that tile the {height} x {width} px; got {self.grid}")
        check_keep(self.keep)
        check_seed(self.seed)

    @property
    def visible(self) -> int:
        """K, the number of patches visible in every mask."""
        patches = self.grid[0] * self.grid[1]
        return max(1, min(patches - 1, round(self.keep * patches)))

    def kept(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Visible patches of masks number `start` to `stop - 1`: (N, K) indices in reading order, ascending."""
        patches = self.grid[0] * self.grid[1]
        order = random_rows(self.seed, start, stop, patches).argsort(dim=1, stable=True)
        return order[:, : self.visible].sort(1)[0].to(device)

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (N, 1, H, W) float32, 0 or 1."""
        rows, columns = self.grid
        kept = self.kept(start, stop, device)
        cells = torch.zeros(len(kept), rows * columns, device=device).scatter_(1, kept, 1.0).view(-1, 1, rows, columns)
        height, width = self.image_size
        return cells.repeat_interleave(height // rows, 2).repeat_interleave(width // columns, 3)

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters, as JSON types."""
        return {
            "kind": "patches",
            "image_size": list(self.image_size),
            "grid": list(self.grid),
            "visible": self.visible,
            "seed": self.seed,
        }
