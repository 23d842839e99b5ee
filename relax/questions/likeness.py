"""How alike are two maps of one picture? Rank correlation and structural similarity, and their means over pictures.

Neither number depends on the units or the ranges of the maps, so that methods and encoders can be compared: ranks do
not know them, and for the structural similarity each map is stretched over its own range. Both are of the maps averaged
to at most 128 px, so that the size of the photograph does not matter. Maps of one picture are alike to begin with if
they all favour its middle: read a number against that of another pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch.nn import functional as F

from relax.metrics.maps import UNDEFINED, Map, Values, spearman
from relax.metrics.summary import bootstrap_interval

LONGEST = 128  # px of the longer side of the maps that are compared
SIGMA = 1.5  # px, of the Gaussian window of the structural similarity
WINDOW = 11  # px, its size
MEASURES = ("rank_correlation", "ssim")


@dataclass(frozen=True)
class Likeness:
    """How alike the importance maps of two methods or encoders are.

    Attributes:
        first: Name of one.
        second: Name of the other.
        rank_correlation: Spearman's, over the pixels known in both, in [-1, 1]; NaN if one is constant.
        ssim: Structural similarity of the maps, each stretched from 0 to 1 over its range, with the Gaussian window of
            its authors, in [-1, 1]; NaN if one is constant, or a side is below 11 px.

    Source: Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 2004; both for maps: Adebayo et al., NeurIPS 2018.
    """

    first: str
    second: str
    rank_correlation: float
    ssim: float


@dataclass(frozen=True)
class MeanLikeness:
    """The likeness of two methods or encoders over pictures, by one measure.

    Attributes:
        first: Name of one.
        second: Name of the other.
        measure: "rank_correlation" or "ssim".
        mean: Over the pictures with a value; NaN where there is none.
        low: Lower end of the 95 % bootstrap interval over pictures; NaN for fewer than two.
        high: Its upper end.
        images: Pictures with a value.
    """

    first: str
    second: str
    measure: str
    mean: float
    low: float
    high: float
    images: int


def likenesses(maps: Mapping[str, Map]) -> list[Likeness]:
    """The likeness of every two maps (H, W) of one picture, by their names.

    Raises:
        ValueError: If the maps have different sizes.
    """
    if len(sizes := {values.shape for values in maps.values()}) > 1:
        raise ValueError(f"maps to compare must have one size; got {' and '.join(map(str, sorted(sizes)))}")
    small = {name: averaged(values) for name, values in maps.items()}
    return [Likeness(a, b, *_alike(small[a], small[b])) for a, b in combinations(small, 2)]


def mean_likenesses(rows: Iterable[Likeness]) -> list[MeanLikeness]:
    """Means with intervals of the likenesses of several pictures, for each pair in the order of its first row."""
    groups: dict[tuple[str, str], list[Likeness]] = {}
    for row in rows:
        groups.setdefault((row.first, row.second), []).append(row)
    means = []
    for (first, second), group in groups.items():
        for measure in MEASURES:
            values = np.array([getattr(row, measure) for row in group], dtype=np.float64)
            values = values[np.isfinite(values)]
            mean = float(values.mean()) if len(values) else UNDEFINED
            means.append(MeanLikeness(first, second, measure, mean, *bootstrap_interval(values), len(values)))
    return means


def averaged(values: Map, longest: int = LONGEST) -> Values:
    """A map (H, W) averaged over areas to at most `longest` px; NaN where no pixel of the area is known."""
    height, width = values.shape
    factor = min(1.0, longest / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    given = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))[None]
    known = given.isfinite().double()
    total = F.adaptive_avg_pool2d(given.nan_to_num(0.0, 0.0, 0.0), size)
    share = F.adaptive_avg_pool2d(known, size)
    small: Values = torch.where(share > 0, total / share, torch.nan)[0].numpy()
    return small


def _alike(first: Values, second: Values) -> tuple[float, float]:
    """Rank correlation and structural similarity of two maps (h, w)."""
    from skimage.metrics import structural_similarity

    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 2:
        return UNDEFINED, UNDEFINED
    stretched = [_stretched(values, both) for values in (first, second)]
    if min(both.shape) < WINDOW or any(np.ptp(values[both]) == 0 for values in stretched):
        return spearman(first[both], second[both]), UNDEFINED
    _, local = structural_similarity(
        *stretched, data_range=1.0, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False, full=True
    )
    return spearman(first[both], second[both]), float(local[both].mean())


def _stretched(values: Values, both: np.ndarray) -> Values:
    """The values from 0 to 1 over their range; 0 where not known in both, and everywhere for a constant map."""
    low, high = values[both].min(), values[both].max()
    shares: Values = np.where(both, (values - low) / (high - low) if high > low else 0.0, 0.0)
    return shares
