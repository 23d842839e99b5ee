"""How few cells does a map need: to keep the score when only they are shown, and to lose it when they are hidden?

Insertion and deletion average the score over all numbers of cells; these are the numbers themselves, at the one score
that counts. A map's ranking is judged by the sets it begins with and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relax.metrics.faithfulness import REGIONS, grid_labels, pixel_order
from relax.metrics.maps import UNDEFINED, Map, Mask

if TYPE_CHECKING:  # torch comes with it, and the table of metrics does not need it
    from relax.metrics.trial import Trial

KEPT = 0.8  # of the picture's own score
PASSES = 7  # everything hidden, and bisection among 63 numbers of cells; fewer if that decides it


def shortest_prefix(holds: Callable[[list[int]], Mask], count: int, at_once: int = 1, lost: int = -1) -> int:
    """A number of cells at which a ranking begins to hold, by bisection: it holds there, and not with one cell fewer.

    Where holding is monotone it is the smallest. Otherwise there may be a smaller one; with `at_once` of `count` or
    more, all are tried, and it is the smallest.

    Args:
        holds: From numbers of cells, each below `count`, to whether each holds; asked for at most `at_once` together.
        count: Of all cells, with which it holds.
        at_once: 1 is plain bisection; more are tried in one batch.
        lost: A number of cells that is known not to hold.
    """
    low, high = lost, count
    while high - low > 1:
        between = min(at_once, high - low - 1)
        points = sorted({low + (high - low) * place // (between + 1) for place in range(1, between + 1)} - {low})
        held = np.flatnonzero(holds(points))
        first = int(held[0]) if held.size else len(points)
        high = points[first] if held.size else high
        low = points[first - 1] if first > 0 else low
    return high


def enough(trial: Trial, importance: Map, *, kept: float = KEPT, cells: int = REGIONS, seed: int = 0) -> float:
    """Share of the cells, the most important first, that keep `kept` of the picture's score when only they are shown.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view.
        kept: Share of the score of the whole picture, in (0, 1).
        cells: Of a regular grid, along each side.
        seed: For the order of cells of equal importance.

    Returns:
        In [0, 1], lower = the map names what is enough; NaN where the score of the whole picture is not above 0.

    Source: sufficient input subsets (Carter et al., AISTATS 2019), along the ranking of a given map.
    """
    return _share(trial, importance, kept, cells, seed, show=True)


def needed(trial: Trial, importance: Map, *, kept: float = KEPT, cells: int = REGIONS, seed: int = 0) -> float:
    """Share of the cells, the most important first, whose removal loses `kept` of the picture's score.

    Arguments as for `enough`.

    Returns:
        In [0, 1], lower = the map names what is needed; NaN where the whole picture has no score above 0, or hiding all
        of it does not lose so much.

    Source: smallest destroying region (Dabkowski & Gal, NeurIPS 2017), along the ranking of a given map.
    """
    return _share(trial, importance, kept, cells, seed, show=False)


def _share(trial: Trial, importance: Map, kept: float, cells: int, seed: int, *, show: bool) -> float:
    if not 0 < kept < 1:
        raise ValueError(f"kept is a share of the picture's score, strictly between 0 and 1; got {kept}")
    limit = kept * trial.image_score
    if not limit > 0:
        return UNDEFINED
    places = pixel_order(trial, importance, seed, cells)
    ends = _ends(places, grid_labels(places.shape, cells))

    count = len(ends) - 1

    def holds(numbers: list[int]) -> Mask:
        touched = places[None] < ends[numbers][:, None, None]
        held: Mask = trial.scores(touched) >= limit if show else trial.scores(~touched) < limit
        return held

    if holds([0 if show else count])[0] == show:  # everything is hidden: enough, or not even that is lost
        return 0.0 if show else UNDEFINED
    return shortest_prefix(holds, count, lost=0) / count


def _ends(places: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n + 1,) how many pixels the first 0, 1, ..., n cells in an order (h, w) of the pixels have."""
    taken = labels.ravel()[np.argsort(places, axis=None)]
    return np.concatenate([[0], np.flatnonzero(np.diff(taken)) + 1, [taken.size]])
