"""How well does a number separate two kinds of pictures? The area under the ROC curve with its interval."""

from __future__ import annotations

import numpy as np

from relax.metrics.maps import UNDEFINED, Values

DRAWS = 2000


def auroc(known: Values, other: Values) -> float:
    """The probability that a picture of the other kind has the higher number; a tie counts half.

    Args:
        known: (K,) numbers of the known pictures.
        other: (M,) those of the others.

    Returns:
        In [0, 1]; 0.5 = not at all, below 0.5 = in the wrong direction; NaN without pictures of both kinds.
    """
    pairs = _in_order(known, other)
    return float(pairs.mean()) if pairs.size else UNDEFINED


def auroc_interval(known: Values, other: Values, *, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of `auroc`; pictures of both kinds are drawn again. NaN for fewer than two of a kind."""
    pairs = _in_order(known, other)
    if min(pairs.shape) < 2:
        return UNDEFINED, UNDEFINED
    random = np.random.default_rng(seed)
    of_known, of_other = (random.multinomial(count, np.full(count, 1 / count), DRAWS) / count for count in pairs.shape)
    low, high = np.quantile(((of_known @ pairs) * of_other).sum(1), [0.025, 0.975])
    return float(low), float(high)


def _in_order(known: Values, other: Values) -> Values:
    """(K, M): 1 where the other is higher, a half for a tie."""
    difference = np.asarray(other) - np.asarray(known)[:, None]
    pairs: Values = (difference > 0) + 0.5 * (difference == 0)
    return pairs
