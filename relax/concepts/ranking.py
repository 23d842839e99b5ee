"""How well a unit's activation ranks cells on a concept above all others, without any threshold.

AUC is the chance that a cell on the concept is more active than one beside it, ties counting half; AP is the mean
precision over the recalls (as scikit-learn counts both).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_scores(
    activations: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUC and AP of every unit for every concept.

    Args:
        activations: (n, D) of each cell.
        inside: (n, C) whether it lies on the concept.

    Returns:
        (D, C) each; NaN for a concept with no cell on it, or none beside it.
    """
    count, positive = len(inside), inside.sum(0)
    auc, ap = np.full((2, activations.shape[1], inside.shape[1]), np.nan)
    if not count:
        return auc, ap
    for unit, values in enumerate(activations.T):
        order = np.argsort(-values, kind="stable")
        ends = np.flatnonzero(np.diff(values[order], append=np.nan))  # of every run of equal values
        hits = inside[order].cumsum(0)[ends].astype(np.float64)  # (runs, C)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = np.vstack([np.zeros((1, inside.shape[1])), hits / positive])
            false = np.vstack([np.zeros((1, inside.shape[1])), ((ends + 1)[:, None] - hits) / (count - positive)])
            precision = hits / (ends + 1)[:, None]
        auc[unit] = (np.diff(false, axis=0) * (recall[1:] + recall[:-1]) / 2).sum(0)
        ap[unit] = (np.diff(recall, axis=0) * precision).sum(0)
    ap[:, positive == count] = np.nan
    return auc, ap
