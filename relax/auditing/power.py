"""Power: which marks would this audit have seen?

Marks are planted and the tests are repeated, on the audited pictures and their own noise. For the test of places, a
mark makes some pictures change alike when one cell is hidden: their changes then have a cosine of 0.5 to each other,
at a random cell. For details that recur, a square of random blocks is pasted into the pictures, each time at another
place or always at the same; pairs of a picture with and one without it, and mirror images, are taken to agree as they
do without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relax.auditing.marks import Marks, compare_mirrored, peaks
from relax.auditing.one_place import agreements, compare_moved, spectra_in_place, stretched
from relax.auditing.positions import compare_positions
from relax.auditing.shortcuts import LEVEL, SHARPNESS, CellEvidence
from relax.auditing.spectra import fingerprints, luma_of
from relax.io.errors import ImageError
from relax.text import listed

SHARES = (0.1, 0.25, 0.5)
SIZES = (0.1, 0.2)  # side of the square, as a share of the shorter side of the picture
ALIKE = 0.5
DRAWS = 20
FLIPS = 999


@dataclass(frozen=True)
class Power:
    """How often a planted mark is found.

    Attributes:
        test: "places" or "details".
        mark: What was planted, in words.
        share: Of the pictures that carry it.
        found: Share of the draws with p at most 0.05.
    """

    test: str
    mark: str
    share: float
    found: float


def power_of_places(evidence: CellEvidence, questions: int, *, seed: int = 0) -> list[Power]:
    """Plant recurrences in one cell.

    Args:
        evidence: The question "recurrence".
        questions: By which p-values are multiplied.
        seed: The only source of randomness.
    """
    draws, count, side = np.random.default_rng(seed), len(evidence.images), evidence.values.shape[1]
    results = []
    for share in SHARES:
        carriers = max(2, round(share * count))
        agreement = np.exp(SHARPNESS * (ALIKE - 1)) * (carriers - 1) / (2 * (count - 1))
        hits = 0
        for draw in range(DRAWS):
            values, cell = evidence.values.copy(), tuple(draws.integers(side, size=2))
            values[(draws.permutation(count)[:carriers], *cell)] += agreement
            p = compare_positions(values, evidence.mirrored, seed=seed + draw, flips=FLIPS).p[cell]
            hits += questions * p <= LEVEL
        mark = f"in one place (changes with a cosine of {ALIKE})"
        results.append(Power("places", mark, share, hits / DRAWS))
    return results


def power_of_details(root: Path, paths: Sequence[str], marks: Marks, *, seed: int = 0) -> list[Power]:
    """Paste a square of random blocks into the pictures that were compared.

    Args:
        root: The folder.
        paths: Of all images, relative to it.
        marks: The comparison of the pictures as they are, which found nothing: what it found would be found again.
        seed: The only source of randomness.

    Returns:
        The power by size and share; empty if a picture has disappeared meanwhile.
    """
    draws, count, results = np.random.default_rng(seed), len(marks.images), []
    try:
        lumas = [luma_of(root / paths[image]) for image in marks.images]
    except ImageError:
        return []
    for size in SIZES:
        spectra, _ = fingerprints([pasted(luma, size, draws.random(2)) for luma in lumas])
        standing, _ = spectra_in_place([pasted(luma, size, place) for luma, place in _at_one(stretched(lumas), draws)])
        planted, in_place = peaks(spectra, spectra), agreements(standing, standing)
        anywhere, one_place = marks.anywhere, marks.one_place
        first, second = np.tril_indices(count, -1)
        for share in SHARES:
            hits = {"anywhere": 0, "at one place": 0}
            for draw in range(DRAWS):
                carries = draws.permutation(count) < max(2, round(share * count))
                both = np.outer(carries, carries)
                mixed = np.where(both, planted, anywhere.agreement)
                p, _ = compare_mirrored(mixed, anywhere.control, seed=seed + draw, draws=FLIPS)
                hits["anywhere"] += 2 * p <= LEVEL
                mixed_in_place = np.where(both[first, second][:, None, None], in_place, one_place.agreement)
                p, _ = compare_moved(mixed_in_place, one_place.control, seed=seed + draw, draws=FLIPS)
                hits["at one place"] += 2 * p <= LEVEL
            for where, times in hits.items():
                mark = f"{where} (a square of {size:.0%} of the side)"
                results.append(Power("details", mark, share, times / DRAWS))
    return results


def _at_one(
    lumas: Sequence[NDArray[np.float64]], draws: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Every picture with one place for all."""
    place = draws.random(2)
    return ((luma, place) for luma in lumas)


def pasted(luma: NDArray[np.float64], size: float, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy of a picture (h, w) with a square of 6 x 6 black and white blocks, always the same.

    Args:
        luma: In [0, 1].
        size: Side of the square, as a share of the shorter side.
        place: (2,) in [0, 1): from the top and left end, 0, to the bottom and right end.
    """
    side = max(6, round(size * min(luma.shape)))
    blocks = np.random.default_rng(0).integers(0, 2, (6, 6)).astype(np.float64)
    square = blocks[np.ix_(*[np.arange(side) * 6 // side] * 2)]
    top, left = (int(share * max(1, length - side + 1)) for share, length in zip(place, luma.shape, strict=True))
    picture = luma.copy()
    area = picture[top : top + side, left : left + side]
    area[:] = square[: area.shape[0], : area.shape[1]]
    return picture


def power_in_words(power: Sequence[Power]) -> str:
    """The shares of draws in which the marks of one test were found."""
    marks = dict.fromkeys(result.mark for result in power)
    parts = []
    for mark in marks:
        results = [result for result in power if result.mark == mark]
        shares = listed([f"{result.share:.0%}" for result in results])
        powers = listed([f"{result.found:.0%}" for result in results])
        parts.append(f"A mark planted {mark} in {shares} of the pictures was found in {powers} of the draws.")
    return " ".join(parts)
