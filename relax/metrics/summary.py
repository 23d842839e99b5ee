"""Means over pictures with their intervals, and the rank of each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relax.metrics.maps import UNDEFINED, Values

RESAMPLES = 2000
AT_ONCE = 1_000_000  # drawn pictures in memory
ROUNDING = 1e-9  # means so close are equal: correlations of equal maps are not exactly 1


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` trials (Wilson, JASA 1927); never empty, even at 0 and 1."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a chance after `count` of `total` trials; at least as sure as it says, whatever the chance.

    Source: Clopper & Pearson, Biometrika 1934.
    """
    from scipy.stats import beta  # a second, which tables of metrics need not wait

    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count == total else float(beta.ppf(1 - tail, count + 1, total - count))
    return low, high


def bootstrap_interval(
    values: Sequence[float] | Values, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean when the pictures are drawn again, with replacement.

    It says how the mean would differ for other pictures of the same kind, not for another encoder or seed. With fewer
    than about 20 pictures it is too narrow.

    Args:
        values: (K,) one per picture, finite.
        confidence: In (0, 1).
        resamples: How often to draw.
        seed: The only source of randomness; the same for all, so that equal values have equal intervals.

    Returns:
        (low, high); NaN and NaN for fewer than two pictures, which say nothing of others.

    Source: An Introduction to the Bootstrap (Efron & Tibshirani, 1993), section 13.3.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("values must be finite numbers (K,), one per picture; leave out those without a value")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence must be in (0, 1) and resamples 1 or more; got {confidence} and {resamples}")
    if len(values) < 2:
        return UNDEFINED, UNDEFINED
    random, means = np.random.default_rng(seed), []
    left, size = resamples, max(1, AT_ONCE // len(values))
    while left > 0:
        count = min(size, left)
        means.append(values[random.integers(len(values), size=(count, len(values)))].mean(1))
        left -= count
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Mean:
    """One metric of one method over all pictures.

    Attributes:
        metric: Its name.
        direction: Whether "higher" or "lower" is better.
        method: Its name.
        mean: Over the pictures with a value; NaN where there is none.
        low: Lower end of the 95 % bootstrap interval over pictures; NaN for fewer than two.
        high: Its upper end.
        images: Pictures with a value.
        undefined: Pictures for which the metric has none (NaN), such as an empty mask.
        rank: 1 is the best mean of the metric among the methods that are judged by the same score, equal means share
            the better rank; 0 without a mean. Only as fair as the methods have values for the same pictures.
        passes: Encoder passes of the method per picture, mean; NaN where not known.
        score: What the metric judges maps of this method by; "" for metrics that query no score.
    """

    metric: str
    direction: str
    method: str
    mean: float
    low: float
    high: float
    images: int
    undefined: int
    rank: int
    passes: float = UNDEFINED
    score: str = ""


def summarise(
    rows: Iterable[tuple[str, str, float]],
    directions: Mapping[str, str],
    passes: Mapping[str, float] | None = None,
    scores: Mapping[tuple[str, str], str] | None = None,
    *,
    seed: int = 0,
) -> list[Mean]:
    """Means, intervals and ranks.

    Args:
        rows: (method, metric, value) of each picture, in any order; NaN is no value.
        directions: "higher" or "lower", by metric; metrics come out in this order, methods as they first appear.
        passes: Encoder passes per picture, by method.
        scores: What is scored, by (metric, method): a probability and a similarity have no common ranks.
        seed: Of the bootstrap.
    """
    groups: dict[str, dict[str, list[float]]] = {metric: {} for metric in directions}
    for method, metric, value in rows:
        groups[metric].setdefault(method, []).append(value)
    summary = []
    for metric, methods in groups.items():
        known = {method: [value for value in values if np.isfinite(value)] for method, values in methods.items()}
        means = {method: float(np.mean(values)) for method, values in known.items() if values}
        sign = 1 if directions[metric] == "higher" else -1
        score = {method: (scores or {}).get((metric, method), "") for method in methods}
        for method, values in known.items():
            mean = means.get(method, UNDEFINED)
            rivals = [other for name, other in means.items() if score[name] == score[method]]
            better = [other for other in rivals if sign * (other - mean) > ROUNDING * max(1, abs(mean))]
            numbers: dict[str, Any] = {
                "mean": mean,
                "images": len(values),
                "undefined": len(methods[method]) - len(values),
                "rank": len(better) + 1 if method in means else 0,
                "passes": (passes or {}).get(method, UNDEFINED),
                "score": score[method],
            }
            low, high = bootstrap_interval(values, seed=seed)
            summary.append(Mean(metric, directions[metric], method, low=low, high=high, **numbers))
    return summary
