"""ROAD: does the map survive when hidden pixels are painted over by their surroundings instead of a colour?

A hole in one colour is a shape of its own, by which an encoder may tell what was hidden. ROAD fills holes so that they
cannot be seen: every hidden pixel is the weighted mean of its eight neighbours, those beside it weighing twice as much
as those across a corner, and a little noise is added. The means of all hidden pixels together are one sparse system of
linear equations.

Source: A Consistent and Efficient Evaluation Strategy for Attribution Methods (Rong et al., ICML 2022), section 4.2;
most and least important first in one number as in pytorch-grad-cam's `ROADCombined`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.metrics.faithfulness import pixel_order
from relax.metrics.maps import Map, Mask

if TYPE_CHECKING:  # torch comes with it, and the table of metrics does not need it
    from relax.metrics.trial import Trial

SHARES = (0.2, 0.4, 0.6, 0.8)
NOISE = 0.01  # standard deviation, on the scale of the pixels
STREAM = 9  # of the seed's random numbers
WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}  # and their opposites


def road(trial: Trial, importance: Map, *, shares: tuple[float, ...] = SHARES, seed: int = 0) -> float:
    """How much better the score survives without the least than without the most important pixels, halved.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view.
        shares: Of the pixels that are painted over, each in (0, 1); two encoder passes each.
        seed: For the noise, and for the order of pixels of equal importance.

    Returns:
        Half the difference of the score, averaged over the shares, in its unit; 0 for a map that says nothing.
    """
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares must be one or more shares of the pixels, each in (0, 1); got {shares}")
    places = pixel_order(trial, importance, seed)
    counts = [round(share * places.size) for share in shares]
    visible = [places < places.size - count for count in counts] + [places >= count for count in counts]
    view, random = trial.scene.view[0].cpu().numpy(), np.random.default_rng((STREAM, seed))
    scores = trial.scores_of(np.stack([imputed(view, shown, random) for shown in visible]))
    without_least, without_most = np.split(scores, 2)
    return float((without_least - without_most).mean() / 2)


def imputed(
    view: NDArray[Any], visible: Mask, random: np.random.Generator, *, noise: float = NOISE
) -> NDArray[np.float32]:
    """Paint over what is hidden.

    Args:
        view: (C, h, w) in [0, 1].
        visible: (h, w), True where the pixel stays; at least one does.
        random: Of the noise.
        noise: Its standard deviation.

    Returns:
        (C, h, w) in [0, 1].
    """
    if not visible.any():
        raise ValueError("visible must show at least one pixel, from which the others are filled in; got none")
    hidden = ~visible.ravel()
    painted = view.reshape(len(view), -1).astype(np.float64)
    if hidden.any():
        from scipy.sparse.linalg import splu

        system = _laplacian(*visible.shape)
        inside, across = system[hidden][:, hidden], system[hidden][:, ~hidden]
        means = splu(inside.tocsc()).solve(-(across @ painted[:, ~hidden].T))
        painted[:, hidden] = means.T + noise * random.standard_normal((len(view), int(hidden.sum())))
    return painted.reshape(view.shape).clip(0, 1).astype(np.float32)


def _laplacian(height: int, width: int) -> Any:
    """(h w, h w) sparse: times the pixels it is 0 where a pixel is the weighted mean of its neighbours."""
    from scipy.sparse import coo_matrix, diags

    numbers = np.arange(height * width).reshape(height, width)
    first, second, weights = [], [], []
    for (down, right), weight in WEIGHTS.items():
        pixels = numbers[: height - down, max(0, -right) : width - max(0, right)]
        shifted = numbers[down:, max(0, right) : width + min(0, right)]
        first += [pixels.ravel(), shifted.ravel()]
        second += [shifted.ravel(), pixels.ravel()]
        weights += [np.full(2 * pixels.size, weight)]
    where = np.concatenate(first), np.concatenate(second)
    neighbours = coo_matrix((np.concatenate(weights), where), shape=(numbers.size, numbers.size)).tocsr()
    return (diags(np.asarray(neighbours.sum(1)).ravel()) - neighbours).tocsr()
