"""Shortcut candidates: places that matter in many pictures because of what the pictures show there.

Two questions to each cell of a grid. Importance: is the cell's importance, standardised within each picture, higher
than at the same place of the mirrored picture? Hiding: does covering the cell move the embedding from its own cluster's
centre towards another's, more than covering the same place of the mirrored picture does? Each is tested over
all cells at once (`relax.auditing.positions`); asking two questions doubles the p-values (Bonferroni).

A burnt-in label, a ruler or a frame is found this way, but so is anything else that is always photographed in one
corner: the test finds places, and people decide what is a shortcut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from relax.auditing.neighbours import unit
from relax.auditing.positions import LEAST, PositionTest, compare_positions, standardised

LEVEL = 0.05
EXAMPLES = 6


@dataclass(frozen=True)
class CellEvidence:
    """One question's numbers for every explained or hidden picture, as it is and mirrored: (n, s, s) each.

    Attributes:
        values: As it is.
        mirrored: The mirror image, in its own frame.
        images: (n,) which image of the archive each picture is.
    """

    values: NDArray[np.float64]
    mirrored: NDArray[np.float64]
    images: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """Neighbouring cells with evidence of a shortcut.

    Attributes:
        cells: (row, column) of each, from the top left.
        peak: The one with the largest effect.
        box: (top, left, bottom, right) as shares of what the encoder sees.
        question: "importance" or "hiding", whichever has the stronger evidence.
        t: There, the mean difference to the mirrored pictures in standard errors.
        p: Corrected for all cells and both questions.
        moved: Share of the pictures whose nearest cluster centre changes when the peak is hidden; NaN if not asked.
        examples: Images in which it shows most, strongest first.
    """

    cells: tuple[tuple[int, int], ...]
    peak: tuple[int, int]
    box: tuple[float, float, float, float]
    question: str
    t: float
    p: float
    moved: float
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Shortcuts:
    """What was found.

    Attributes:
        tests: By question; without one where there were too few pictures.
        p: (s, s) corrected for all cells and questions.
        strength: (s, s) the mean difference of the question with the stronger evidence, in units of its root mean
            square over the cells. Within a region it points at the mark itself: the t of a mark that only some
            pictures have is no larger than that of its faint surroundings.
        moved: (s, s) share of the pictures that change cluster when the cell is hidden; NaN if not asked.
        regions: Where p is at most 0.05, the largest effect first.
    """

    tests: dict[str, PositionTest]
    p: NDArray[np.float64]
    strength: NDArray[np.float64]
    moved: NDArray[np.float64]
    regions: tuple[Region, ...]


def find_shortcuts(
    evidence: dict[str, CellEvidence], moved: NDArray[np.bool_] | None = None, *, seed: int = 0
) -> Shortcuts | None:
    """Test every cell and rank what is found.

    Args:
        evidence: By question: "importance" (maps averaged over cells), "hiding" (`hiding_effects`).
        moved: (n, s, s) whether hiding the cell changes the nearest centre, for the pictures of "hiding".
        seed: Draws the signs of the permutation test.

    Returns:
        The regions with their evidence; None if no question has the 8 pictures that a test needs.
    """
    asked = {name: one for name, one in evidence.items() if len(one.images) >= LEAST}
    if not asked:
        return None
    apart, tests = {}, {}
    for name, one in asked.items():
        values, mirrored = one.values, one.mirrored
        if name == "importance":  # maps have levels of their own
            values, mirrored = standardised(values), standardised(mirrored)
        apart[name] = values - mirrored
        tests[name] = compare_positions(values, mirrored, seed=seed)
    names = list(tests)
    t = np.stack([tests[name].t for name in names])
    strength = np.stack([_over_rms(tests[name].difference) for name in names])
    p = np.minimum(1, len(names) * np.stack([tests[name].p for name in names]))
    first = np.lexsort((-strength, p), axis=0)[0]  # the question with the stronger evidence, for each cell
    best_t, best_p, best = (np.take_along_axis(numbers, first[None], axis=0)[0] for numbers in (t, p, strength))
    shares = np.full(best_p.shape, np.nan) if moved is None else moved.mean(0)
    regions = []
    numbered, count = label(best_p <= LEVEL)
    for number in range(1, count + 1):
        cells = [(int(row), int(column)) for row, column in np.argwhere(numbered == number)]
        peak = min(cells, key=lambda cell: -best[cell])
        name = names[first[peak]]
        strongest = np.argsort(-apart[name][:, *peak], kind="stable")[:EXAMPLES]
        regions.append(
            Region(
                cells=tuple(cells),
                peak=peak,
                box=_box(cells, len(best_p)),
                question=name,
                t=float(best_t[peak]),
                p=float(best_p[peak]),
                moved=float(shares[peak]),
                examples=tuple(asked[name].images[place] for place in strongest if apart[name][place, *peak] > 0),
            )
        )
    regions.sort(key=lambda region: -best[region.peak])
    return Shortcuts(tests, best_p, best, shares, tuple(regions))


def hiding_effects(
    own: NDArray[np.float32], hidden: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far hiding each cell moves one picture from its own cluster towards the others.

    Args:
        own: (D,) embedding of the picture.
        hidden: (s^2, D) with one cell hidden each.
        centres: (K, D) cluster centres, K at least 2.

    Returns:
        (s^2,) by how much the margin shrinks, the margin being the cosine to its own centre, that nearest to `own`,
        minus the cosine to the nearest other one; (s^2,) whether another centre is nearest then.
    """
    directions = unit(centres)
    whole, parts = unit(own[None]) @ directions.T, unit(hidden) @ directions.T
    home = int(whole.argmax())
    before, after = _margin(whole, home), _margin(parts, home)
    return before - after, after < 0


def _margin(cosines: NDArray[np.float64], home: int) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = cosines[:, home] - np.delete(cosines, home, axis=1).max(1)
    return margin


def _over_rms(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """In units of their root mean square; 0 where all are 0."""
    rms = float(np.sqrt((differences**2).mean()))
    return differences / rms if rms > 0 else np.zeros_like(differences)


def _box(cells: list[tuple[int, int]], side: int) -> tuple[float, float, float, float]:
    rows, columns = zip(*cells, strict=True)
    return min(rows) / side, min(columns) / side, (max(rows) + 1) / side, (max(columns) + 1) / side
