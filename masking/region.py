"""The part of a view within which masks vary; the rest stays visible.

A masked view is M x + (1 - M) f, of the view x, a mask M and a fill f. Where only a region R may be hidden, the mask
becomes 1 - R (1 - M). The same picture comes of M itself with another fill,

    (1 - R (1 - M)) x + R (1 - M) f  =  M x + (1 - M) (R f + (1 - R) x),

so that whatever hides pixels honours a region by its fill alone, and averages are weighted with M as they always are.
Masks are drawn for the box around the region: seven cells then resolve a lesion, not the picture it lies in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from masking.fill import blend

Box = tuple[int, int, int, int]  # top, left, bottom, right in pixels, the last two one past the box


@dataclass(frozen=True)
class Region:
    """A part of a view (1, C, h, w).

    Attributes:
        share: (1, 1, h, w) in [0, 1]: how much of each pixel may be hidden; between 0 and 1 at the border.
        box: The part of the view for which masks are drawn; the share is 0 outside.
    """

    share: Tensor
    box: Box

    @classmethod
    def of(cls, share: Tensor) -> Region:
        """The region of these shares, in the smallest box.

        Raises:
            ValueError: If they are 0 everywhere.
        """
        rows, columns = (share[0, 0] > 0).any(1).nonzero()[:, 0], (share[0, 0] > 0).any(0).nonzero()[:, 0]
        if not len(rows):
            raise ValueError("a region must have a pixel; got none")
        return cls(share, (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))

    def to(self, device: torch.device | str) -> Region:
        """The region on a device."""
        return replace(self, share=self.share.to(device))

    def whole(self) -> Region:
        """The same with masks for the whole view, as masks that the caller gives are."""
        return replace(self, box=(0, 0, *self.view_size))

    def snapped(self, grid: tuple[int, int]) -> Region:
        """The same in a box of whole patches, of which the view has `grid` (rows, columns)."""
        high, wide = (side // count for side, count in zip(self.view_size, grid, strict=True))
        top, left, bottom, right = self.box
        ends = min(-(-bottom // high) * high, self.view_size[0]), min(-(-right // wide) * wide, self.view_size[1])
        return replace(self, box=(top // high * high, left // wide * wide, *ends))

    def patches(self, grid: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of patches in a box of whole ones, of which the view has `grid`."""
        rows, columns = (side * count // of for side, count, of in zip(self.size, grid, self.view_size, strict=True))
        return rows, columns

    @property
    def view_size(self) -> tuple[int, int]:
        """(h, w) of the view."""
        return int(self.share.shape[-2]), int(self.share.shape[-1])

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the box, and of the masks."""
        top, left, bottom, right = self.box
        return bottom - top, right - left

    @cached_property
    def inside(self) -> Tensor:
        """(h, w) bool, of the box: the pixels of which a part may be hidden."""
        return self.cut(self.share)[0, 0] > 0

    def cut(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w) pixels or masks of the view to those of the box."""
        top, left, bottom, right = self.box
        return pixels[..., top:bottom, left:right]

    def put(self, parts: Tensor, around: Tensor | float) -> Tensor:
        """(N, C, h, w) of the box to that of the view; around it `around`, a number or pixels (1, C, h, w)."""
        if self.size == self.view_size:
            return parts
        if isinstance(around, Tensor):
            whole = around.expand(len(parts), *around.shape[1:]).clone()
        else:
            whole = parts.new_full((*parts.shape[:2], *self.view_size), around)
        self.cut(whole).copy_(parts)
        return whole

    def spread(self, values: Tensor) -> Tensor:
        """(h, w) values of the box to those of the view, continued around it, for interpolation at its border."""
        top, left, bottom, right = self.box
        height, width = self.view_size
        return F.pad(values[None, None], (left, width - right, top, height - bottom), mode="replicate")[0, 0]

    def filled(self, view: Tensor, fill: Tensor) -> Tensor:
        """(1, C, h, w): what a view shows where everything is hidden that may be: the fill inside, itself outside."""
        return torch.where(self.share > 0, blend(view, 1 - self.share, fill), view)

    def record(self) -> dict[str, Any]:
        """The box, and the share of the view, as JSON types."""
        return {"box": list(self.box), "share_of_view": float(f"{float(self.share.mean()):.4g}")}
