"""Marks: does the same detail stand in many pictures, wherever in the frame it stands?

Every two pictures are compared by phase correlation: after their brightness is flattened and all frequencies are made
equally strong, a detail that both show, such as a label or a logo, gives a peak at the shift between its two places.
The control is the mirror image. What pictures have in common by chance, or by being of one kind, agrees with mirror
images as well; writing and most marks do not.

Null hypothesis: each picture is as likely as its mirror image, whatever the others are. Mirroring a random half of them
then changes nothing, so the agreement over all pairs is compared with that under thousands of such choices. The limits
of this: a mark that equals its mirror image is not found, nor one whose size or angle changes; and pictures of one
scene agree everywhere, so of near-duplicates only one should take part. A pair counts up to a limit, lest a few such
pairs decide. No encoder is asked: what an encoder makes of a mark is told by hiding it.

Sources: phase correlation: Kuglin & Hines (IEEE Conf. Cybernetics and Society, 1975); tests by a group of symmetries:
Lehmann & Romano, Testing Statistical Hypotheses (2005), section 15.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from relax.estimators.budget import Progress
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.small import shrunk

SIDE = 160  # px of the longer side
PICTURES = 96  # compared with one another
MIN_PICTURES = 8  # with n of them the smallest p-value is about 2^(1 - n)
EDGE = 4  # px over which a picture fades out at its border, which is no detail of it
DRAWS = 4999
AT_MOST = 5.0  # what a pair counts, in standard deviations of its correlation
PARTNERS = 3  # with which a mark is located
BOX = SIDE // 5  # px, side of the box drawn around it

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Marks:
    """A detail that recurs, and where.

    Attributes:
        images: (n,) the images that were compared.
        p: Of the agreement over all pairs, against mirror images.
        agreement: (n, n) of every two pictures, see `peaks`.
        control: (n, n) of each with the mirror images of the others.
        score: (n,) how much more each picture agrees with the others than with their mirror images.
        carriers: Images that show the detail, the clearest first: those whose score is above any that occurs with the
            opposite sign. Empty where p is above 0.05.
        boxes: (top, left, bottom, right) of the detail as shares of the picture, by carrier.
    """

    images: tuple[int, ...]
    p: float
    agreement: NDArray[np.float64]
    control: NDArray[np.float64]
    score: NDArray[np.float64]
    carriers: tuple[int, ...]
    boxes: dict[int, Box]


def find_marks(
    root: Path, paths: Sequence[str], images: Sequence[int], progress: Progress, *, level: float = 0.05, seed: int = 0
) -> Marks | None:
    """Compare pictures with one another.

    Args:
        root: The folder.
        paths: Of all images, relative to it.
        images: Indices of those to compare, at most one of every group of near-duplicates.
        progress: Called with (pictures done, total).
        level: Largest p at which carriers are named.
        seed: The only source of randomness.

    Returns:
        The result; None with fewer than 8 pictures that can be read.
    """
    used, lumas = [], []
    for place, image in enumerate(images):
        progress(place, len(images))
        try:
            lumas.append(luma_of(root / paths[image]))
        except ImageError:
            continue
        used.append(image)
    if len(used) < MIN_PICTURES:
        return None
    plain, mirrored = fingerprints(lumas)
    agreement, control = peaks(plain, plain), peaks(plain, mirrored)
    p, score = compare_mirrored(agreement, control, seed=seed)
    order = np.argsort(-score, kind="stable")
    carriers = [int(place) for place in order if p <= level and score[place] > max(0.0, -score.min())]
    boxes = {used[place]: _box(place, plain, agreement, lumas[place].shape) for place in carriers}
    return Marks(tuple(used), p, agreement, control, score, tuple(used[place] for place in carriers), boxes)


def luma_of(file: Path) -> NDArray[np.float64]:
    """(h, w) in [0, 1], at most `SIDE` along each side.

    Raises:
        ImageError: If the file is no picture that can be used.
    """
    luma: NDArray[np.float64] = shrunk(read_image(file, channels=1), SIDE)[0, 0].double().numpy()
    return luma


def fingerprints(lumas: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Spectra of pictures and of their left-right mirror images, all frequencies equally strong.

    Args:
        lumas: (h, w) each, in [0, 1].

    Returns:
        (n, f, f / 2 + 1) each, of frames with room for every shift without wrapping round: f is twice the longest side.
    """
    frame = 2 * max(max(luma.shape) for luma in lumas)
    fine = [_details(luma) for luma in lumas]
    plain, mirrored = (np.stack([_spectrum(image[:, ::step], frame) for image in fine]) for step in (1, -1))
    return plain, mirrored


def peaks(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[np.float64]:
    """(n, n) height of the largest correlation of every two pictures, over its standard deviation; 0 with itself."""
    heights = np.zeros((len(first), len(first)))
    for place in range(1, len(first)):
        correlation = _correlation(first[place], second[:place])
        spread = np.maximum(correlation.std((1, 2)), 1e-12)  # nothing at all agrees with nothing
        heights[place, :place] = correlation.max((1, 2)) / spread
    return heights + heights.T


def compare_mirrored(
    agreement: NDArray[np.float64], control: NDArray[np.float64], *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, NDArray[np.float64]]:
    """Is the agreement of pictures larger than if a random half of them were mirrored?

    Args:
        agreement: (n, n) of every two pictures; symmetric, the diagonal does not count.
        control: The same of each picture with the mirror image of the other.
        seed: Seed of the random halves.
        draws: Their number.

    Returns:
        p, and (n,) the sum of each picture's differences, which is about 0 for one that shares nothing.
    """
    pairs = ~np.eye(len(agreement), dtype=bool)
    usual = float(np.quantile(np.concatenate([agreement[pairs], control[pairs]]), 0.95))
    difference = np.clip(agreement - usual, 0, AT_MOST) - np.clip(control - usual, 0, AT_MOST)
    np.fill_diagonal(difference, 0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    mirrored = ((signs @ difference) * signs).sum(1)
    p = (1 + int((mirrored >= difference.sum() - 1e-9).sum())) / (1 + draws)
    return p, difference.sum(1)


def _box(place: int, spectra: NDArray[np.complex64], agreement: NDArray[np.float64], size: tuple[int, ...]) -> Box:
    """Where the detail is in a picture: where it agrees most with its closest partners, each shifted onto it."""
    partners = np.argsort(-agreement[place], kind="stable")[:PARTNERS]
    own = irfft2(spectra[place])
    agree = np.zeros_like(own)
    for correlation, other in zip(_correlation(spectra[place], spectra[partners]), partners, strict=True):
        shift = np.unravel_index(int(correlation.argmax()), correlation.shape)
        agree += own * np.roll(irfft2(spectra[other]), shift, axis=(0, 1))
    local = gaussian_filter(agree, BOX / 4)[: size[0], : size[1]]
    row, column = np.unravel_index(int(local.argmax()), local.shape)
    ends = [
        edge
        for middle, side in zip((int(row), int(column)), size, strict=True)
        for edge in (max(0.0, (middle - BOX / 2) / side), min(1.0, (middle + BOX / 2) / side))
    ]
    return ends[0], ends[2], ends[1], ends[3]


def _correlation(first: NDArray[np.complex64], others: NDArray[np.complex64]) -> NDArray[np.float32]:
    """(k, f, f) at each shift of the others against the first, smoothed over neighbouring shifts."""
    correlation: NDArray[np.float32] = irfft2(first * others.conj() * _smoothing(len(first)))
    return correlation


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
