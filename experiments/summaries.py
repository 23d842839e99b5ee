"""What several experiments make of their measurements: groups of rows, 95 % intervals, correlations of maps."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.metrics import bootstrap_interval
from relax.metrics.maps import pearson

Row = dict[str, Any]


def grouped(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """The rows by their values in some columns, in the order in which these values first appear."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def with_interval(name: str, values: Sequence[float]) -> dict[str, float]:
    """Mean of the finite values, as `name`, and its 95 % bootstrap interval, as `name`_low and `name`_high."""
    finite = [value for value in values if np.isfinite(value)]
    low, high = bootstrap_interval(finite)
    return {name: round(float(np.mean(finite)), 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}


def middle_95(resampled: NDArray[np.float64] | Sequence[float]) -> tuple[float, float]:
    """The 95 % percentile interval of a number that was computed from many bootstrap samples."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def median_and_range(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def map_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Correlation of two maps (H, W) over the pixels that both have, in [-1, 1]."""
    both = np.isfinite(first) & np.isfinite(second)
    return pearson(first[both].astype(np.float64), second[both].astype(np.float64))
