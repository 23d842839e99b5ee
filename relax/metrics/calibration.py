"""Are the error bars honest: how often does an interval of 95 % hold what it should?

The standard error of a map says how far it is from the map of infinitely many masks. Two maps of one question under
other masks differ by the errors of both, so that their difference tells whether the errors are as large as they say,
without a long run for the truth.
"""

from __future__ import annotations

import numpy as np

from relax.metrics.maps import UNDEFINED, Map, checked_map

Z95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution


def coverage(importance: Map, standard_error: Map, truth: Map) -> float:
    """Share of the pixels whose importance +- 1.96 standard errors holds the truth; 0.95 for honest errors.

    Pixels of one map err together, so that a single picture may lie far from 0.95: read the mean over many.

    Args:
        importance: (H, W).
        standard_error: (H, W), of the difference between importance and truth.
        truth: (H, W), from many more masks; or from as many other masks, with sqrt(2) times the standard error.

    Returns:
        In [0, 1]; NaN where no pixel is known in all three.
    """
    values, errors, true = (checked_map(given) for given in (importance, standard_error, truth))
    if not values.shape == errors.shape == true.shape:
        raise ValueError(
            f"importance, standard_error and truth must have one size; got {values.shape}, {errors.shape} and "
            f"{true.shape}"
        )
    known = ~(np.isnan(values) | np.isnan(errors) | np.isnan(true))
    inside = np.abs(values - true)[known] <= Z95 * errors[known]
    return float(inside.mean()) if known.any() else UNDEFINED
