"""Which values of a volume are shown black and white: a given window, the display range of the header, or percentiles.

Source: the NIfTI-1 header (nifti1.h) for cal_min and cal_max.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from relax.io.errors import ImageError
from relax.io.picture import Window
from relax.io.volumes.image import colours, slabs, three_axes

_PERCENTILES = (0.5, 99.5)
_SHADES = 1 / 32  # of a display range that the percentiles must span; else nearly all voxels are one shade in it
_CONSTANT = "the only value of the volume"


def shown_range(image: Any, number: int | None, window: Window | None) -> tuple[float, float, str, str | None]:
    """The values shown black and white, the rule behind them, and what is wrong with the header's display range."""
    if colours(image):
        if window is not None:
            raise ImageError("window is for grey volumes; this one has colours")
        return 0.0, 255.0, "none: colours are shown as stored", None
    if window is not None:
        if isinstance(window, int) or not np.isfinite(window).all() or window[1] <= 0:
            raise ImageError(f"window of a NIfTI volume must be (centre, width), the width above 0; got {window}")
        return window[0] - window[1] / 2, window[0] + window[1] / 2, "window given by the caller", None
    low, high, used = _percentiles(image, number)
    known = "cal_min" in image.header.keys()  # noqa: SIM118  # a header is no mapping
    display = (float(image.header["cal_min"]), float(image.header["cal_max"])) if known else (0.0, 0.0)
    if not np.isfinite(display).all() or display[0] >= display[1]:
        return low, high, used, None
    dark, bright = ((value - display[0]) / (display[1] - display[0]) for value in (low, high))
    if min(bright, 1) - max(dark, 0) >= _SHADES or used == _CONSTANT:
        return *display, "display range of the header (cal_min, cal_max)", None
    return (
        low,
        high,
        f"{used}, since the display range of the header shows nearly all voxels in one shade",
        f"its display range, cal_min {display[0]:g} to cal_max {display[1]:g}, shows nearly all voxels in one shade; "
        f"shown is {low:g} to {high:g}, the {used}",
    )


def _percentiles(image: Any, number: int | None) -> tuple[float, float, str]:
    """The percentiles of the finite values, or their ends where those are equal, and which of the two."""
    values, filled = np.empty(math.prod(three_axes(image.shape))), 0
    for slab in slabs(image, number):
        finite = slab[np.isfinite(slab)]
        values[filled : filled + finite.size] = finite
        filled += finite.size
    values = values[:filled]
    if not filled:
        raise ImageError("has no finite value")
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES, overwrite_input=True))
    if low < high:
        return low, high, "percentiles 0.5 and 99.5 of the volume"
    low, high = float(values.min()), float(values.max())
    if low < high:
        return low, high, "lowest and highest value of the volume (its percentiles 0.5 and 99.5 are equal)"
    return low, low + 1.0, _CONSTANT
