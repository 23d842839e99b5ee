"""Turn similarities into importance, uncertainty and their error, one batch of masks at a time.

Every pixel keeps the mask-weighted mean of the similarities it took part in (its importance) and the
mask-weighted variance around that mean (its uncertainty). Batches are merged as they come, so memory
does not grow with the number of masks. A second set of the same moments, weighted with the squared
masks, gives the Monte-Carlo error of the importance, which is a ratio of two random sums.

Sources: RELAX (Wickstrøm et al., IJCV 2023), equations for importance and uncertainty; merging rule:
Chan, Golub & LeVeque (1983); error of a ratio: Cochran, "Sampling Techniques" (1977), section 2.11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

FEW = 64  # masks whose products are added up before they join a float64 sum


class Estimator(Protocol):
    """What turns scores under masks into maps (H, W), float64: `RelaxMoments`, `ControlledMoments`, ..."""

    @property
    def count(self) -> int:
        """Masks so far."""

    @property
    def importance(self) -> Tensor:
        """The mean score over the masks that show a pixel, weighted with them."""

    @property
    def uncertainty(self) -> Tensor:
        """The variance of the score, weighted in the same way."""

    @property
    def standard_error(self) -> Tensor:
        """By how much the importance would differ for other masks of the same kind."""

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in the scores (N,) of the next masks (N, 1, H, W)."""

    def record(self) -> dict[str, Any]:
        """Which estimator it is, as JSON types."""


@dataclass
class PixelMoments:
    """Weighted mean and variance of the similarity, kept apart for every pixel, in float64."""

    weight: Tensor  # (H, W) total weight so far
    mean: Tensor  # (H, W) weighted mean similarity; 0 where the weight is 0
    spread: Tensor  # (H, W) weighted sum of squared distances to the mean

    @classmethod
    def empty(cls, size: tuple[int, ...], device: torch.device | str = "cpu") -> PixelMoments:
        """Moments of no masks at all, for an image of `size` (H, W)."""
        # float64: thousands of float32 additions visibly drift.
        return cls(*torch.zeros(3, *size, dtype=torch.float64, device=device))

    def add(self, scores: Tensor, masks: Tensor, power: int = 1) -> None:
        """Take in one batch.

        Args:
            scores: (N,) float64 similarity of each masked image to the reference, no unit.
            masks: (N, H, W), 0 or more.
            power: Of the masks, that is the weight.
        """
        # Scores are taken from the batch's middle, so that the narrow band they lie in does not cancel away.
        middle = scores.mean()
        offset = scores - middle
        weight, first, second = weighted_sums(torch.stack([offset**0, offset, offset**2]), masks, power)
        shift = _ratio(first, weight)
        # Rounding may leave a tiny negative sum of squares.
        spread = (second - first * shift).clamp_(min=0)
        self.merge(PixelMoments(weight, (middle + shift) * (weight > 0), spread))

    def merge(self, other: PixelMoments) -> None:
        """Take in moments of other masks, as if they had been added here."""
        total = self.weight + other.weight
        share = _ratio(other.weight, total)
        shift = other.mean - self.mean
        self.spread = self.spread + other.spread + shift.square() * self.weight * share
        self.mean = self.mean + shift * share
        self.weight = total

    def shift(self, by: Tensor) -> None:
        """Add a map (H, W) to every score, as it counts for each pixel."""
        self.mean = (self.mean + by) * (self.weight > 0)


@dataclass
class RelaxMoments:
    """All that RELAX needs to remember of the masks it has seen."""

    plain: PixelMoments  # weighted with the masks
    squared: PixelMoments  # weighted with the squared masks
    count: int = field(default=0)  # masks so far

    @classmethod
    def empty(cls, size: tuple[int, ...], device: torch.device | str = "cpu") -> RelaxMoments:
        """Moments of no masks at all, for an image of `size` (H, W)."""
        return cls(PixelMoments.empty(size, device), PixelMoments.empty(size, device))

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Take in one batch.

        Args:
            scores: (N,) similarity of each masked image to the reference, no unit.
            masks: (N, 1, H, W) in [0, 1]; 1 = pixel fully visible.
        """
        self.plain.add(scores.double(), masks.squeeze(1))
        self.squared.add(scores.double(), masks.squeeze(1), power=2)
        self.count += len(scores)

    def merge(self, other: RelaxMoments) -> None:
        """Take in the moments of other masks of the same image."""
        self.plain.merge(other.plain)
        self.squared.merge(other.squared)
        self.count += other.count

    def shift(self, by: Tensor) -> None:
        """Add a map (H, W) to every score, as it counts for each pixel."""
        self.plain.shift(by)
        self.squared.shift(by)

    @property
    def importance(self) -> Tensor:
        """(H, W) float64, sum of s m over sum of m; NaN where no mask ever showed the pixel."""
        return self.plain.mean.where(self.plain.weight > 0, torch.nan)

    @property
    def uncertainty(self) -> Tensor:
        """(H, W) float64, sum of (s - importance)^2 m over sum of m: a variance, not a standard error.

        NaN where no mask ever showed the pixel.
        """
        return self.plain.spread / self.plain.weight

    @property
    def standard_error(self) -> Tensor:
        """(H, W) float64: by how much the importance would differ for other masks of the same kind.

        First-order error of a ratio of means: sqrt(N / (N - 1) x sum of m^2 (s - importance)^2) over
        the sum of m. Holds for independent masks; NaN with fewer than two, or where none showed the pixel.
        """
        if self.count < 2:
            return torch.full_like(self.plain.mean, torch.nan)
        gap = self.squared.mean - self.plain.mean
        around = self.squared.spread + self.squared.weight * gap.square()
        return (around * (self.count / (self.count - 1))).sqrt() / self.plain.weight

    def record(self) -> dict[str, Any]:
        """Which estimator it is."""
        return {"name": "plain"}


def weighted_sums(values: Tensor, masks: Tensor, power: int = 1) -> Tensor:
    """Sums over masks (N, H, W) to some power, times each of several rows of values (K, N): (K, H, W) float64.

    A few dozen products are added up in the masks' own precision, and their sums in float64: as exact as a map needs,
    and for float32 masks twenty times faster on a processor than float64 throughout.
    """
    sums = torch.zeros(len(values), masks[0].numel(), dtype=torch.float64, device=masks.device)
    for rows, batch in zip(values.to(masks.dtype).split(FEW, 1), masks.flatten(1).split(FEW), strict=True):
        sums += rows @ (batch if power == 1 else batch**power)
    return sums.view(len(values), *masks.shape[1:])


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part / whole, and 0 where whole is 0."""
    return torch.where(whole > 0, part / whole, 0.0)
