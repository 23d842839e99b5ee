"""The same maps from fewer masks: what is known is averaged exactly, and only the residuals over masks.

A surrogate, linear in the visibility of regions and of neighbouring regions, is fitted to the scores. Its map is known
exactly, so only the residuals have to be averaged over the masks, and they vary far less:

    importance  = mask-weighted mean of (exact map of the surrogate + residual).

For the uncertainty the same is done with the squared scores, less the square of the surrogate, whose map is averaged
over masks that no encoder sees. The surrogate is cross-fitted: the residual of a mask comes from a
fit that has not seen it, and is added to the map of that fit, which keeps the maps unbiased, whatever the surrogate
misses, and the standard error honest.

Sources: control variates, Hammersley & Handscomb, "Monte Carlo Methods" (1964), section 5.5; cross-fitting as in
double machine learning, Chernozhukov et al. (2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from relax.estimators.blocks import BlockedMoments, MasksInBlocks, averages
from relax.estimators.moments import PixelMoments

FOLDS = 4
STRETCH = 256  # masks that are drawn again at once
DRAWN = 2**24  # voxels of masks of volumes that are drawn again at once
KEPT = 2**25  # bytes of their features that are kept meanwhile, so that memory does not grow with the masks
RIDGES = (3.0, 30.0, 300.0, 3000.0)  # penalties to choose from, in masks, beside having no surrogate at all
SINGLE = 0.1  # the penalty of single regions against that of products
MORE, MOST_UNSEEN = 16, 32_768  # masks that no encoder sees, against those that one saw, and at most


class Surrogate(Protocol):
    """Numbers per mask whose means over all masks are known, such as `masking.GridSurrogate`."""

    @property
    def grid(self) -> MasksInBlocks:
        """The masks."""

    @property
    def device(self) -> torch.device:
        """Of the numbers and the maps."""

    @property
    def linear(self) -> int:
        """How many of the numbers, which come first, are of single regions."""

    def features(self, start: int, stop: int) -> Tensor:
        """(N, features) of masks `start` to `stop - 1`, each with mean zero."""

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """(H, W) the mask-weighted mean of features @ weights, exactly."""

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """(H, W) the mask-weighted mean of its square over several fits, by about so many masks where not exactly."""


class ControlledMoments:
    """The maps from all scores so far, by control variates; estimated anew when they are read after more scores.

    Nothing is kept but the scores, so that memory hardly grows with the number of masks: the masks are drawn again.

    Args:
        surrogate: Of the grid that the masks come from.
        first: Number of the first mask.
    """

    def __init__(self, surrogate: Surrogate, first: int = 0) -> None:
        self.surrogate, self.first = surrogate, first
        self.scores = torch.zeros(0, dtype=torch.float64, device=surrogate.device)
        self._maps: _Maps | None = None

    @property
    def count(self) -> int:
        """Masks so far."""
        return len(self.scores)

    def record(self) -> dict[str, Any]:
        """Which estimator it is, and the share of the variance that it removed."""
        return {"name": "controlled", "explained": round(self.explained, 4)}

    def add(self, scores: Tensor, masks: Tensor | None = None) -> None:
        """Take in the scores (N,) of the next masks; the masks are known from their numbers."""
        self.scores = torch.cat([self.scores, scores.double()])
        self._maps = None

    @property
    def importance(self) -> Tensor:
        """(H, W) float64, as `RelaxMoments.importance`, which it estimates with less noise."""
        return self._current.importance

    @property
    def uncertainty(self) -> Tensor:
        """(H, W) float64, as `RelaxMoments.uncertainty`; an estimate below 0 is given as 0."""
        return self._current.uncertainty

    @property
    def standard_error(self) -> Tensor:
        """(H, W) float64: the error of the mean of the residuals; the surrogate's map has none.

        Its shape over the pixels is that of a ratio of independent sums. For a design that makes masks depend on each
        other, its level is that of the differences between blocks, which are independent.
        """
        return self._current.standard_error

    @property
    def explained(self) -> float:
        """Share of the scores' variance that the surrogate predicts for masks it was not fitted to."""
        return self._current.explained

    @property
    def _current(self) -> _Maps:
        if self._maps is None:
            self._maps = _estimate(self.surrogate, self.scores, self.first)
        return self._maps


