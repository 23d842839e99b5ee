"""Judge the map of a slide without labels: drop its tiles in the order of the map, and watch the slide's score fall.

The faster the score falls when the most important tiles go first, and the longer it stays when the least important do,
the better the map says what the score rests on. No encoder is run.

Source: patch dropping as in xMIL (Hense et al., NeurIPS 2024, arXiv 2406.04280), on the embedding instead of a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.values import described, is_whole
from relax.slides.score import TileScore

STEPS = 50
LEFT = 0.02  # share of the tiles that is never dropped: the score of a few tiles says little, and of none nothing


@dataclass(frozen=True)
class DropCurve:
    """The score of a slide while its tiles are dropped.

    Attributes:
        dropped: (S,) shares of the tiles that are gone, from 0.
        scores: (S,) the similarity of what is left.
    """

    dropped: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def area(self) -> float:
        """The mean score over the shares: lower is better where the most important tiles go first."""
        return float(np.trapezoid(self.scores, self.dropped) / self.dropped[-1])


def drop_curve(
    score: TileScore, values: NDArray[np.floating], *, most_first: bool = True, steps: int = STEPS
) -> DropCurve:
    """Drop the tiles of a slide in the order of a map.

    Args:
        score: The score, as `relax.slides.explaining.tile_score` gives it.
        values: (n,) the map: one number per tile, higher = more important. Tiles with equal values go in reading order.
        most_first: Whether the most important tiles go first, or the least.
        steps: Number of points after the first.

    Returns:
        The curve, down to 2 % of the tiles.

    Raises:
        ValueError: If there is not one finite value per tile, or a number of steps is impossible.
    """
    count = len(score.pooled)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"values must be one finite number per tile, here {count}; got the shape {values.shape}")
    if not is_whole(steps, 1):
        raise ValueError(f"steps must be 1 or more; got {described(steps)}")
    order = np.argsort(-values if most_first else values, kind="stable")
    gone = np.unique(np.rint(np.linspace(0, count - max(1, LEFT * count), steps + 1)).astype(int))
    rank = torch.empty(count, dtype=torch.long)
    rank[torch.from_numpy(order)] = torch.arange(count)
    scores = [float(score((rank >= number).float()[None])) for number in gone.tolist()]
    return DropCurve(gone / count, np.array(scores))


def both_areas(score: TileScore, values: NDArray[np.floating], steps: int = STEPS) -> tuple[float, float]:
    """The areas with the most and with the least important tiles first; the second minus the first is one verdict."""
    most, least = (drop_curve(score, values, most_first=first, steps=steps).area for first in (True, False))
    return most, least
