"""How well does a map stand in for the model: does it predict it, does it account for the score, does it name a bias?

After the criteria by which explanations are judged against the model that they explain: completeness, agreement of a
proxy with its model, and detection of a planted bias (Gilpin et al., DSAA 2018, section IV). A map is a proxy when its
values are read as contributions that add up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relax.metrics.faithfulness import CELLS, filled, grid_labels
from relax.metrics.localisation import auc
from relax.metrics.maps import UNDEFINED, Map

if TYPE_CHECKING:  # torch comes with these, and the table of metrics does not need it
    from torch import Tensor

    from relax.metrics.trial import Trial

SAMPLES = 60  # half of them fit, half of them judge
PLACES = 6  # along a side, where a mark may stand
ROUNDING = 1e-18  # of squared scores
STREAM = 6  # of the seed's random numbers


def proxy_similarity(
    trial: Trial, importance: Map, *, samples: int = SAMPLES, cells: int = CELLS, seed: int = 0
) -> float:
    """How well the map, read as a sum over visible parts, predicts the score of the picture with half of it hidden.

    Half of the cells of a regular grid, drawn at random, are shown. The proxy says a + b times the map's sum over them
    + c times their area, with a, b >= 0 and c fitted on the first half of the samples, since maps have units and zeros
    of their own. `samples` passes.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view; unknown pixels have its lowest value.
        samples: 4 or more.
        cells: Along each side.
        seed: The only source of randomness.

    Returns:
        R^2 on the other half of the samples, of what the visible area alone leaves: 1 = the map predicts every score,
        0 or less = it adds nothing; NaN where the area leaves nothing.

    Source: agreement of a proxy with its model: Gilpin et al., DSAA 2018; additive proxies: Ribeiro et al., KDD 2016.
    """
    if samples < 4:
        raise ValueError(f"samples must be 4 or more, half of which fit and half of which judge; got {samples}")
    values = filled(trial, importance)
    labels = grid_labels(values.shape, cells)
    worth = np.bincount(labels.ravel(), values.ravel())
    random = np.random.default_rng((STREAM, seed))
    shown = np.array([random.permutation(len(worth)) < len(worth) // 2 for _ in range(samples)])
    scores = trial.scores(shown[:, labels])
    area, sums = shown @ np.bincount(labels.ravel()), shown @ worth
    given = np.stack([np.ones(samples), area, sums], 1)
    given = (given - given.mean(0)) / np.maximum(given.std(0), 1e-12) + (np.arange(3) == 0)
    fit, judge = slice(samples // 2), slice(samples // 2, None)
    by_area, by_map = (_predicted(given[:, :columns], scores, fit)[judge] for columns in (2, 3))
    left = float(np.square(scores[judge] - by_area).sum())
    return 1 - float(np.square(scores[judge] - by_map).sum()) / left if left > ROUNDING else UNDEFINED


def _predicted(given: NDArray[np.float64], scores: NDArray[np.float64], fit: slice) -> NDArray[np.float64]:
    """Least squares of a few samples, for all; without the map, the third column, if its rate is negative."""
    rates = np.linalg.lstsq(given[fit], scores[fit], rcond=None)[0]
    if len(rates) > 2 and rates[2] < 0:
        return _predicted(given[:, :2], scores, fit)
    predicted: NDArray[np.float64] = given @ rates
    return predicted


def completeness(trial: Trial, importance: Map) -> float:
    """How far the sum of the map is from the difference of score that it should account for: one encoder pass.

    |sum of the map - (score of the picture - score of it entirely hidden)| / |that difference|. 0 = complete, as the
    values of integrated gradients are by their axiom; 1 = as far off as a map of zeros. It is about maps whose pixels
    are contributions; maps in other units (a mean similarity, a superpixel's value in each of its pixels) are far off,
    which only says that they are no such account.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view; unknown pixels count as 0.

    Returns:
        0 or more; NaN where hiding everything changes no score.

    Source: completeness axiom: Sundararajan, Taly & Yan, ICML 2017; as a criterion: Gilpin et al., DSAA 2018.
    """
    hidden = float(trial.scores(np.zeros((1, *trial.scene.size), dtype=bool))[0])
    owed = trial.image_score - hidden
    return abs(float(np.nansum(importance)) - owed) / abs(owed) if owed else UNDEFINED


def bias_detection(explain: Callable[[Tensor], Map], trial: Trial, *, seed: int = 0) -> float:
    """Whether the map names a mark that was planted into the picture, and that the embedding depends on.

    A black and white chequered square is drawn on one of 6 x 6 places. It is a bias of the encoder where hiding it
    moves the embedding of the marked picture (in cosine) more than hiding any other of the places; otherwise there is
    nothing to detect, and the result is NaN. 37 encoder passes, and one explanation of the marked picture.

    Args:
        explain: From pixels (1, C, h, w) of a view to its map (h, w).
        trial: The picture and its encoder; it must be about the similarity to the picture itself.
        seed: Draws the place.

    Returns:
        The area under the ROC curve of the map for the mark: 1 = the mark before all else, 0.5 = chance; NaN where the
        mark is no bias, or the trial is about something else.

    Source: ability to detect models with biases: Gilpin et al., DSAA 2018; planted marks: Adebayo et al., NeurIPS 2020.
    """
    if not trial.of_itself or len(trial.scene.size) != 2:
        return UNDEFINED
    places = grid_labels(trial.scene.size, PLACES)
    place = int(np.random.default_rng((STREAM, seed)).integers(places.max() + 1))
    mark = places == place
    marked = _marked(trial, mark)
    drops = _drops(trial, marked, places)
    if not drops[place] > np.delete(drops, place).max():
        return UNDEFINED
    return auc(np.asarray(explain(marked)), mark)


def _marked(trial: Trial, mark: NDArray[np.bool_]) -> Tensor:
    """(1, C, h, w) the view with black and white squares, four along the mark's shorter side, where the mark is."""
    import torch

    rows, columns = np.nonzero(mark)
    step = max(1, min(np.ptp(rows) + 1, np.ptp(columns) + 1) // 4)
    squares = ((rows - rows.min()) // step + (columns - columns.min()) // step) % 2
    view = trial.scene.view.detach().clone()
    view[..., torch.from_numpy(rows), torch.from_numpy(columns)] = torch.from_numpy(squares).to(view)
    return view


def _drops(trial: Trial, marked: Tensor, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 - cosine to the marked picture, for each place hidden in it."""
    import torch
    from torch.nn import functional as F

    visible = torch.from_numpy(places[None] != np.arange(places.max() + 1)[:, None, None])[:, None].to(marked.device)
    hidden = torch.where(visible, marked, trial.scene.fill)
    embeddings = trial.scene.embed(torch.cat([marked, hidden])).double()
    trial.passes += len(embeddings)
    drops: NDArray[np.float64] = (1 - F.cosine_similarity(embeddings[:1], embeddings[1:])).cpu().numpy()
    return drops
