"""Insertion and deletion where hidden cells show their surroundings, mirrored, instead of the fill of the maps.

A method that hides with one fill and is judged by hiding with the same fill is judged by its twin. Here a hidden pixel
shows the mirror image of itself at the nearest visible one: what surrounds a hole runs on into it, texture and all.
`experiments/studies/imputations.py` has how well encoders tell such pictures from whole ones, beside other fills.

Source: hiding by what is around instead of a colour: Rong et al., ICML 2022; symmetric extension of a signal beyond its
end: Strang & Nguyen, Wavelets and Filter Banks, 1996, chapter 8.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.metrics.faithfulness import REGIONS, STEPS, Curve, deletion_curve, insertion_curve
from relax.metrics.maps import Map, Mask, Values

if TYPE_CHECKING:  # torch comes with it, and the table of metrics does not need it
    from relax.metrics.trial import Trial


def mirrored_insertion_curve(
    trial: Trial, importance: Map, *, steps: int = STEPS, cells: int | None = REGIONS, seed: int = 0
) -> Curve:
    """Show the most important cells first; arguments and cost as for `insertion_curve`."""
    return insertion_curve(trial, importance, steps=steps, cells=cells, seed=seed, scores=partial(_scores, trial))


def mirrored_deletion_curve(
    trial: Trial, importance: Map, *, steps: int = STEPS, cells: int | None = REGIONS, seed: int = 0
) -> Curve:
    """Hide the most important cells first; arguments and cost as for `deletion_curve`."""
    return deletion_curve(trial, importance, steps=steps, cells=cells, seed=seed, scores=partial(_scores, trial))


def mirrored(view: NDArray[Any], visible: Mask) -> NDArray[np.float32]:
    """Continue what is visible into what is hidden.

    A hidden pixel shows the pixel as far beyond its nearest visible one as it is before it. Where that is hidden, too,
    or outside of the picture, it waits until the pixels around it are filled; where none can be filled so, all that are
    left show their nearest visible pixel.

    Args:
        view: (C, h, w) in [0, 1].
        visible: (h, w), True where the pixel stays. Where none does, all show the mean colour of the view.

    Returns:
        (C, h, w) in [0, 1]; only colours of the view, or its mean.
    """
    if not visible.any():
        return np.broadcast_to(view.mean((1, 2), keepdims=True), view.shape).astype(np.float32)
    from scipy.ndimage import distance_transform_edt

    painted, hidden = view.astype(np.float32), ~visible
    while hidden.any():
        places = np.argwhere(hidden).T  # (2, K) rows and columns
        nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)[:, hidden]
        sources = 2 * nearest - places
        known = ((sources >= 0) & (sources < np.array(hidden.shape)[:, None])).all(0)
        known[known] = ~hidden[tuple(sources[:, known])]
        if not known.any():
            sources, known = nearest, np.ones_like(known)
        rows, columns = places[:, known]
        painted[:, rows, columns] = painted[(slice(None), *sources[:, known])]
        hidden[rows, columns] = False
    return painted


def _scores(trial: Trial, visible: Mask) -> Values:
    """(N,) scores of the picture with only the pixels `visible` (N, h, w) shown, and around a region."""
    region = trial.scene.region
    if region is not None:
        visible = visible | (region.share[0, 0] == 0).cpu().numpy()
    view = trial.scene.view[0].cpu().numpy()
    return trial.scores_of(np.stack([mirrored(view, shown) for shown in visible]))
