"""Random subsets of the parts of a text, and what is known exactly about functions of them.

Every part is shown with the chance p = keep, independently of the others, under any design of `masking.designs`. With
d = m - p the centred visibility, of variance v = p (1 - p), the features are the d and the products d d' of two parts.
They are uncorrelated and have mean zero; so for g = sum(w d) + sum(u d d') and the subsets that show part k, where
d_k = a = 1 - p,

    E[g | k]   = a w_k
    E[g^2 | k] = a^2 w_k^2 + v sum_{i != k} (w_i + a u_ik)^2 + v^2 sum_{i < j, both != k} u_ij^2

`relax.estimators.control` takes this as a surrogate, as it takes that of the grid for pictures.

Source: orthogonal decomposition of functions of independent variables, Hoeffding (1948); checked against all subsets
of a few parts in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import torch
from torch import Tensor

from masking.checks import check_keep, check_seed
from masking.designs import block_length, check_design, draw
from relax.estimators.blocks import LEAST_BLOCKS
from relax.words.tables import KEEP

MOST_PAIRS = 150  # products of two parts, nearest ones first, so that they stay fewer than the masks


@dataclass(frozen=True)
class PartMasks:
    """Numbered random subsets of `count` parts, as masks (N, 1, 1, count): one row.

    Raises:
        ValueError: If `keep` is not in (0, 1), the design is unknown, or there is no part.
    """

    count: int
    keep: float = KEEP
    seed: int = 0
    design: str = "orthogonal"

    limit: ClassVar[int | None] = None
    independent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_keep(self.keep)
        check_seed(self.seed)
        check_design(self.design)
        if self.count < 1:
            raise ValueError(f"subsets need one part or more; got {self.count}")

    @property
    def block(self) -> int:
        """Number of consecutive subsets that depend on each other."""
        return block_length(self.design, self.count)

    @property
    def image_size(self) -> tuple[int, int]:
        """(1, count): what the masks are masks of."""
        return 1, self.count

    def subsets(self, start: int, stop: int) -> Tensor:
        """Subsets number `start` to `stop - 1`: (N, count) float32, 1 = shown."""
        return draw(self.design, self.seed, start, stop, self.count, self.keep)[0]

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """The same as masks (N, 1, 1, count)."""
        return self.subsets(start, stop).to(device)[:, None, None]

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters, as JSON types."""
        return {
            "kind": "subsets of a text",
            "parts": self.count,
            "keep": self.keep,
            "seed": self.seed,
            "design": self.design,
        }


def design_for(count: int, masks: int) -> str:
    """The orthogonal array where a run has blocks enough of it for an honest error, else antithetic pairs."""
    return "orthogonal" if masks >= LEAST_BLOCKS * block_length("orthogonal", count) else "antithetic"


def all_subsets(count: int) -> Tensor:
    """(2^count, count) float32: every subset of the parts, the empty one first and the whole last."""
    return torch.tensor([*product((0.0, 1.0), repeat=count)]).view(-1, count)


class PartSurrogate:
    """Parts and products of two of them, whose means over all subsets are known, for control variates.

    Args:
        grid: The subsets.
    """

    def __init__(self, grid: PartMasks) -> None:
        self.grid, self.device, self.linear = grid, torch.device("cpu"), grid.count
        pairs = torch.combinations(torch.arange(grid.count), 2) if grid.count > 1 else torch.empty(0, 2).long()
        near = (pairs[:, 1] - pairs[:, 0]).argsort(stable=True)[:MOST_PAIRS]
        self.first, self.second = pairs[near].T

    def features(self, start: int, stop: int) -> Tensor:
        """(N, features) float64 of subsets `start` to `stop - 1`: parts, then products, each with mean zero."""
        centred = self.grid.subsets(start, stop).double() - self.grid.keep
        return torch.cat([centred, centred[:, self.first] * centred[:, self.second]], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """(1, count): the exact mean of features @ weights over the subsets that show each part."""
        return (1 - self.grid.keep) * weights[None, : self.linear]

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """(1, count): the exact mean of (features @ weights)^2 over the subsets that show each part.

        Args:
            weights: (fits, features).
            shares: (fits,) by which the fits are averaged.
            masks: Not needed.
        """
        means = torch.stack([self._mean_of_square(fit) for fit in weights])
        result: Tensor = (shares @ means)[None]
        return result

    def _mean_of_square(self, weights: Tensor) -> Tensor:
        """(count,) for one fit."""
        count, shown = self.grid.count, 1 - self.grid.keep
        variance = self.grid.keep * shown
        single = weights[:count]
        products = torch.zeros(count, count, dtype=weights.dtype)
        products[self.first, self.second] = weights[count:]
        products = products + products.T
        # Column k: the effect of every other part once part k is shown.
        others = (single[:, None] + shown * products).square()
        rest = others.sum(0) - others.diagonal()
        squares = products.square()
        without = squares.sum() / 2 - squares.sum(0)
        result: Tensor = (shown * single).square() + variance * rest + variance**2 * without
        return result
