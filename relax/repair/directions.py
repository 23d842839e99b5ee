"""The directions in which a mark moves embeddings, and whether a head still tells it without them.

Embeddings are taken at length 1, since their cosines count. The first direction is the mean difference between pictures
with the mark and their twins without it; the others are the principal directions of what is left of the differences.
A head (linear, logistic) then learns from some twins to tell which of the two carries the mark, and is asked about
others: 0.5 is chance, and the mark is gone as far as anything linear can see. Twins that tell directions neither teach
that head nor are asked.

Source: removing the span of differences between counterfactual pairs, Bolukbasi et al., NeurIPS 2016; retraining a head
to see whether anything is left, Ravfogel et al., ACL 2020.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import unit
from relax.influence.optimum import Optimum
from relax.influence.trained import PENALTY
from relax.repair.marked import Twins, Vectors


def directions_of(twins: Twins, count: int) -> Vectors:
    """(k, D) orthonormal: the `count` first directions in which the mark moves embeddings, or as many as there are."""
    differences = unit(twins.present) - unit(twins.absent)
    mean = unit(differences.mean(0, keepdims=True))
    _, sizes, axes = np.linalg.svd(without(differences, mean), full_matrices=False)
    first: Vectors = np.concatenate([mean, axes[sizes > 1e-9]])
    return first[:count]


def without(embeddings: Vectors, directions: Vectors) -> Vectors:
    """(N, D) without the parts along orthonormal directions (k, D)."""
    left: Vectors = embeddings - (embeddings @ directions.T) @ directions
    return left


def told(twins: Twins, directions: Vectors) -> NDArray[np.float64]:
    """(n,) whether a head that learned the mark from other twins tells it in these: 1, 0, or 0.5 where it cannot say.

    Each half of the twins is asked by a head that learned from the other.

    Args:
        twins: Other ones than told the directions.
        directions: (k, D) that all do without.
    """
    first, second = halves(twins)
    return np.concatenate([_told(second, first, directions), _told(first, second, directions)])


def halves(twins: Twins) -> tuple[Twins, Twins]:
    """The first half and the rest; a picture with the mark stays with that into which its mark was pasted."""
    middle = len(twins.rows) // 4 * 2
    return twins.some(slice(middle)), twins.some(slice(middle, None))


def _told(learned: Twins, asked: Twins, directions: Vectors) -> NDArray[np.float64]:
    present, absent, with_mark, without_mark = (
        unit(without(values, directions)) for values in (learned.present, learned.absent, asked.present, asked.absent)
    )
    labels = np.repeat([1, 0], len(present))
    head = Optimum.fit(np.concatenate([present, absent]), labels, penalty=PENALTY)
    scores = [np.diff(head.logits(values), axis=1)[:, 0] for values in (with_mark, without_mark)]
    right: NDArray[np.float64] = (np.sign(scores[0] - scores[1]) + 1) / 2
    return right
