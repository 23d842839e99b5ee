"""Maps and pictures small enough to embed in a page.

A map is reduced by averaging to at most `LONGEST` pixels along its longer side, and its values are stored as steps of
1 / 16,383 of its range: the error is at most half a step, far below the precision of the page (more steps would only
store noise). Differences between neighbouring pixels are compressed, since they are small numbers.
"""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST = 256  # pixels of a map along its longer side
STEPS, NEVER = 16383, 65535  # the highest step, and the code of a pixel without a value


def fitted(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """(height, width) in the proportions of `shape`, the longer side at most `longest`."""
    height, width = shape[:2]
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def averaged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    """Mean over the area of each pixel of the smaller map.

    Args:
        values: (H, W), NaN where there is no value.
        size: (h, w), at most (H, W).

    Returns:
        (h, w). NaN where less than half of the area has a value, otherwise the mean over the part with values. The
        average of standard errors is an upper bound of the standard error of the average.
    """
    if values.shape == size:
        return values.astype(np.float64)
    rows, columns = (_shares(old, new) for old, new in zip(values.shape, size, strict=True))
    known = np.isfinite(values)
    share = rows @ known.astype(np.float64) @ columns.T
    total = rows @ np.where(known, values, 0).astype(np.float64) @ columns.T
    means: NDArray[np.float64] = np.full(size, np.nan)
    np.divide(total, share, out=means, where=share >= 0.5 - 1e-9)
    return means


def _shares(old: int, new: int) -> NDArray[np.float64]:
    """(new, old): share of each new pixel that every old pixel covers; rows add up to 1."""
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap: NDArray[np.float64] = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.maximum(overlap, 0) * (new / old)


def packed(values: NDArray[np.float64]) -> dict[str, Any] | None:
    """A map (h, w) as JSON types: its range, and its steps as compressed text; None if it has no value at all."""
    known = np.isfinite(values)
    if not known.any():
        return None
    low, high = float(values[known].min()), float(values[known].max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    steps = np.where(known, np.rint(np.where(known, share, 0) * STEPS), NEVER).astype(np.uint16)
    down = np.diff(steps, axis=0, prepend=np.uint16(0))  # wraps around at 65,536, as does the sum that inverts it
    across = np.diff(down, axis=1, prepend=np.uint16(0)).astype("<u2")
    planes = across.tobytes()[0::2] + across.tobytes()[1::2]
    return {"low": low, "high": high, "steps": base64.b64encode(zlib.compress(planes, 9)).decode()}


def jpeg(pixels: NDArray[np.uint8], longest: int, quality: int = 85) -> str:
    """A picture (h, w, 3) as the data URI of a JPEG, at most `longest` pixels along its longer side."""
    height, width = fitted(pixels.shape, longest)
    picture = Image.fromarray(pixels)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality, optimize=True)
    return data_uri(stream.getvalue(), "image/jpeg")


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
