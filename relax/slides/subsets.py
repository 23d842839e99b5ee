"""Random subsets of the tiles of a slide, and what is known exactly about numbers that are quadratic in them.

Every subset shows K of the n tiles, drawn without replacement. With m their visibility, 0 or 1, and a few numbers per
tile F (n, R) whose columns sum to zero, the forms y = F'm have mean zero, and their products mean v F'F. Over the
subsets that show tile k their means are

    E[y | k] = c F_k,    E[y y' | k] = s F_k F_k' + b F'F,

with q = (K - 1) / (n - 1), r = (K - 2) / (n - 2), c = (n - K) / (n - 1), v = c K / n, s = 1 - 3 q + 2 q r and
b = q (1 - r). `relax.estimators.control` takes these as a surrogate, as it takes that of the random grid for pictures:
only what is left of the scores is averaged over the subsets.

Source: moments of samples without replacement, Cochran, "Sampling Techniques" (1977), chapter 2; they are checked
against all subsets of a few tiles in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from masking.checks import check_keep, check_seed
from masking.source import random_rows
from relax.slides.defaults import KEEP

SQUARES = 4096  # subsets over which the square of the surrogate is averaged, at most
STRETCH = 256  # of them that are held at once


@dataclass(frozen=True)
class Subsets:
    """Numbered random subsets of `count` tiles, as masks (N, 1, 1, count): one row of tiles. Each shows `visible`.

    Raises:
        ValueError: If `keep` is not in (0, 1), or there are fewer than two tiles.
    """

    count: int
    keep: float = KEEP
    seed: int = 0

    limit: ClassVar[int | None] = None
    independent: ClassVar[bool] = True
    block: ClassVar[int] = 1  # subsets do not depend on each other

    def __post_init__(self) -> None:
        check_keep(self.keep)
        check_seed(self.seed)
        if self.count < 2:
            raise ValueError(f"subsets need two tiles or more; got {self.count}")

    @property
    def visible(self) -> int:
        """K, the number of tiles in every subset."""
        return max(1, min(self.count - 1, round(self.keep * self.count)))

    @property
    def image_size(self) -> tuple[int, int]:
        """(1, count): what the masks are masks of."""
        return 1, self.count

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Subsets number `start` to `stop - 1`: (N, 1, 1, count) float32, 1 = visible."""
        rows = random_rows(self.seed, start, stop, self.count)
        limits = rows.kthvalue(self.visible, dim=1).values[:, None]
        visible = rows <= limits
        for number in (visible.sum(1) > self.visible).nonzero()[:, 0].tolist():  # of equal numbers the first are taken
            equal = (rows[number] == limits[number]).nonzero()[:, 0]
            visible[number, equal[self.visible - int(visible[number].sum()) :]] = False
        return visible.float().to(device)[:, None, None]

    def recipe(self) -> dict[str, Any]:
        """Kind and parameters, as JSON types."""
        return {
            "kind": "subsets of tiles",
            "tiles": self.count,
            "visible": self.visible,
            "keep": self.keep,
            "seed": self.seed,
        }


class SubsetSurrogate:
    """Numbers whose means over all subsets are known, for control variates.

    The features are the last forms (all but the first `paired`), the sum of squares of the first `paired` forms, and
    the products of the last ones with each other; each less its mean.

    Args:
        grid: The subsets.
        forms: (n, R) float32, F; every column sums to zero.
        paired: Number of columns of which only the sum of squares is a feature.
    """

    def __init__(self, grid: Subsets, forms: Tensor, paired: int) -> None:
        self.grid, self.forms, self.paired, self.device = grid, forms, paired, forms.device
        self.linear = forms.shape[1] - paired
        pairs = torch.combinations(torch.arange(self.linear), 2, with_replacement=True) + paired
        self.first, self.second = pairs.T
        rows = forms.double()
        last = rows[:, paired:]
        own = [rows[:, :paired].square().sum(1, keepdim=True), rows[:, self.first] * rows[:, self.second]]
        self.own = torch.cat([last, *own], 1)  # (n, features): what each tile alone adds
        self.totals = self.own[:, self.linear :].sum(0)
        n, k = grid.count, grid.visible
        q, r = (k - 1) / (n - 1), (k - 2) / (n - 2) if n > 2 else 0.0
        self.single = (n - k) / (n - 1)
        self.spread = k / n * self.single
        self.pair, self.base = 1 - 3 * q + 2 * q * r, q * (1 - r)

    def features(self, start: int, stop: int) -> Tensor:
        """(N, features) of subsets `start` to `stop - 1`, each with mean zero."""
        values = (self.grid.masks(start, stop, self.device)[:, 0, 0] @ self.forms).double()
        squares = values[:, : self.paired].square().sum(1, keepdim=True)
        products = torch.cat([squares, values[:, self.first] * values[:, self.second]], 1)
        return torch.cat([values[:, self.paired :], products - self.spread * self.totals], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """(1, n): the exact mean of g = features @ weights over the subsets that show each tile."""
        linear, quadratic = weights[: self.linear], weights[self.linear :]
        constant = (self.base - self.spread) * (self.totals @ quadratic)
        own = self.own
        means = self.single * (own[:, : self.linear] @ linear) + self.pair * (own[:, self.linear :] @ quadratic)
        result: Tensor = (means + constant)[None]
        return result

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """(1, n): the mean of g^2 over the subsets that show each tile, averaged over several fits with these shares.

        Exact for the linear features, whose squares are products; what the others add is averaged over subsets.

        Args:
            weights: (fits, features).
            shares: (fits,), summing to 1.
            masks: Over how many subsets, at most.
        """
        single = weights[:, : self.linear].mT  # (linear, fits)
        own = (self.own[:, : self.linear] @ single).square() @ shares
        added, count = torch.zeros(2, self.grid.count, dtype=torch.float64, device=self.device)
        for start in range(0, min(masks, SQUARES), STRETCH):
            stop = min(start + STRETCH, masks, SQUARES)
            shown, features = self.grid.masks(start, stop, self.device)[:, 0, 0].double(), self.features(start, stop)
            squares = (features @ weights.mT).square() - (features[:, : self.linear] @ single).square()
            added += (squares @ shares) @ shown
            count += shown.sum(0)
        result: Tensor = (self.pair * own + self.base * own.sum() + added / count)[None]
        return result
