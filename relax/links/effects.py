"""The first-order effect of every part on whatever is measured under random masks of them.

Part a is shown with the chance p, independently of the others (m_a = 1). Its effect on an outcome f of the mask, a
number or a vector, is

    U_a = E[f | a shown] - E[f | a hidden] = E[f (m_a - p)] / (p (1 - p)),

the weighted Banzhaf value of a. The mean over N masks of f (m_a - p) / (p (1 - p)) estimates it without bias, but with
the noise of all that f owes to the other parts. So a linear surrogate of f is fitted to other masks and its own effect,
which is known, put in the place of its estimate:

    U^_a = w_a + mean of (f - w_0 - sum_b w_b (m_b - p)) (m_a - p) / (p (1 - p))

Fitted to masks that are independent of those averaged over, it leaves the mean as it is. Under an orthogonal array with
p = 1/2 the surrogate's estimate is exact, so it changes nothing there.

All of it is linear in the outcomes, with coefficients that depend on the masks alone.

Source: weighted Banzhaf values, Marichal & Mathonet (2011); control variates by cross-fitting, as in
`relax.estimators.control`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_GROUPS, MOST_GROUPS = 4, 32  # replicates from which an error is told
RIDGE = 1.0  # masks' worth of weights at 0, so that the fit has a solution however few there are


@dataclass(frozen=True)
class Replicates:
    """Masks of parts in groups that are independent of each other.

    Attributes:
        shown: (N, G) float64, 1 where mask n shows part g, else 0.
        keep: The chance that a part is shown, p.
        groups: R; consecutive masks, N / R each, are a group.
    """

    shown: Tensor
    keep: float
    groups: int

    def effects(self, outcomes: Tensor) -> Tensor:
        """(R, G, K) float64 estimates of the effect of every part on outcomes (N, K), each without bias.

        Those of different groups are independent but for their surrogates.
        """
        length = len(self.shown) // self.groups
        centred = self.shown - self.keep
        features = torch.cat([torch.ones_like(centred[:, :1]), centred], 1)
        products = _by_group(features, features, length)  # (R, 1 + G, 1 + G)
        fitted_to = _by_group(features, outcomes.double(), length)  # (R, 1 + G, K)
        others, other_outcomes = products.sum(0) - products, fitted_to.sum(0) - fitted_to
        weights = torch.linalg.solve(others + RIDGE * torch.eye(features.shape[1], dtype=torch.float64), other_outcomes)
        left = (fitted_to - products @ weights)[:, 1:]  # of the residuals, on the centred masks
        estimates: Tensor = weights[:, 1:] + left / (length * self.keep * (1 - self.keep))
        return estimates


def _by_group(left: Tensor, right: Tensor, length: int) -> Tensor:
    """(R, I, K): the products of (N, I) and (N, K), summed over the masks of each group."""
    sums: Tensor = left.unflatten(0, (-1, length)).mT @ right.unflatten(0, (-1, length))
    return sums


def grouping(masks: int, block: int) -> tuple[int, int]:
    """How many masks are used of so many, and in how many groups of whole blocks of the design.

    Raises:
        ValueError: If there are too few for an error.
    """
    groups = min(MOST_GROUPS, masks // block)
    if groups < LEAST_GROUPS:
        raise ValueError(
            f"masks must be {LEAST_GROUPS * block:,} or more here, {LEAST_GROUPS} blocks of {block} of the design, to "
            f"tell an error; got {masks:,}: take more, fewer cells, or another design"
        )
    return masks // (groups * block) * groups * block, groups
