"""Cross-fitted predictions of scores from masks: what the default does, and what might do better.

All start from the default's features, regions and products of neighbours (`masking.GridSurrogate`), and its penalties.
Whatever is fitted besides may be any function of a mask: its map is averaged over masks that no encoder sees.

single       regions alone
products     the default: regions and products of neighbours
finer        the same, and regions of half the side
following    products, and the cells of the grid themselves, alone and times its shift down and right
smooth       products, and the mask's cosine transform, whose higher frequencies are penalised more
trees        products, and gradient-boosted trees fitted to what they leave
kernel       products, and a Gaussian kernel on regions, each scaled by the root of its weight, for what they leave
embedding    products, and the cosine of an embedding whose 32 leading components are predicted like the score
quadratic    embedding, and squares and products of the 8 leading ones of these

Sources: stacking, Wolpert (1992); boosted trees as control variate of averages over masks, arXiv 2506.11849 (2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor
from torch.nn import functional as F

from masking.grid import RandomGrid, spread
from relax.estimators.control import RIDGES, SINGLE

COMPONENTS, LEADING = 32, 8
WAVES = 14  # cosines along each side, of 0 to 13 half waves
SECOND = 0.01  # penalty of the second level, as a share of its features' variance


@dataclass(frozen=True)
class Fitted:
    """What fits that have not seen them predict for the masks of a run, and every fold's fit for unseen masks.

    Attributes:
        seen: (N,) or (N, T) predictions for masks that an encoder saw.
        unseen: (folds, M) or (folds, M, T) predictions for masks that none sees.
    """

    seen: Tensor
    unseen: Tensor

    def plus(self, other: Fitted) -> Fitted:
        """The sum of two predictions."""
        return Fitted(self.seen + other.seen, self.unseen + other.unseen)


@dataclass(frozen=True)
class Learning:
    """All that may be learned from.

    Attributes:
        scores: (N,) without their mean.
        embeddings: (N, D) of length 1, and reference (D,) of length 1.
        features: (N, f) and unseen (M, f), of which `single` come first and are regions.
        further: By name (N, g) and (M, g) features that are linear in the masks' pixels, of `further_features`.
        folds: Numbers of the masks in each.
    """

    scores: Tensor
    embeddings: Tensor
    reference: Tensor
    features: Tensor
    unseen: Tensor
    single: int
    further: dict[str, tuple[Tensor, Tensor]]
    folds: list[Tensor]

    def others(self, fold: Tensor) -> Tensor:
        """(N,) bool: the masks of the other folds."""
        mask = torch.ones(len(self.scores), dtype=torch.bool)
        mask[fold] = False
        return mask

    @cached_property
    def _basis(self) -> tuple[Tensor, Tensor]:
        middle = self.embeddings.mean(0)
        return middle, leading(self.embeddings - middle, COMPONENTS)

    @cached_property
    def _first(self) -> Fitted:
        """(N, 1 + components): score and components of the embedding."""
        middle, basis = self._basis
        targets = torch.cat([self.scores[:, None], (self.embeddings - middle) @ basis], 1)
        return ridge(self.features, self.unseen, targets, self.folds, self.single)

    def products(self) -> Fitted:
        """The default."""
        return Fitted(self._first.seen[:, 0], self._first.unseen[..., 0])

    def single_regions(self) -> Fitted:
        """Regions alone."""
        features, unseen = (values[:, : self.single] for values in (self.features, self.unseen))
        return _first_column(ridge(features, unseen, self.scores[:, None], self.folds, self.single))

    def finer(self) -> Fitted:
        """Regions, regions of half the side, and products."""
        return self._with("finer")

    def following(self) -> Fitted:
        """Cells times the shift, regions and products."""
        return self._with("following")

    def smooth(self) -> Fitted:
        """Cosines, regions and products; a cosine of k waves a side has (1 + (k / 6)^2)^2 times the penalty."""
        powers = torch.arange(WAVES, dtype=torch.float64).square() / 36
        return self._with("smooth", (1 + powers[:, None] + powers).square().flatten())

    def _with(self, name: str, relative: Tensor | None = None) -> Fitted:
        """The default, and further features of single cells."""
        features, unseen = (
            torch.cat([further, values], 1)
            for further, values in zip(self.further[name], (self.features, self.unseen), strict=True)
        )
        single = self.single + self.further[name][0].shape[1]
        return _first_column(ridge(features, unseen, self.scores[:, None], self.folds, single, relative))

    def embedding(self) -> Fitted:
        """Products, and the cosine of the predicted embedding."""
        return self._stacked(self._level_two)

    def quadratic(self) -> Fitted:
        """The same, and products of the leading components as they are predicted."""
        turned = leading(self._first.seen[:, 1:], LEADING)
        first, second = torch.triu_indices(turned.shape[1], turned.shape[1])

        def features(values: Tensor) -> Tensor:
            components = values[..., 1:] @ turned
            return torch.cat([self._level_two(values), components[..., first] * components[..., second]], -1)

        return self._stacked(features)

    def trees(self) -> Fitted:
        """Products, and boosted trees on regions."""

        def learn(learned: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
            trees = HistGradientBoostingRegressor(
                max_iter=100, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0
            ).fit(learned.numpy(), targets.numpy())
            return lambda values: torch.from_numpy(trees.predict(values.numpy()))

        return self._corrected(learn, torch.ones(self.single, dtype=torch.float64))

    def kernel(self) -> Fitted:
        """Products, and a Gaussian kernel on scaled regions."""
        regions = self.features[:, : self.single]
        weights = torch.linalg.lstsq(regions, self.products().seen[:, None]).solution[:, 0].abs()

        def learn(learned: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
            unit = learned.square().sum(1).mean().sqrt()

            def near(values: Tensor) -> Tensor:
                return torch.exp(-torch.cdist(values / unit, learned / unit).square() / 2)

            ridged = near(learned) + 0.3 * torch.eye(len(learned), dtype=torch.float64)
            dual = torch.linalg.solve(ridged, targets)
            return lambda values: near(values) @ dual

        return self._corrected(learn, weights.sqrt())

    def _level_two(self, values: Tensor) -> Tensor:
        """(..., 2): the score as predicted, and the cosine of the embedding as predicted."""
        middle, basis = self._basis
        components = values[..., 1:]
        along = middle @ self.reference + components @ (basis.mT @ self.reference)
        length = middle.square().sum() + 2 * components @ (basis.mT @ middle) + components.square().sum(-1)
        return torch.stack([values[..., 0], along / length.clamp(min=1e-9).sqrt()], -1)

    def _stacked(self, features: Callable[[Tensor], Tensor]) -> Fitted:
        """A second ridge on predictions, cross-fitted in the same folds."""
        seen, unseen = features(self._first.seen), features(self._first.unseen)
        middle, scale = seen.mean(0), seen.std(0).clamp(min=1e-12)
        seen, unseen = (seen - middle) / scale, (unseen - middle) / scale
        result, parts = torch.empty_like(self.scores), []
        penalty = torch.full((seen.shape[1],), SECOND, dtype=torch.float64)
        penalty[2:] *= 10
        for number, fold in enumerate(self.folds):
            x = seen[others := self.others(fold)]
            weights = torch.linalg.solve(x.mT @ x + torch.diag(penalty * len(x)), x.mT @ self.scores[others])
            result[fold] = seen[fold] @ weights
            parts.append(unseen[number] @ weights)
        return Fitted(result, torch.stack(parts))

    def _corrected(self, learn: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]], scales: Tensor) -> Fitted:
        """Products, plus half of what is learned from scaled regions about the scores that they leave."""
        base = self.products()
        left = self.scores - base.seen
        seen, unseen = (values[:, : self.single] * scales for values in (self.features, self.unseen))
        result, parts = torch.empty_like(left), []
        for fold in self.folds:
            others = self.others(fold)
            predict = learn(seen[others], left[others])
            result[fold] = 0.5 * predict(seen[fold])
            parts.append(0.5 * predict(unseen))
        return base.plus(Fitted(result, torch.stack(parts)))


LEARNERS: dict[str, Callable[[Learning], Fitted]] = {
    "single": Learning.single_regions,
    "products": Learning.products,
    "finer": Learning.finer,
    "following": Learning.following,
    "smooth": Learning.smooth,
    "trees": Learning.trees,
    "kernel": Learning.kernel,
    "embedding": Learning.embedding,
    "quadratic": Learning.quadratic,
}


def ridge(
    features: Tensor,
    unseen: Tensor,
    targets: Tensor,
    folds: list[Tensor],
    single: int,
    relative: Tensor | None = None,
) -> Fitted:
    """Ridge regressions of several targets (N, T), as the default's: each with the penalty that predicts best.

    `relative` are factors of the penalties of the first features.
    """
    x, apart = (torch.cat([values, values.new_ones(len(values), 1)], 1) for values in (features, unseen))
    squares, products = (torch.stack([x[fold].mT @ of[fold] for fold in folds]) for of in (x, targets))
    losses, fits = [], []
    for fold, square, product in zip(folds, squares.sum(0) - squares, products.sum(0) - products, strict=True):
        masks = len(x) - len(fold)
        scale = (square.diagonal() / masks).clamp(min=1e-12)
        scale[:single] *= SINGLE
        if relative is not None:
            scale[: len(relative)] *= relative
        scale[-1] = 0
        weights = [
            torch.cholesky_solve(product, torch.linalg.cholesky(square + torch.diag(size * scale))) for size in RIDGES
        ]
        constant = torch.zeros_like(product)
        constant[-1] = product[-1] / masks
        fits.append(torch.stack([*weights, constant]))
        losses.append((targets[fold] - x[fold] @ fits[-1]).square().sum(1))
    best, places = torch.stack(losses).sum(0).argmin(0), torch.arange(targets.shape[1])
    chosen = [fit[best, :, places].mT for fit in fits]
    seen = torch.empty_like(targets)
    for fold, weights_of_fold in zip(folds, chosen, strict=True):
        seen[fold] = x[fold] @ weights_of_fold
    return Fitted(seen, torch.stack([apart @ weights_of_fold for weights_of_fold in chosen]))


def leading(values: Tensor, count: int) -> Tensor:
    """(D, count): the leading principal directions of centred values (N, D), by subspace iteration."""
    rng = torch.Generator().manual_seed(0)
    count = min(count, *values.shape)
    basis = torch.randn(values.shape[1], min(count + 8, *values.shape), generator=rng, dtype=values.dtype)
    for _ in range(4):
        basis = torch.linalg.qr(values.mT @ (values @ basis))[0]
    return basis @ torch.linalg.svd(values @ basis, full_matrices=False)[2][:count].mT


def further_features(grid: RandomGrid, cells: Tensor, shifts: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Features that are linear in the pixels of a mask, at any one shift.

    Of cells (N, points, points), 1 = visible, and shifts (N, 2) of a grid, and of the same masks (N, side, side).
    """
    centred = cells - grid.keep
    hats = [grid.hats(grid.positions(pixels, shifts[:, axis])) for axis, pixels in enumerate(grid.image_size)]
    halves = [F.adaptive_avg_pool1d(of_axis.mT, 2 * grid.cells).mT for of_axis in hats]
    down, right = ((shifts - 0.5) * math.sqrt(12)).mT[..., None]  # of variance 1
    flat = centred.flatten(1)
    centres = (torch.arange(masks.shape[-1], dtype=torch.float64) + 0.5) / masks.shape[-1]
    cosines = torch.cos(math.pi * torch.arange(WAVES)[:, None] * centres)
    return {
        "finer": spread(centred, halves).flatten(1),
        "following": torch.cat([flat, flat * down, flat * right], 1),
        "smooth": (cosines @ (masks - grid.keep) @ cosines.mT).flatten(1),
    }


def _first_column(fitted: Fitted) -> Fitted:
    return Fitted(fitted.seen[:, 0], fitted.unseen[..., 0])
