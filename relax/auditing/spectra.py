"""Phase correlation of pictures: where two of them agree, whatever their brightness and contrast.

Brightness is flattened and all frequencies are made equally strong, so that a detail that two pictures show gives a
peak at the shift between its places.

Source: Kuglin & Hines (IEEE Conf. Cybernetics and Society, 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from relax.io.images import read_image
from relax.io.small import shrunk

SIDE = 160  # px of the longer side
EDGE = 4  # px over which a picture fades out at its border, which is no detail of it


def luma_of(file: Path) -> NDArray[np.float64]:
    """(h, w) in [0, 1], at most `SIDE` along each side.

    Raises:
        ImageError: If the file is no picture that can be used.
    """
    luma: NDArray[np.float64] = shrunk(read_image(file, channels=1), SIDE)[0, 0].double().numpy()
    return luma


def fingerprints(
    lumas: Sequence[NDArray[np.float64]], frame: int | None = None
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Spectra of pictures and of their left-right mirror images, all frequencies equally strong.

    Args:
        lumas: (h, w) each, in [0, 1].
        frame: Side of the frame f; None is twice the longest side, with room for every shift without wrapping round.

    Returns:
        (n, f, f / 2 + 1) each.
    """
    frame = frame or 2 * max(max(luma.shape) for luma in lumas)
    fine = [_details(luma) for luma in lumas]
    plain, mirrored = (np.stack([_spectrum(image[:, ::step], frame) for image in fine]) for step in (1, -1))
    return plain, mirrored


def correlations(first: NDArray[np.complex64], others: NDArray[np.complex64]) -> NDArray[np.float32]:
    """(k, f, f) at each shift of the others against the first, smoothed over neighbouring shifts."""
    heights: NDArray[np.float32] = irfft2(first * others.conj() * _smoothing(len(first)))
    return heights


def usual(heights: NDArray[np.floating], beyond: float) -> NDArray[np.floating]:
    """About the largest height of pairs that share nothing, even where half of all pairs share something.

    Args:
        heights: (k, ...) of pictures with pictures and, as many, with mirror images, at each of several shifts.
        beyond: How far it lies above their 40 % quantile, in units of the distance from there to the 5 % quantile.
    """
    low, typical = np.quantile(heights, [0.05, 0.4], axis=0)
    limit: NDArray[np.floating] = typical + beyond * (typical - low)
    return limit


def _details(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """(h, w) fine structure, equally strong everywhere, fading out at the border."""
    fine = luma - gaussian_filter(luma, 2)
    inside: NDArray[np.float64] = np.outer(*(_fade(side) for side in luma.shape))
    inside *= fine / np.sqrt(gaussian_filter(fine**2, 5) + 1e-4)
    return inside


def _spectrum(fine: NDArray[np.float64], frame: int) -> NDArray[np.complex64]:
    spectrum = rfft2(fine, (frame, frame))
    strength = np.abs(spectrum)
    even: NDArray[np.complex64] = (spectrum / (strength + 1e-3 * strength.mean() + 1e-12)).astype(np.complex64)
    return even


def _fade(side: int) -> NDArray[np.float64]:
    """(side,) 1 inside, falling to nearly 0 at both ends."""
    places = np.arange(side)
    return np.minimum(1, (np.minimum(places, side - 1 - places) + 0.5) / EDGE)


@cache
def _smoothing(frame: int) -> NDArray[np.float32]:
    """The transfer function of a Gaussian of 1 px, since a shift is rarely a whole number of pixels."""
    rows, columns = np.fft.fftfreq(frame), np.fft.rfftfreq(frame)
    squared = rows[:, None] ** 2 + columns[None] ** 2
    return np.exp(-2 * (0.7 * np.pi) ** 2 * squared).astype(np.float32)
