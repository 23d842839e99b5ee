"""REPEAT: how often would a pixel be called important if the map were estimated again?

Several independent importance maps each vote on every pixel: important if its importance is at least
the map's own threshold. The share of votes p is a probability, p (1 - p) its uncertainty.

Source: REPEAT (Wickstrøm et al., AAAI 2025, arXiv 2412.08513).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Threshold = Callable[[NDArray[np.float64]], float]


def _by(rule: str) -> Threshold:
    """The threshold of scikit-image with this name, which takes a second to import."""

    def threshold(values: NDArray[np.float64]) -> float:
        from skimage import filters

        return float(getattr(filters, f"threshold_{rule}")(values))

    return threshold


THRESHOLDS: dict[str, Threshold] = {
    "mean": lambda values: float(values.mean()),
    **{rule: _by(rule) for rule in ("otsu", "triangle", "li")},
}


@dataclass(frozen=True)
class Repeat:
    """Importance maps of the same image under independent masks.

    Attributes:
        maps: (K, H, W) float32, one importance map per run; NaN where the encoder never saw the pixel.
        provenance: How they were made, as JSON types.
    """

    maps: NDArray[np.float32]
    provenance: dict[str, Any]

    def votes(self, threshold: str | float = "mean") -> NDArray[np.float64]:
        """(H, W) share of runs in [0, 1] that call the pixel important; see the function `votes`."""
        return votes(self.maps, threshold)

    def weighted_votes(self, threshold: str | float = "mean") -> NDArray[np.float64]:
        """(H, W) votes weighted with relative importance, in [0, 1]; see the function `weighted_votes`."""
        return weighted_votes(self.maps, threshold)


def votes(maps: NDArray[np.floating[Any]], threshold: str | float = "mean") -> NDArray[np.float64]:
    """The share of runs that call each pixel important: a frequency.

    Args:
        maps: (K, H, W) importance, one map per run.
        threshold: "mean", "otsu", "triangle" or "li" of each map, or a number in the maps' unit.

    Returns:
        (H, W) in [0, 1]; NaN where a map is NaN.

    Raises:
        ValueError: If there are no maps or the threshold is unknown.
    """
    ballots = np.stack([importance >= _limit(importance, threshold) for importance in _checked(maps)])
    return _where_seen(maps, ballots.mean(0))


def weighted_votes(maps: NDArray[np.floating[Any]], threshold: str | float = "mean") -> NDArray[np.float64]:
    """Votes weighted with R / max R of their run, as in the authors' code: no frequency, at most `votes`.

    Arguments and errors as for `votes`; the largest importance of every map must be above 0.
    """
    maps = _checked(maps)
    largest = np.nanmax(maps, axis=(1, 2))
    if not (largest > 0).all():
        raise ValueError(f"weighted votes need a positive importance in every map; the largest is {largest.min():.3g}")
    ballots = [
        np.where(importance >= _limit(importance, threshold), importance / top, 0.0)
        for importance, top in zip(maps, largest, strict=True)
    ]
    return _where_seen(maps, np.stack(ballots).mean(0))


def vote_uncertainty(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """P (1 - p): the variance of one vote, in [0, 0.25] for p in [0, 1]."""
    return share * (1 - share)


def _limit(importance: NDArray[np.floating[Any]], threshold: str | float) -> float:
    if not isinstance(threshold, str):
        return float(threshold)
    if threshold not in THRESHOLDS:
        raise ValueError(f"threshold must be a number or one of {', '.join(THRESHOLDS)}; got {threshold!r}")
    return THRESHOLDS[threshold](importance[np.isfinite(importance)].astype(np.float64))


def _checked(maps: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    if maps.ndim != 3 or len(maps) == 0:
        raise ValueError(f"votes need maps (K, H, W) of at least one run; got the shape {maps.shape}")
    return maps


def _where_seen(maps: NDArray[np.floating[Any]], values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.where(np.isfinite(maps).all(0), values, np.nan)
