"""Marks: does the same detail stand in many pictures, at one place of the frame or wherever it stands?

Anywhere: every two pictures are compared by phase correlation at the shift where they agree best. The control is the
mirror image. What pictures have in common by chance, or by being of one kind, agrees with mirror images as well;
writing and most marks do not. Null hypothesis: each picture is as likely as its mirror image, whatever the others are.
Mirroring a random half of them then changes nothing, so the agreement over all pairs is compared with that under
thousands of such choices. At one place: see `relax.auditing.one_place`. The p-values of the two are doubled.

The limits of this: a mark that equals its mirror image is not found, nor one whose size or angle changes; and pictures
of one scene agree everywhere, so of near-duplicates only one should take part. A pair counts up to a limit, lest a few
such pairs decide. No encoder is asked: see `relax.auditing.answers`.

Source: tests by a group of symmetries: Lehmann & Romano, Testing Statistical Hypotheses (2005), section 15.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2
from scipy.ndimage import gaussian_filter

from relax.auditing.one_place import agreements, common_detail, compare_moved, median_size, spectra_in_place, stretched
from relax.auditing.spectra import SIDE, correlations, fingerprints, luma_of, usual
from relax.estimators.budget import Progress
from relax.io.errors import ImageError

PICTURES = 96  # compared with one another
MIN_PICTURES = 8  # with n of them the smallest p-value is about 2^(1 - n)
DRAWS = 4999
BEYOND = 3.5  # see `usual`: in photographs, 1 pair of 100 counts
AT_MOST = 5.0  # what a pair counts, in standard deviations of its correlation
PARTNERS = 3  # with which a mark is located
BOX = SIDE // 5  # px, side of the box drawn around it

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Recurrence:
    """What one of the two comparisons says.

    Attributes:
        p: Of the agreement over all pairs.
        score: (n,) how much more each picture agrees with the others than with their mirror images.
        agreement: Of every two pictures, see `peaks` and `relax.auditing.one_place.agreements`.
        control: The same with mirror images.
    """

    p: float
    score: NDArray[np.float64]
    agreement: NDArray[np.floating]
    control: NDArray[np.floating]


@dataclass(frozen=True)
class Marks:
    """A detail that recurs, and where.

    Attributes:
        images: (n,) the images that were compared.
        anywhere: The comparison at the best shift.
        one_place: The comparison without a shift.
        carriers: Images that show the detail, the clearest first, by the comparison with the smaller p: those whose
            score is above any that occurs with the opposite sign. Empty where p is above 0.05.
        boxes: (top, left, bottom, right) of the detail as shares of the picture, by carrier.
    """

    images: tuple[int, ...]
    anywhere: Recurrence
    one_place: Recurrence
    carriers: tuple[int, ...]
    boxes: dict[int, Box]

    @property
    def in_place(self) -> bool:
        """Whether the evidence for one place is the stronger."""
        return self.one_place.p <= self.anywhere.p

    @property
    def found(self) -> Recurrence:
        """The comparison with the smaller p."""
        return self.one_place if self.in_place else self.anywhere

    @property
    def p(self) -> float:
        """The smaller p of the two comparisons, doubled."""
        return min(1.0, 2 * self.found.p)


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
    marks, wandering, standing = compare(lumas, used, seed=seed)
    return name_carriers(marks, wandering, standing, [luma.shape for luma in lumas], level=level)


def compare(
    lumas: Sequence[NDArray[np.float64]], images: Sequence[int], *, seed: int = 0
) -> tuple[Marks, NDArray[np.complex64], NDArray[np.complex64]]:
    """Both comparisons of pictures (h, w), without carriers, and the spectra (n, f, f / 2 + 1) behind each."""
    plain, mirrored = fingerprints(lumas)
    agreement, control = peaks(plain, plain), peaks(plain, mirrored)
    anywhere = Recurrence(*compare_mirrored(agreement, control, seed=seed), agreement, control)
    standing, turned = spectra_in_place(stretched(lumas))
    local, local_control = agreements(standing, standing), agreements(standing, turned)
    one_place = Recurrence(*compare_moved(local, local_control, seed=seed), local, local_control)
    return Marks(tuple(images), anywhere, one_place, (), {}), plain, standing


def name_carriers(
    marks: Marks,
    wandering: NDArray[np.complex64],
    standing: NDArray[np.complex64],
    sizes: Sequence[tuple[int, ...]],
    *,
    level: float = 0.05,
) -> Marks:
    """The same marks with carriers and boxes, unless p is above the level.

    Args:
        marks: The comparisons of n pictures.
        wandering: Their spectra, see `fingerprints`.
        standing: Their spectra, see `relax.auditing.one_place.spectra_in_place`.
        sizes: (h, w) of each picture that was compared.
        level: Largest p at which carriers are named.
    """
    if marks.p > level:
        return marks
    score = marks.found.score
    carriers = [int(place) for place in np.argsort(-score, kind="stable") if score[place] > max(0.0, -score.min())]
    if marks.in_place:
        boxes = dict.fromkeys(carriers, _peak(common_detail(standing[carriers], BOX / 4), median_size(sizes)))
    else:
        boxes = {place: _box(place, wandering, marks.anywhere.agreement, sizes[place]) for place in carriers}
    named = {marks.images[place]: box for place, box in boxes.items()}
    return replace(marks, carriers=tuple(named), boxes=named)


def peaks(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[np.float64]:
    """(n, n) height of the largest correlation of every two pictures, over its standard deviation; 0 with itself."""
    heights = np.zeros((len(first), len(first)))
    for place in range(1, len(first)):
        correlation = correlations(first[place], second[:place])
        spread = np.maximum(correlation.std((1, 2)), 1e-12)  # nothing at all agrees with nothing
        heights[place, :place] = correlation.max((1, 2)) / spread
    return heights + heights.T


def compare_mirrored(
    agreement: NDArray[np.floating], control: NDArray[np.floating], *, seed: int = 0, draws: int = DRAWS
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
    limit = float(usual(np.concatenate([agreement[pairs], control[pairs]]), BEYOND))
    difference = np.clip(agreement - limit, 0, AT_MOST) - np.clip(control - limit, 0, AT_MOST)
    np.fill_diagonal(difference, 0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    mirrored = ((signs @ difference) * signs).sum(1)
    p = (1 + int((mirrored >= difference.sum() - 1e-9).sum())) / (1 + draws)
    return p, difference.sum(1)


def _box(place: int, spectra: NDArray[np.complex64], agreement: NDArray[np.floating], size: Sequence[int]) -> Box:
    """Where the detail is in a picture: where it agrees most with its closest partners, each shifted onto it."""
    partners = np.argsort(-agreement[place], kind="stable")[:PARTNERS]
    own = irfft2(spectra[place])
    agree = np.zeros_like(own)
    for correlation, other in zip(correlations(spectra[place], spectra[partners]), partners, strict=True):
        shift = np.unravel_index(int(correlation.argmax()), correlation.shape)
        agree += own * np.roll(irfft2(spectra[other]), shift, axis=(0, 1))
    return _peak(gaussian_filter(agree, BOX / 4), size)


def _peak(agree: NDArray[np.float64], size: Sequence[int]) -> Box:
    """The box around the largest value (h, w) of a picture of this size."""
    local = agree[: size[0], : size[1]]
    row, column = np.unravel_index(int(local.argmax()), local.shape)
    ends = [
        edge
        for middle, side in zip((int(row), int(column)), size, strict=True)
        for edge in (max(0.0, (middle - BOX / 2) / side), min(1.0, (middle + BOX / 2) / side))
    ]
    return ends[0], ends[2], ends[1], ends[3]
