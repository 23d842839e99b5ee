"""Is a map simple enough to read? Of two maps that say the same, the one in fewer places says it better.

All three look at the relevance: by default the importance above the map's lowest value, for every method alike;
`base="zero"` takes the importance as it is, as Quantus does with `abs=False, normalise=False`. They say nothing of
whether the map is right: a single random pixel is as simple as can be.
"""

from __future__ import annotations

import numpy as np

from relax.metrics.maps import UNDEFINED, Base, Map, Values, relevance

ABOVE = 0.1  # of the highest relevance: a pixel below does not count as used


def entropy(importance: Map, *, base: Base = "lowest") -> float:
    """Entropy of the pixels' shares of the relevance, in nats: from 0 (one pixel) to the log of the known pixels.

    Quantus adds 1e-12 inside the logarithm, and divides by absolute values.

    Raises:
        ValueError: If base is "zero" and there is negative importance, of which there are no shares.

    Returns:
        The entropy; NaN where there is no relevance, as in a constant map above its lowest value.

    Source: Evaluating and Aggregating Feature-based Model Explanations (Bhatt et al., IJCAI 2020), complexity.
    """
    shares = _not_negative(importance, base)
    total = shares.sum()
    if total == 0:
        return UNDEFINED
    shares = shares[shares > 0] / total
    return float(-(shares * np.log(shares)).sum()) + 0.0  # no minus zero


def sparseness(importance: Map, *, base: Base = "lowest") -> float:
    """Gini index of the relevance: 0 if all pixels have the same, towards 1 if one pixel has all.

    Quantus adds 1e-7 to every pixel. Errors and NaN as for `entropy`.

    Source: Concise Explanations (Chalasani et al., ICML 2020), section 4; Hurley & Rickard (2009) for the index.
    """
    values = np.sort(_not_negative(importance, base))
    count, total = len(values), values.sum()
    if total == 0:
        return UNDEFINED
    return float(((2 * np.arange(1, count + 1) - count - 1) * values).sum() / (count * total))


def effective_complexity(importance: Map, *, above: float = ABOVE, base: Base = "lowest") -> float:
    """Share of the pixels that the map uses: those with more than `above` times the highest relevance, in [0, 1].

    Quantus counts pixels above 1e-5 once the map is divided by its highest absolute value: the same with
    `above=1e-5, base="zero"`, times the number of pixels. Nearly every pixel of a smooth map is above 1e-5, hence
    the other default. The paper's own definition asks the network; this is the measure of the map that stands for it.

    Args:
        importance: (H, W).
        above: Share of the highest relevance, in [0, 1).
        base: As for the other measures here. NaN where no relevance is above 0.

    Source: Nguyen & Martínez (2020, arXiv 2007.07584), as in Quantus.
    """
    if not 0 <= above < 1:
        raise ValueError(f"above is a share of the highest relevance, in [0, 1); got {above}")
    values = relevance(importance, base)
    return float((values > above * values.max()).mean()) if values.max() > 0 else UNDEFINED


def _not_negative(importance: Map, base: Base) -> Values:
    values = relevance(importance, base)
    if values.min() < 0:
        raise ValueError(
            f'base="zero" needs importance of 0 or more, the lowest is {values.min():.3g}: take base="lowest"'
        )
    return values
