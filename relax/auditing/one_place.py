"""Marks at one place: does the same detail stand at the same place of several pictures?

All pictures are stretched to one size and compared without a shift. Their own frame agrees as well then, and so does
how they are composed. So the agreement of two pictures counts above that of one with the mirror image of the other,
and both count only above what is usual for pictures that lie on each other in this way.

Null hypothesis: what recurs does not do so at the very same pixels, so that moving each picture by a step of its own
changes nothing. The sum over all pairs is compared with that under thousands of such moves. Few carriers are enough:
with mirrored halves instead (`relax.auditing.marks`), k carriers lie alike in 2 of 2^k choices, so that p is at least
about 2^(1 - k), and 4 of 40 pictures are never found. Up-down mirror images and negatives are no control: light falls
from above, and lines are dark.

The test is as good as its null hypothesis, so it was measured: see docs/results.md, "What an audit finds".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from relax.auditing.spectra import correlations, fingerprints, usual

STEP = 13  # px
STEPS = 5  # a picture is moved by 0 to 4 steps, each way
SHIFTS = 2 * STEPS - 1  # between two pictures, each way
BEYOND = 2.5  # see `usual`: in photographs, 1 pair of 150 counts
AT_MOST = 5.0  # what a pair counts, in standard deviations of its correlation
DRAWS = 4999


def median_size(sizes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """The median height and width."""
    height, width = (round(float(np.median([size[axis] for size in sizes]))) for axis in (0, 1))
    return height, width


def stretched(lumas: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Pictures (h, w) in the median of their heights and widths."""
    size = median_size([luma.shape for luma in lumas])
    stretch = partial(F.interpolate, size=size, mode="bilinear", align_corners=False, antialias=True)
    return [stretch(torch.from_numpy(luma)[None, None])[0, 0].numpy() for luma in lumas]


def spectra_in_place(lumas: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """As `fingerprints`, in a frame with room for the moves alone."""
    return fingerprints(lumas, next_fast_len(max(lumas[0].shape) + STEP * (STEPS - 1) + 2, real=True) // 2 * 2)


def agreements(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[np.float32]:
    """How well pictures agree at each shift.

    Args:
        first: (n, f, f / 2 + 1) spectra of pictures, see `spectra_in_place`.
        second: The same, or those of the mirror images.

    Returns:
        (n (n - 1) / 2, 9, 9) of picture i in `first` and each j < i in `second`, in the order of `np.tril_indices`: the
        largest correlation within 1 px of each shift, over its standard deviation. [:, 4, 4] is without a shift.
    """
    frame, rows = first.shape[1], []
    shifts = STEP * np.arange(1 - STEPS, STEPS)
    near = [np.ix_((shifts + down) % frame, (shifts + across) % frame) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    for place in range(1, len(first)):
        heights = correlations(first[place], second[:place])
        spread = np.maximum(heights.std((1, 2), keepdims=True), 1e-12)
        rows.append(np.maximum.reduce([heights[:, *around] for around in near]) / spread)
    return np.concatenate(rows)


def compare_moved(
    agreement: NDArray[np.float32], control: NDArray[np.float32], *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, NDArray[np.float64]]:
    """Is the agreement of pictures larger as they lie than when each is moved by a step of its own?

    Args:
        agreement: (pairs, 9, 9) of every two pictures, see `agreements`.
        control: The same with the mirror image of one of them.
        seed: Seed of the moves.
        draws: Their number.

    Returns:
        p, and (n,) the sum of each picture's differences without a shift.
    """
    pairs = np.arange(len(agreement))
    count = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    limit = usual(np.concatenate([agreement, control]), BEYOND)
    counted = [np.clip(heights - limit, 0, AT_MOST) for heights in (agreement, control)]
    difference = (counted[0] - counted[1]).astype(np.float64)
    first, second = np.tril_indices(count, -1)
    steps = np.random.default_rng(seed).integers(STEPS, size=(draws, 2, count))
    rows, columns = np.moveaxis(steps[..., first] - steps[..., second] + STEPS - 1, 1, 0)
    moved = np.array([difference[pairs, *shift].sum() for shift in zip(rows, columns, strict=True)])
    here = difference[:, STEPS - 1, STEPS - 1]
    p = (1 + int((moved >= here.sum() - 1e-9).sum())) / (1 + draws)
    score = np.bincount(first, here, count) + np.bincount(second, here, count)
    return p, score.astype(np.float64)


def common_detail(spectra: NDArray[np.complex64], smooth: float) -> NDArray[np.float64]:
    """(f, f) how much pictures agree at each pixel: the sum of the products of every two, smoothed over `smooth` px."""
    fine = irfft2(spectra, axes=(1, 2))
    agree: NDArray[np.float64] = gaussian_filter(fine.sum(0) ** 2 - (fine**2).sum(0), smooth)
    return agree
