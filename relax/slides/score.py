"""The embedding of a slide when only some of its tiles are visible, and how close it is to a reference.

The embedding is the mean of the visible tiles' embeddings, weighted with the caller's weights if there are any, such as
the attention of a network that pools tiles. It is computed from the deviations of the tiles from the mean of all, so
that the tiny differences between subsets of many thousand tiles survive the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relax.slides.subsets import Subsets, SubsetSurrogate
from relax.slides.tiles import SlideTiles
from similarity.measures import MEASURES
from similarity.references import Target

ROWS = 4096  # tiles that are held in float64 at once


@dataclass(frozen=True)
class Pooled:
    """The tiles of a slide, pooled by a weighted mean.

    Attributes:
        mean: (D,) float64, the slide's embedding.
        deviations: (n, D) float32, weight times (embedding minus mean); their sum is zero.
        weights: (n,) float64 above or equal to 0, of mean 1.
    """

    mean: Tensor
    deviations: Tensor
    weights: Tensor

    @classmethod
    def of(cls, tiles: SlideTiles, weights: NDArray[np.floating] | Tensor | None = None) -> Pooled:
        """The tiles of a slide with weights (n,), or all alike.

        Raises:
            ValueError: If the weights are not (n,), finite, 0 or more, and somewhere above 0.
        """
        features = torch.from_numpy(np.ascontiguousarray(tiles.features))
        given = torch.ones(len(tiles)) if weights is None else torch.as_tensor(np.asarray(weights))
        given = given.double()
        if given.shape != (len(tiles),) or not given.isfinite().all() or (given < 0).any() or not given.any():
            raise ValueError(
                f"weights must be one number per tile, here {len(tiles)}, 0 or more and not all 0; got the shape "
                f"{tuple(given.shape)}"
            )
        given = given / given.mean()
        mean = torch.zeros(features.shape[1], dtype=torch.float64)
        for rows, parts in zip(features.split(ROWS), given.split(ROWS), strict=True):
            mean += parts @ rows.double()
        mean /= len(tiles)
        deviations = torch.cat(
            [
                ((rows.double() - mean) * parts[:, None]).float()
                for rows, parts in zip(features.split(ROWS), given.split(ROWS), strict=True)
            ]
        )
        return cls(mean, deviations, given)

    def __len__(self) -> int:
        return len(self.weights)

    def embeddings(self, masks: Tensor) -> Tensor:
        """(N, D) float64 of the slide under masks (N, n) of its tiles, 1 = visible; 0 where none is."""
        seen = masks.double() @ self.weights
        moved = (masks @ self.deviations).double() / seen.where(seen > 0, 1.0)[:, None]
        return (self.mean + moved) * (seen > 0)[:, None]

    def alone(self) -> Tensor:
        """(n, D) float64: each tile's own embedding."""
        return self.mean + self.deviations.double() / self.weights.where(self.weights > 0, 1.0)[:, None]

    def without(self) -> Tensor:
        """(n, D) float64: the slide's embedding without each tile; 0 where nothing is left."""
        left = len(self) - self.weights
        kept = left > 1e-12 * len(self)
        return (self.mean - self.deviations.double() / left.where(kept, 1.0)[:, None]) * kept[:, None]


@dataclass(frozen=True)
class TileScore:
    """How close the slide is to a reference, as a function of its visible tiles."""

    pooled: Pooled
    target: Target

    def __call__(self, masks: Tensor) -> Tensor:
        """(N,) float64 scores under masks (N, n)."""
        return self.target(self.pooled.embeddings(masks))

    @cached_property
    def of_all(self) -> float:
        """With every tile visible."""
        return float(self.target(self.pooled.mean[None]))

    def of_each(self, embeddings: Tensor) -> Tensor:
        """(n,) float64 scores of embeddings (n, D)."""
        return torch.cat([self.target(rows) for rows in embeddings.split(ROWS)])

    def surrogate(self, grid: Subsets) -> SubsetSurrogate:
        """What the score is close to, and known exactly: its expansion to second order around the whole slide.

        The forms are the deviations (for measures of direction, what of them lies across the mean, which moves a cosine
        at its maximum), their products with the score's gradient and with the mean, and the weights, if they differ.
        """
        pooled = self.pooled
        mean = pooled.mean.clone().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.target(mean[None]).sum(), mean)
        single = [pooled.deviations @ direction for direction in _directions(gradient, pooled.mean)]
        across = pooled.deviations
        if MEASURES[self.target.similarity].direction and pooled.mean.any():
            along = (pooled.mean / pooled.mean.norm()).float()
            across = across - (across @ along)[:, None] * along
        if float(pooled.weights.std()) > 1e-6:
            single.append((pooled.weights - 1).float())
        if not single:
            raise ValueError("the tiles are all alike, or their mean has no length: there is nothing to explain")
        return SubsetSurrogate(grid, torch.cat([across, torch.stack(single, 1)], 1), across.shape[1])


def _directions(gradient: Tensor, mean: Tensor) -> list[Tensor]:
    """Unit vectors (D,) float32 along the mean and, where the score moves at all, along its gradient."""
    directions = [mean / mean.norm()] if mean.any() else []
    if gradient.isfinite().all() and gradient.norm() * mean.norm().clamp(min=1) > 1e-9:  # 0 at a measure's maximum
        directions.append(gradient / gradient.norm())
    return [direction.float() for direction in directions]
