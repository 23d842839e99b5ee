"""What all metrics share: which pixels count, where a map's zero is, ranks and correlations.

A pixel that is NaN (the encoder never saw it, or no mask ever showed it) is left out: it counts neither for nor
against a map. No metric takes absolute values, smooths or rescales a map in silence.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Map: TypeAlias = NDArray[Any]  # (H, W) floats, higher = more important, NaN = not known
Mask: TypeAlias = NDArray[np.bool_]  # (H, W), True = inside
Values: TypeAlias = NDArray[np.float64]
Base = Literal["lowest", "zero"]

UNDEFINED = float("nan")
"""What a metric returns where it has no value, such as relevance in a mask without pixels."""


def checked_map(importance: Map) -> Values:
    """The map as float64.

    Raises:
        ValueError: If it is no (H, W) array of numbers, holds infinity, or no pixel is known.
    """
    values = np.asarray(importance)
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise ValueError(f"importance must be numbers (H, W); got {values.dtype} {values.shape}")
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise ValueError(f"importance must be finite or NaN; got {int(np.isinf(values).sum())} infinite pixels")
    if np.isnan(values).all():
        raise ValueError("importance must be known for at least one pixel; got NaN everywhere")
    return values


def known_values(importance: Map) -> Values:
    """(K,) the values of the pixels that are known. Errors as for `checked_map`."""
    values = checked_map(importance)
    return values[~np.isnan(values)]


def relevance(importance: Map, base: Base = "lowest") -> Values:
    """(K,) the relevance of the known pixels: the importance above its lowest value, or as it is.

    RELAX's importance is a mean similarity: all of a map may lie between 0.91 and 0.94, and shares of its sum say
    nothing. Above the map's own lowest value they do. "lowest" is the default of every metric that adds relevance
    up, for every method alike; "zero" takes the importance as it is, as Quantus does.
    """
    if base not in ("lowest", "zero"):
        raise ValueError(f'base must be "lowest" or "zero"; got {base!r}')
    values = known_values(importance)
    return values - values.min() if base == "lowest" else values


def mid_ranks(values: Values) -> Values:
    """(K,) ranks from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Values = (last - (counts - 1) / 2)[place]
    return ranks


def pearson(first: Values, second: Values) -> float:
    """Correlation of (K,) and (K,), in [-1, 1]; NaN where either is constant or K is below 2."""
    if len(first) < 2:
        return UNDEFINED
    first, second = first - first.mean(), second - second.mean()
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.clip(first @ second / lengths, -1, 1)) if lengths > 0 else UNDEFINED


def spearman(first: Values, second: Values) -> float:
    """Correlation of the ranks of (K,) and (K,), in [-1, 1]; NaN where either is constant."""
    return pearson(mid_ranks(first), mid_ranks(second))


def known_in_both(first: Map, second: Map) -> tuple[Values, Values]:
    """(K,) and (K,), the values of two maps where both are known.

    Raises:
        ValueError: If they have different sizes, or one is no map.
    """
    first, second = checked_map(first), checked_map(second)
    if first.shape != second.shape:
        raise ValueError(f"maps to compare must have one size; got {first.shape} and {second.shape}")
    both = ~(np.isnan(first) | np.isnan(second))
    return first[both], second[both]
