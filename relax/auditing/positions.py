"""Is something in the pictures important in the same place throughout? A test with its own control.

Every encoder weighs some places more than others, whatever the picture shows (because of padding or training crops),
and photographers put things in the middle. Neither is a shortcut. So each picture is measured twice, as it is and
mirrored, and only the difference at each place counts: a preference of the encoder or of the framing cancels, what the
pictures show there does not, since mirroring moves it elsewhere.

Null hypothesis: a picture and its mirror image are exchangeable, so that the sign of each difference is a coin toss.
The largest t over all places, under thousands of random signs, gives p-values that hold for all places at once
(family-wise); t rather than the mean, since encoders react to some places far more than to others. What looks the same
when mirrored, such as the exact centre or four equal corners, cannot be found.

Sources: sign flips and the largest statistic: Nichols & Holmes (Human Brain Mapping 15, 2002); Westfall & Young,
Resampling-Based Multiple Testing (1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLIPS = 4999
MIN_PICTURES = 8  # with n of them the smallest p-value is about 2^-n
MIRRORS = ("left-right", "top-bottom", "both")


@dataclass(frozen=True)
class PositionTest:
    """Results for each place of a grid, over many pictures.

    Attributes:
        mean: (s, s) mean over the pictures, as they are.
        difference: (s, s) mean difference to the mirrored pictures at the same place.
        t: (s, s) that difference in units of its standard error.
        p: (s, s) family-wise corrected, one-sided: greater than mirrored.
        pictures: Their number.
    """

    mean: NDArray[np.float64]
    difference: NDArray[np.float64]
    t: NDArray[np.float64]
    p: NDArray[np.float64]
    pictures: int


def mirror_of(index: int) -> str:
    """How the picture of this number is mirrored: the three ways take turns."""
    return MIRRORS[index % len(MIRRORS)]


def mirrored_axes(mirror: str) -> tuple[int, ...]:
    """The axes, counted from the end, that are reversed: -1 across, -2 down."""
    return {"left-right": (-1,), "top-bottom": (-2,), "both": (-2, -1)}[mirror]


def compare_positions(
    values: NDArray[np.float64], mirrored: NDArray[np.float64], *, seed: int = 0, flips: int = FLIPS
) -> PositionTest:
    """Compare pictures with their mirror images, place by place.

    Args:
        values: (n, s, s) one number per picture and place.
        mirrored: (n, s, s) the same for the mirrored pictures, in their own frame.
        seed: Seed of the random signs.
        flips: Number of draws.

    Raises:
        ValueError: If the shapes differ, there are fewer than 8 pictures, or a number is not finite.
    """
    if values.ndim != 3 or values.shape != mirrored.shape:
        raise ValueError(f"values and mirrored must be (n, s, s) alike; got {values.shape} and {mirrored.shape}")
    if len(values) < MIN_PICTURES:
        raise ValueError(f"a test of positions needs at least {MIN_PICTURES} pictures; got {len(values)}")
    if not (np.isfinite(values).all() and np.isfinite(mirrored).all()):
        raise ValueError("values and mirrored must be finite; got NaN or infinity")
    count = len(values)
    differences = (values - mirrored).reshape(count, -1)
    observed = _t(differences.mean(0), differences)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(flips, count))
    largest = _t(signs @ differences / count, differences).max(1)
    p = (1 + (largest[:, None] >= observed - 1e-9).sum(0)) / (1 + flips)
    grid = values.shape[1:]
    difference, t, p = (part.reshape(grid) for part in (differences.mean(0), observed, p))
    return PositionTest(values.mean(0), difference, t, p, count)


def standardised(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, s, s) each map minus its mean, over its standard deviation; 0 for a constant map."""
    centred = maps - maps.mean((1, 2), keepdims=True)
    spread = centred.std((1, 2), keepdims=True)
    standard: NDArray[np.float64] = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return standard


def _t(mean: NDArray[np.float64], differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (..., cells) over their standard errors; the sum of squares does not depend on signs."""
    count = len(differences)
    squares = (differences**2).sum(0)
    variance = np.maximum(squares - count * mean**2, 1e-12 * squares + 1e-300) / (count - 1)
    t: NDArray[np.float64] = mean / np.sqrt(variance / count)
    return t
