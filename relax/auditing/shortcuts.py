"""Shortcut candidates: places that matter in many pictures because of what the pictures show there.

Three questions about each cell of a grid. Importance: is the cell's importance, standardised within each picture,
higher than at the same place of the mirrored picture? Hiding: does hiding the cell move the embedding from the centre
of its cluster towards another, more than hiding the same place of the mirrored picture does? Recurrence: does it move
the embedding in the direction in which it moves that of other pictures? The first two see a mark that most pictures
have or that makes clusters. The third also sees one that only some have, in any cluster: those that show the same thing
in one place change alike when it goes. Each is tested over all cells at once (`relax.auditing.positions`); the p-values
are multiplied by the number of questions (Bonferroni).

This finds a burnt-in label, a ruler or a frame, but also anything else that is always photographed in one corner: the
test finds places, and people decide what is a shortcut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from relax.auditing.neighbours import unit
from relax.auditing.positions import MIN_PICTURES, PositionTest, compare_positions, standardised

LEVEL = 0.05
SHARPNESS = 12.0  # of the kernel on cosines: only changes in nearly the same direction count as the same
EXAMPLES = 6


@dataclass(frozen=True)
class CellEvidence:
    """The numbers of one question, for every explained or hidden picture and its mirror image: (n, s, s) each.

    Attributes:
        values: Of the picture as it is.
        mirrored: Of its mirror image, in the frame of that image.
        images: (n,) index of each picture among the images of the archive.
    """

    values: NDArray[np.float64]
    mirrored: NDArray[np.float64]
    images: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """Adjacent cells with evidence of a shortcut.

    Attributes:
        cells: (row, column) of each, from the top left.
        peak: The cell with the largest effect.
        box: (top, left, bottom, right) as shares of what the encoder sees.
        question: "importance", "hiding" or "recurrence", whichever has the strongest evidence.
        t: Mean difference to the mirrored pictures at the peak, in standard errors.
        p: Corrected for all cells and questions.
        moved: Share of the pictures whose nearest cluster centre changes when the peak is hidden; NaN if not tested.
        examples: Images with the largest difference at the peak, strongest first.
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
    """Results of the tests, and the regions.

    Attributes:
        tests: By question; questions with too few pictures are left out.
        p: (s, s) corrected for all cells and questions.
        strength: (s, s) the mean difference of the question with the stronger evidence, in units of its root mean
            square over the cells. Within a region it points at the mark itself: the t of a mark that only some
            pictures have is no larger than that of its faint surroundings.
        moved: (s, s) share of the pictures that change cluster when the cell is hidden; NaN if not tested.
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
    """Test every cell and rank the regions.

    Args:
        evidence: By question: "importance" (maps averaged over cells), "hiding" (`hiding_effects`), "recurrence"
            (`recurrences`).
        moved: (n, s, s) whether hiding the cell changes the nearest centre, for the pictures of "hiding".
        seed: Seed of the permutation test.

    Returns:
        The regions with their evidence; None if no question has the 8 pictures that the test needs.
    """
    questions = {name: cells for name, cells in evidence.items() if len(cells.images) >= MIN_PICTURES}
    if not questions:
        return None
    differences, tests = {}, {}
    for name, cells in questions.items():
        values, mirrored = cells.values, cells.mirrored
        if name == "importance":  # maps differ in level and spread
            values, mirrored = standardised(values), standardised(mirrored)
        differences[name] = values - mirrored
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
        members = [(int(row), int(column)) for row, column in np.argwhere(numbered == number)]
        peak = min(members, key=lambda cell: -best[cell])
        name = names[first[peak]]
        strongest = np.argsort(-differences[name][:, *peak], kind="stable")[:EXAMPLES]
        images = questions[name].images
        regions.append(
            Region(
                cells=tuple(members),
                peak=peak,
                box=_box(members, len(best_p)),
                question=name,
                t=float(best_t[peak]),
                p=float(best_p[peak]),
                moved=float(shares[peak]),
                examples=tuple(images[place] for place in strongest if differences[name][place, *peak] > 0),
            )
        )
    regions.sort(key=lambda region: -best[region.peak])
    return Shortcuts(tests, best_p, best, shares, tuple(regions))


def hiding_effects(
    image_embedding: NDArray[np.float32], hidden: NDArray[np.float32], centres: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far hiding each cell moves one picture from its cluster towards the others.

    Args:
        image_embedding: (D,) of the picture with nothing hidden.
        hidden: (s^2, D) with one cell hidden each.
        centres: (K, D) cluster centres, K at least 2.

    Returns:
        (s^2,) decrease of the margin, which is the cosine to the centre nearest to `image_embedding` minus that to the
        nearest other centre; (s^2,) whether another centre is then the nearest.
    """
    directions = unit(centres)
    image_cosines, hidden_cosines = unit(image_embedding[None]) @ directions.T, unit(hidden) @ directions.T
    cluster = int(image_cosines.argmax())
    before, after = _margin(image_cosines, cluster), _margin(hidden_cosines, cluster)
    return before - after, after < 0


def recurrences(
    changes: NDArray[np.float32], mirrored: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How alike the embedding changes in other pictures when the same cell is hidden.

    Both numbers of a picture compare with the same set, all others as they are and mirrored. So exchanging any picture
    with its mirror image exchanges only its own two numbers, as the test of positions assumes.

    Args:
        changes: (n, s^2, D) the embedding of each picture minus that with the cell hidden.
        mirrored: The same of their mirror images.

    Returns:
        (n, s^2) for the pictures and for their mirror images: the mean of exp(12 (cosine - 1)) between the change and
        those of the 2 (n - 1) others, in [0, 1].
    """
    count, cells = changes.shape[:2]
    values = np.empty((2 * count, cells))
    others = ~np.tile(np.eye(count, dtype=bool), (2, 2))
    for cell in range(cells):
        directions = unit(np.concatenate([changes[:, cell], mirrored[:, cell]]))
        alike = np.exp(SHARPNESS * (directions @ directions.T - 1))
        values[:, cell] = alike.mean(1, where=others)
    return values[:count], values[count:]


def _margin(cosines: NDArray[np.float64], cluster: int) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = cosines[:, cluster] - np.delete(cosines, cluster, axis=1).max(1)
    return margin


def _over_rms(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """In units of their root mean square; 0 where all are 0."""
    rms = float(np.sqrt((differences**2).mean()))
    return differences / rms if rms > 0 else np.zeros_like(differences)


def _box(cells: list[tuple[int, int]], side: int) -> tuple[float, float, float, float]:
    rows, columns = zip(*cells, strict=True)
    return min(rows) / side, min(columns) / side, (max(rows) + 1) / side, (max(columns) + 1) / side
