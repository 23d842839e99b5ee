"""Masks from regions other than a random grid: sliding windows, superpixels, and masks given by the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from masking.checks import check_keep, check_seed
from masking.source import MaskRequest, random_rows


@dataclass(frozen=True)
class SlidingWindows:
    """Every mask hides one square window; the windows cover the image in reading order.

    Nothing is random here, so a Monte-Carlo error is not defined.

    Source: occlusion (Zeiler & Fergus, ECCV 2014).
    """

    image_size: tuple[int, int]  # (H, W) in pixels
    window: int  # side of the hidden square in pixels
    stride: int  # step between windows in pixels; the last one ends at the border

    independent = False

    @classmethod
    def of(cls, request: MaskRequest) -> SlidingWindows:
        """Windows the size of a cell, overlapping by half."""
        window = max(1, round(min(request.size) / request.cells))
        return cls(request.size, window, max(1, window // 2))

    def __post_init__(self) -> None:
        shorter = min(self.image_size)
        if not 1 <= self.window <= shorter:
            raise ValueError(
                f"window must be between 1 and the shorter image side, here {shorter} px; got {self.window}"
            )
        if not 1 <= self.stride <= self.window:
            raise ValueError(
                f"stride must be between 1 and window, here {self.window} px, or pixels would be skipped; "
                f"got {self.stride}"
            )

    def corners(self, pixels: int) -> list[int]:
        """First pixel of each window along a side."""
        last = pixels - self.window
        return [*range(0, last, self.stride), last]

    @property
    def limit(self) -> int:
        """Number of windows."""
        return len(self.corners(self.image_size[0])) * len(self.corners(self.image_size[1]))

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (N, 1, H, W) float32, 0 in the window and 1 elsewhere."""
        columns = self.corners(self.image_size[1])
        numbers = torch.arange(start, min(stop, self.limit), device=device)
        tops = torch.tensor(self.corners(self.image_size[0]), device=device)[numbers // len(columns)]
        lefts = torch.tensor(columns, device=device)[numbers % len(columns)]
        rows = self._covered(tops, self.image_size[0])
        hidden = rows[:, :, None] & self._covered(lefts, self.image_size[1])[:, None, :]
        return (~hidden).float().unsqueeze(1)

    def _covered(self, corners: Tensor, pixels: int) -> Tensor:
        """(N, pixels): whether each pixel of a side lies in the window that starts at its corner (N,)."""
        offset = torch.arange(pixels, device=corners.device) - corners[:, None]
        return (offset >= 0) & (offset < self.window)

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters of the windows, as JSON types."""
        return {
            "kind": "sliding-windows",
            "image_size": list(self.image_size),
            "window": self.window,
            "stride": self.stride,
        }


class Superpixels:
    """Every superpixel of the image is visible with probability `keep`, independently.

    Args:
        image: (1, C, H, W) in [0, 1].
        count: Requested number of superpixels; SLIC may return fewer.
        keep: Probability that a superpixel is visible, in (0, 1).
        seed: The only source of randomness.

    Source: SLIC (Achanta et al., TPAMI 2012), zero-parameter form, by scikit-image; hiding segments as
    in LIME (Ribeiro, Singh & Guestrin, KDD 2016).
    """

    limit = None
    independent = True

    @classmethod
    def of(cls, request: MaskRequest) -> Superpixels:
        """As many superpixels as a grid would have cells."""
        return cls(request.view, request.cells**2, request.keep, request.seed)

    def __init__(self, image: Tensor, count: int = 49, keep: float = 0.5, seed: int = 0) -> None:
        self.image_size = (int(image.shape[-2]), int(image.shape[-1]))
        if not 1 <= count <= self.image_size[0] * self.image_size[1]:
            raise ValueError(f"count must be between 1 and the image's {image[0, 0].numel()} pixels; got {count}")
        check_keep(keep)
        check_seed(seed)
        self.count, self.keep, self.seed = count, keep, seed
        pixels = image[0].permute(1, 2, 0).cpu().double().numpy()
        from skimage.segmentation import slic  # with scipy a second, which grids need not wait

        labels = slic(pixels, n_segments=count, slic_zero=True, start_label=0, channel_axis=-1)
        self.labels = torch.from_numpy(labels).long()

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (stop - start, 1, H, W) float32, 0 or 1."""
        visible = random_rows(self.seed, start, stop, int(self.labels.max()) + 1) < self.keep
        return visible.to(device).float()[:, self.labels.to(device)].unsqueeze(1)

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters of the superpixels, as JSON types."""
        return {
            "kind": "superpixels",
            "image_size": list(self.image_size),
            "asked": self.count,
            "found": int(self.labels.max()) + 1,
            "keep": self.keep,
            "seed": self.seed,
        }


class GivenMasks:
    """Masks given by the caller, treated as independent draws.

    Args:
        masks: (N, 1, H, W) or (N, H, W) in [0, 1]; 1 = visible. (N, 1, D, H, W) of volumes.

    Raises:
        ValueError: If the masks have another shape, or a value lies outside [0, 1].
    """

    independent = True

    def __init__(self, masks: Tensor) -> None:
        masks = masks.detach()
        if masks.ndim == 3:
            masks = masks.unsqueeze(1)
        if masks.ndim not in (4, 5) or masks.shape[1] != 1 or masks.numel() == 0:
            raise ValueError(f"masks must have the shape (N, 1, H, W) with N at least 1; got {tuple(masks.shape)}")
        if masks.is_complex():
            raise ValueError(f"masks must be real numbers; got {masks.dtype}")
        masks = masks.float()
        low, high = float(masks.min()), float(masks.max())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"masks must lie in [0, 1], 1 = visible; got values from {low:g} to {high:g}")
        self.stack = masks
        self.image_size = tuple(masks.shape[2:])
        self.limit = int(masks.shape[0])

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (N, 1, H, W) float32 in [0, 1], or (N, 1, D, H, W)."""
        return self.stack[start:stop].to(device)

    def recipe(self) -> dict[str, Any]:
        """Kind and number; the masks themselves are left to the caller to keep."""
        return {"kind": "given", "image_size": list(self.image_size), "given": self.limit}
