"""What does the encoder make of a mark? The mark is hidden in the pictures that show it, and the changes are compared.

Hiding any place changes an embedding, and hiding the same thing changes several alike. So the same place is hidden as
well in the mirror images of these pictures, where it shows something else, and in pictures without the mark. Null
hypothesis: the changes of all of them are exchangeable. The mean cosine of the changes of the pictures with the mark,
over all pairs, is compared with that of as many drawn at random from all; what any hidden place changes, the grey of
the fill, is taken off first, as the mean of all.

The mark is found without the encoder, and this is asked only where one was found: of folders without a mark, as few are
claimed to have a shortcut as are claimed to have a mark. That the encoder answers to a mark does not show that it
decides by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.marks import Marks
from relax.auditing.neighbours import unit
from relax.auditing.pictures import Pictures
from relax.estimators.budget import Progress
from relax.io.errors import ImageError

CARRIERS = 16  # the clearest; as many mirror images, and at least MIN_OTHERS pictures without the mark, are compared
MIN_OTHERS = 8
MIN_CARRIERS = 2
DRAWS = 4999


@dataclass(frozen=True)
class Answer:
    """How the encoder answers to a mark.

    Attributes:
        p: Of the changes of pictures with the mark being more alike than any of those compared.
        moved: Mean cosine distance by which hiding the mark moves their embedding.
        moved_others: The same where the place shows something else.
        pictures: Those with the mark that were hidden.
        others: Mirror images and pictures without it.
    """

    p: float
    moved: float
    moved_others: float
    pictures: int
    others: int


def ask_encoder(
    pictures: Pictures, paths: Sequence[str], marks: Marks, progress: Progress, *, seed: int = 0
) -> Answer | None:
    """Hide a mark where it stands, and the same places elsewhere.

    Args:
        pictures: Embeds pictures with a box hidden.
        paths: Of all images.
        marks: What was found, with its carriers.
        progress: Called with (pictures done, total).
        seed: The only source of randomness.

    Returns:
        The answer; None with fewer than 2 carriers, or if a picture has disappeared meanwhile.
    """
    carriers = marks.carriers[:CARRIERS]
    if len(carriers) < MIN_CARRIERS:
        return None
    least = [marks.images[place] for place in np.argsort(marks.found.score, kind="stable")]
    others = [image for image in least if image not in marks.boxes][: max(len(carriers), MIN_OTHERS)]
    views = [(image, image, "") for image in carriers]
    views += [(image, image, "left-right") for image in carriers]
    views += [(image, carriers[place % len(carriers)], "") for place, image in enumerate(others)]
    changes = []
    for place, (image, owner, mirror) in enumerate(views):
        progress(place, len(views))
        try:
            whole, hidden = pictures.hide_box(paths[image], marks.boxes[owner], mirror)
        except ImageError:
            return None
        changes.append(unit(whole[None])[0] - unit(hidden[None])[0])
    moved = (np.array(changes) ** 2).sum(1) / 2  # of unit vectors: 1 - cosine
    count = len(carriers)
    p = compare_changes(np.array(changes), count, seed=seed)
    return Answer(p, float(moved[:count].mean()), float(moved[count:].mean()), count, len(views) - count)


def compare_changes(changes: NDArray[np.floating], count: int, *, seed: int = 0, draws: int = DRAWS) -> float:
    """Are the first changes more alike than as many drawn from all?

    Args:
        changes: (n, D) of embeddings, those of interest first.
        count: How many these are, at least 2 and fewer than n.
        seed: The only source of randomness.
        draws: Their number.

    Returns:
        p, one-sided.
    """
    directions = unit(changes)
    centred = unit(directions - directions.mean(0))
    cosines = centred @ centred.T
    np.fill_diagonal(cosines, 0)
    order = np.random.default_rng(seed).random((draws, len(changes))).argsort(1)
    chosen = np.vstack([np.arange(len(changes)) < count, order < count]).astype(np.float64)
    alike = ((chosen @ cosines) * chosen).sum(1)
    return float((alike >= alike[0] - 1e-9).mean())