@dataclass
class _Maps:
    surrogate: Surrogate
    middle: Tensor  # of the scores
    centred_importance: Tensor
    standard_error: Tensor
    explained: float
    folds: list[_Fold]
    squares: Tensor  # (H, W) the mask-weighted mean of the squared scores, less the square of the surrogate

    @property
    def importance(self) -> Tensor:
        return self.centred_importance + self.middle

    @cached_property
    def uncertainty(self) -> Tensor:
        """Computed when it is read: a tolerance reads the standard error alone, many times."""
        count = sum(fold.stop - fold.start for fold in self.folds)
        weights = torch.stack([fold.weights[:-1] for fold in self.folds])
        shares = weights.new_tensor([(fold.stop - fold.start) / count for fold in self.folds])
        square = self.surrogate.mean_of_square(weights, shares, min(MORE * count, MOST_UNSEEN)) + self.squares
        return (square - self.centred_importance.square()).clamp(min=0)


@dataclass(frozen=True)
class _Fold:
    """Masks `start` to `stop - 1`, counted from the first score, with the surrogate that was fitted to all others."""

    start: int
    stop: int
    weights: Tensor  # (features + 1,), the last one constant


def _estimate(surrogate: Surrogate, scores: Tensor, first: int) -> _Maps:
    middle = scores.mean()
    centred = scores - middle
    fits = _fits_of(surrogate, len(scores), first)
    folds, explained = fits.best(centred)
    squared = centred.square() - fits.squares_of(folds)
    square_folds, _ = fits.best(squared)
    residuals, square_residuals = fits.residuals(folds, centred), fits.residuals(square_folds, squared)
    moments, squares = _no_masks(surrogate)
    for fold, square_fold in zip(folds, square_folds, strict=True):
        of_fold, squares_of_fold = _averaged(surrogate, residuals, square_residuals, fold, first)
        of_fold.shift(fits.exact(fold))
        squares_of_fold.shift(fits.exact(square_fold))
        moments.merge(of_fold)
        squares.merge(squares_of_fold)
    return _Maps(
        surrogate=surrogate,
        middle=middle,
        centred_importance=moments.importance,
        standard_error=moments.standard_error,
        explained=explained,
        folds=folds,
        squares=squares.mean,
    )


