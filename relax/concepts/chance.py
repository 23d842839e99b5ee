"""What chance alone would give: p-values that hold for all units and concepts together.

Each overlap is compared with the mean of those of the same unit and concept under shuffled masks, in units of the
concept's spread over all units; the largest such excess of a whole shuffled table is what chance can do. A p-value is
the share of tables, the true one included, whose largest excess is at least that of the pair. So if no unit detects
anything, any pair is called with a chance of at most `LEVEL`. Each pair's own spread would not do: a unit that meets a
concept in one shuffle of a hundred is ten times its spread above its mean there, and of thousands of units some do.

Source: the single-step maxT procedure of Westfall & Young, Resampling-Based Multiple Testing (1993).
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVEL = 0.05


def corrected_p(true: Tensor, shuffled: Tensor) -> Tensor:
    """P-values of a table, corrected for its size.

    Args:
        true: (D, C) numbers of which high is remarkable.
        shuffled: (S, D, C) the same by chance, from S shuffles.

    Returns:
        (D, C) in [1 / (S + 1), 1]; 1 where the number never varies.
    """
    both = torch.cat([true[None], shuffled]).double()
    spread = both.std(0, correction=0)
    common = spread.square().mean(0).sqrt().clamp(min=1e-12)  # (C,)
    excess = torch.where(spread > 1e-12, (both - both.mean(0)) / common, 0.0)
    largest = excess.flatten(1).amax(1)  # (S + 1,)
    p = torch.stack([(largest >= row[:, None] - 1e-9).double().mean(1) for row in excess[0].T], 1)
    return torch.where(spread > 1e-12, p, 1.0)


def shuffled_orders(count: int, shuffles: int, seed: int) -> Tensor:
    """(S, N) int64: orders of N pictures, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(count, generator=generator) for _ in range(shuffles)])
