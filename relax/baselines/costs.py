"""What methods cost, in encoder passes for one image: plain arithmetic, so that the table of methods needs no torch.

A gradient counts as three passes: one forward, and a backward pass that costs about two (Kaplan et al., 2020,
section 2.1). The pass that embeds the reference or predicts the class is not included.
"""

from __future__ import annotations

GRADIENT = 3  # passes of one image, forward and backward


def windows_of(size: tuple[int, ...], cells: int) -> int:
    """Windows that `relax.hiding.Hiding` lays over a view of `size` (h, w), of 1 / cells of the shorter side."""
    window = max(1, round(min(size) / cells))
    return count_windows(size, window, max(1, window // 2))


def count_windows(size: tuple[int, ...], window: int, stride: int) -> int:
    """Windows that cover a view of `size` (h, w) in steps of `stride`: ceil((side - window) / stride) + 1 per side.

    The number holds whether the last window of a row ends at the border, as in `masking.SlidingWindows`, or reaches
    over it, as in captum's occlusion.
    """
    down, across = (-(-(side - window) // stride) + 1 for side in size)
    return down * across
