"""Cells: the parts of a view that are shown or hidden whole, with hard borders that never move.

RELAX's masks are soft and shifted, so that a map has no borders; a set of cells is an answer of another kind, and what
is shown must be shown entirely and what is hidden entirely hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masking import PatchMasks
from masking.segments import Superpixels
from relax.metrics.maps import Mask, Values
from relax.scene import Scene
from relax.text import one_of

KINDS = ("grid", "superpixels", "patches")  # of `masking.REGIONS`, those that divide a view

Sets = NDArray[np.bool_]  # (N, n), True = the cell is in the set


@dataclass(frozen=True)
class Cells:
    """A view, divided.

    Attributes:
        labels: (h, w) number of the cell that each pixel is in.
        grid: (rows, columns) where cells are a grid in reading order; None for superpixels.
    """

    labels: NDArray[np.int64]
    grid: tuple[int, int] | None

    @classmethod
    def of(cls, scene: Scene, kind: str, along: int) -> Cells:
        """The cells of a scene.

        Args:
            scene: Made with the same `regions` and `cells`.
            kind: One of `KINDS`.
            along: How many along a side.

        Raises:
            ValueError: If the kind does not divide a view.
        """
        one_of("regions", kind, KINDS)
        if kind == "superpixels":
            _, labels = np.unique(cast(Superpixels, scene.source).labels.cpu().numpy(), return_inverse=True)
            return cls(labels.reshape(scene.size).astype(np.int64), None)
        rows, columns = cast(PatchMasks, scene.source).grid if kind == "patches" else (along, along)
        down, across = np.arange(scene.size[0]) * rows // scene.size[0], np.arange(scene.size[1]) * columns
        return cls(down[:, None] * columns + across // scene.size[1], (rows, columns))

    @property
    def count(self) -> int:
        """How many."""
        return int(self.labels.max()) + 1

    def visible(self, sets: Sets) -> Mask:
        """(N, h, w) bool: the pixels of these sets."""
        pixels: Mask = sets[:, self.labels]
        return pixels

    def means(self, values: Values) -> Values:
        """(n,) mean of values (h, w) over each cell; what is not known has the lowest value."""
        known = np.where(np.isnan(values), np.nanmin(values), values)
        means: Values = np.bincount(self.labels.ravel(), known.ravel()) / np.bincount(self.labels.ravel())
        return means

    def shares(self, masks: Tensor) -> NDArray[np.float64]:
        """(N, n) how visible each cell is, on average over its pixels, under masks (N, 1, h, w)."""
        flat = torch.from_numpy(self.labels.ravel()).to(masks.device)
        sums = torch.zeros(len(masks), self.count, dtype=torch.float64, device=masks.device)
        sums.index_add_(1, flat, masks.flatten(1).double())
        shares: NDArray[np.float64] = sums.cpu().numpy() / np.bincount(self.labels.ravel())
        return shares

    def in_picture(self, members: NDArray[np.bool_], scene: Scene) -> Mask:
        """(H, W) bool in the frame of the picture, each pixel as the nearest of the view; False where that has none."""
        places = (torch.arange(size, dtype=torch.float64) for size in scene.size)
        rows, columns = (scene.to_image(axis) for axis in torch.meshgrid(*places, indexing="ij"))
        seen = np.isfinite(rows)
        mask = np.zeros(rows.shape, bool)
        nearest = self.labels[np.rint(rows[seen]).astype(np.int64), np.rint(columns[seen]).astype(np.int64)]
        mask[seen] = members[nearest]
        return mask
