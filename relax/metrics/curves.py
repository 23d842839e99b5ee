"""Curves of insertion and deletion over many pictures: their mean with its interval, by method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from relax.metrics.maps import Values
from relax.metrics.summary import bootstrap_interval

if TYPE_CHECKING:
    from relax.metrics.results import Outcome

RESAMPLES = 500  # for each of some twenty shares


@dataclass(frozen=True)
class Band:
    """The mean curve of one method.

    Attributes:
        shares: (S,) share of the pixels that were touched, from 0 to 1.
        mean: (S,) score, averaged over the pictures.
        low: (S,) lower end of its 95 % bootstrap interval over the pictures; NaN for fewer than two.
        high: (S,) its upper end.
    """

    shares: Values
    mean: Values
    low: Values
    high: Values


def bands(outcomes: Iterable[Outcome], scores: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], dict[str, Band]]:
    """By metric and what is scored: the band of each method. Pictures whose curves have another length are left out."""
    curves: dict[tuple[str, str], dict[str, list[Values]]] = {}
    for outcome in outcomes:
        for metric, values in outcome.curves.items():
            panel = curves.setdefault((metric, scores.get((metric, outcome.method), "")), {})
            panel.setdefault(outcome.method, []).append(np.asarray(values, dtype=np.float64))
    return {key: {method: _band(group) for method, group in panel.items()} for key, panel in curves.items()}


def _band(curves: list[Values]) -> Band:
    length = max(len(curve) for curve in curves)  # shorter: of a view with fewer pixels than steps
    table = np.stack([curve for curve in curves if len(curve) == length])
    ends = np.array([bootstrap_interval(column, resamples=RESAMPLES) for column in table.T])
    return Band(np.linspace(0, 1, length), table.mean(0), ends[:, 0], ends[:, 1])