class _Fits:
    """Cross-fitted ridge regressions of numbers per mask on the surrogate's features."""

    def __init__(self, surrogate: Surrogate, count: int, first: int) -> None:
        self.surrogate, self.first = surrogate, first
        self._kept: dict[int, Tensor] = {}  # features, which are needed six times
        edges = _edges(count, surrogate.grid.block)
        self.spans = list(pairwise(edges))
        self.squares = torch.stack([self._products(*span) for span in self.spans])
        self.ridges = _Ridges(self.squares.sum(0) - self.squares, surrogate.linear)

    def best(self, targets: Tensor) -> tuple[list[_Fold], float]:
        """For each fold the fit to all others, with the penalty that predicts best; and the share it predicts."""
        products = torch.stack([self._products(*span, targets) for span in self.spans])
        weights = self.ridges.weights(products.sum(0) - products)
        # |y - X w|^2 over the masks left out, for every penalty.
        losses = ((weights @ self.squares) * weights).sum((0, 2)) - 2 * (weights @ products[..., None]).sum((0, 2))
        best = int(losses.argmin())
        around = float((targets - targets.mean()).square().sum())
        explained = 1 - float(targets.square().sum() + losses[best]) / around if around > 0 else 0.0
        return [_Fold(*span, w[best]) for span, w in zip(self.spans, weights, strict=True)], explained

    def residuals(self, folds: list[_Fold], targets: Tensor) -> Tensor:
        """(N,) targets minus what the fits that have not seen them predict."""
        return targets - self._per_mask(folds, torch.matmul)

    def squares_of(self, folds: list[_Fold]) -> Tensor:
        """(N,) squares of what the fits that have not seen them predict, without their constant."""
        return self._per_mask(folds, lambda x, weights: (x[:, :-1] @ weights[:-1]).square())

    def exact(self, fold: _Fold) -> Tensor:
        """(H, W) mask-weighted mean of what a fit predicts, over all possible masks."""
        return self.surrogate.conditional_mean(fold.weights[:-1]) + fold.weights[-1]

    def _per_mask(self, folds: list[_Fold], value: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """(N,) `value` of the features of some masks and the weights of their fold."""
        return torch.cat([value(x, fold.weights) for fold in folds for _, x in self._features(fold.start, fold.stop)])

    def _products(self, start: int, stop: int, targets: Tensor | None = None) -> Tensor:
        """X'y over some masks, or X'X without targets; X are the features and a constant."""
        parts = (
            x.mT @ (x if targets is None else targets[first : first + len(x)])
            for first, x in self._features(start, stop)
        )
        return reduce(torch.add, parts)

    def _features(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        for first in range(start, stop, STRETCH):
            if (x := self._kept.get(first)) is None:
                x = self.surrogate.features(self.first + first, self.first + min(first + STRETCH, stop))
                x = torch.cat([x, x.new_ones(len(x), 1)], 1)
                if (len(self._kept) + 1) * x.nbytes <= KEPT:
                    self._kept[first] = x
            yield first, x


_last: dict[Any, _Fits] = {}


def _fits_of(surrogate: Surrogate, count: int, first: int) -> _Fits:
    """Those of the last picture, which depend on the masks alone, if it had the same; large ones are not kept."""
    key = (surrogate, count, first)
    if (fits := _last.get(key)) is None:
        fits = _Fits(*key)
        _last.clear()
        if fits.ridges.roots.nbytes <= KEPT:
            _last[key] = fits
    return fits


class _Ridges:
    """Ridge regressions with every penalty in `RIDGES`, factored once for many targets; the constant is free.

    Args:
        squares: (folds, features + 1, features + 1), X'X of the masks that each fold learns from.
        single: Features that are single regions; they come first.
    """

    def __init__(self, squares: Tensor, single: int) -> None:
        self.masks = squares[:, -1, -1]  # of each fold; all 0 where there is one fold, which has nothing to learn from
        scale = squares.diagonal(dim1=1, dim2=2) / self.masks[:, None].clamp(min=1)
        scale = scale.clamp(min=1e-12)  # a region that is always shown would be singular
        scale[:, :single] *= SINGLE
        scale[:, -1] = (self.masks == 0).double()
        penalties = squares.new_tensor(RIDGES)[:, None] * scale[:, None]
        self.roots = torch.linalg.cholesky(squares[:, None] + torch.diag_embed(penalties))

    def weights(self, products: Tensor) -> Tensor:
        """(folds, penalties + 1, features + 1) from X'y (folds, features + 1); the last is the constant alone."""
        ridges = torch.cholesky_solve(products[:, None, :, None], self.roots).squeeze(-1)
        constant = torch.zeros_like(products)
        constant[:, -1] = products[:, -1] / self.masks.clamp(min=1)
        return torch.cat([ridges, constant[:, None]], 1)


def _edges(count: int, block: int) -> list[int]:
    """Where folds begin and end: whole blocks, so that a fit does not know the masks left out, if there are two."""
    blocks = count // block
    if blocks < 2:
        block, blocks = 1, count
    folds = min(FOLDS, blocks)
    return [round(fold * blocks / folds) * block for fold in range(folds)] + [count]


def _no_masks(surrogate: Surrogate) -> tuple[BlockedMoments, PixelMoments]:
    """Moments of no masks yet, of residuals and of those of the squares."""
    return averages(surrogate.grid, surrogate.device), PixelMoments.empty(surrogate.grid.image_size, surrogate.device)


def _averaged(
    surrogate: Surrogate, residuals: Tensor, square_residuals: Tensor, fold: _Fold, first: int
) -> tuple[BlockedMoments, PixelMoments]:
    """Mask-weighted moments of the residuals of a fold; its masks are drawn again."""
    grid = surrogate.grid
    moments, square_moments = _no_masks(surrogate)
    stretch = STRETCH if len(grid.image_size) == 2 else max(1, min(STRETCH, DRAWN // math.prod(grid.image_size)))
    for start, stop in pairwise([*range(fold.start, fold.stop, stretch), fold.stop]):
        masks = grid.masks(first + start, first + stop, surrogate.device)
        moments.add(residuals[start:stop], masks)
        square_moments.add(square_residuals[start:stop], masks.squeeze(1))
    return moments, square_moments
