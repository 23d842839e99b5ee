"""From the view of an encoder back into the frame of the picture: where the values of a map lie in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from masking import Region
from masking.grid import spread


@dataclass(frozen=True)
class VolumeFrame:
    """How the view of an encoder of volumes lies in its volume, all of which it sees.

    Attributes:
        size: (D, H, W) of the volume.
    """

    size: tuple[int, ...]

    def to_image(self, values: Tensor) -> NDArray[np.float32]:
        """Put a map of the view, (d, h, w), into the frame of the volume, (D, H, W), interpolated between voxels."""
        if tuple(values.shape) == self.size:
            return values.cpu().numpy().astype(np.float32)
        placed = spread(values.cpu().float(), [*map(_between, self.size, values.shape)])
        return placed.numpy()


def _between(pixels: int, of: int) -> Tensor:
    """(pixels, of) float32: the weights of values along an axis in each pixel of it, linear between their centres."""
    places = (torch.arange(pixels, dtype=torch.float64) + 0.5) * (of / pixels) - 0.5
    away = places.clamp(0, of - 1)[:, None] - torch.arange(of)
    return (1 - away.abs()).clamp_(min=0).float()


@dataclass(frozen=True)
class Frame:
    """How a view lies in its picture.

    Attributes:
        size: (H, W) of the picture.
        seen: (top, left, bottom, right) of the view in pixels of the picture, edges not centres, as `Encoder.seen`
            says; beyond the picture where the view is padded.
        region: The part of the view that masks vary in; None for all of it.
        inside: (H, W) bool, the same in the picture; None for all of it.
    """

    size: tuple[int, int]
    seen: tuple[float, float, float, float]
    region: Region | None = None
    inside: NDArray[np.bool_] | None = None

    @property
    def unseen(self) -> float:
        """The share of the picture that the view leaves out, or of the region in it."""
        rows, columns = self._places()
        seen = (((rows >= 0) & (rows <= 1))[:, None] & ((columns >= 0) & (columns <= 1))[None]).numpy()
        return float(1 - seen.mean()) if self.inside is None else float(1 - seen[self.inside].mean())

    def to_image(self, values: Tensor) -> NDArray[np.float32]:
        """Put a map of the view, or of the box of its region, (h, w) into the frame of the picture.

        Values between the view's pixels are interpolated; a standard error is then an upper bound.

        Returns:
            (H, W) float32, NaN where the picture was cropped away, and outside the region.
        """
        values = values.cpu()
        if self.region is not None:
            values = self.region.spread(values)
        placed = self._placed(values)
        return placed if self.inside is None else np.where(self.inside, placed, np.float32(np.nan))

    def _placed(self, values: Tensor) -> NDArray[np.float32]:
        if self.size == tuple(values.shape) and self.seen == (0, 0, *self.size):
            return values.numpy().astype(np.float32)
        rows, columns = self._places()
        grid = torch.stack(torch.meshgrid(columns * 2 - 1, rows * 2 - 1, indexing="xy"), -1)
        placed = F.grid_sample(
            values[None, None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0, 0]
        unseen = ((rows < 0) | (rows > 1))[:, None] | ((columns < 0) | (columns > 1))[None, :]
        return placed.masked_fill(unseen, torch.nan).numpy().astype(np.float32)

    def _places(self) -> tuple[Tensor, Tensor]:
        """(H,) and (W,) float64: the pixels' centres in the view, whose edges are 0 and 1."""
        top, left, bottom, right = self.seen
        rows = (torch.arange(self.size[0], dtype=torch.float64) + 0.5 - top) / (bottom - top)
        columns = (torch.arange(self.size[1], dtype=torch.float64) + 0.5 - left) / (right - left)
        return rows, columns
