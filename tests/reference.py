"""RELAX by its definition, in plain loops: slow, short, and close to the paper.

Nothing here is imported from the project. Sources: RELAX (Wickstrøm et al., IJCV 2023) for the maps,
RISE (Petsiuk, Das & Saenko, BMVC 2018) for the masks, COCOA (Lin et al., ICLR 2023) for corpus and foil.
"""

from __future__ import annotations

from math import exp, floor, fsum, sqrt

import torch
from torch import Tensor


def importance_by_definition(scores: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Importance and uncertainty (H, W) float64 of scores (N,) and masks (N, H, W)."""
    height, width = masks.shape[1:]
    importance = torch.full((height, width), torch.nan, dtype=torch.float64)
    uncertainty = importance.clone()
    for i in range(height):
        for j in range(width):
            m, s = masks[:, i, j].tolist(), scores.tolist()
            weight = fsum(m)
            if weight == 0:
                continue
            mean = fsum(a * b for a, b in zip(m, s, strict=True)) / weight
            importance[i, j] = mean
            uncertainty[i, j] = fsum(a * (b - mean) ** 2 for a, b in zip(m, s, strict=True)) / weight
    return importance, uncertainty


def standard_error_by_definition(scores: Tensor, masks: Tensor) -> Tensor:
    """(H, W): the residuals d = m (s - R) of a ratio have mean 0; sqrt(N) sd(d) over the sum of m."""
    count, height, width = masks.shape
    importance, _ = importance_by_definition(scores, masks)
    error = torch.full((height, width), torch.nan, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            m, s = masks[:, i, j].tolist(), scores.tolist()
            if fsum(m) == 0:
                continue
            residuals = [a * (b - float(importance[i, j])) for a, b in zip(m, s, strict=True)]
            variance = fsum(d * d for d in residuals) / (count - 1)
            error[i, j] = sqrt(count * variance) / fsum(m)
    return error


def enlarged_cell(cells: Tensor, row: float, column: float) -> float:
    """Bilinear value of a grid (h, w) at a position in grid points, held constant beyond the outer points."""
    height, width = cells.shape
    row, column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = min(floor(row), height - 1), min(floor(column), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, column - left
    upper = (1 - across) * float(cells[top, left]) + across * float(cells[top, right])
    lower = (1 - across) * float(cells[bottom, left]) + across * float(cells[bottom, right])
    return (1 - down) * upper + down * lower


def rise_mask(cells: Tensor, shift: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """One RISE mask (H, W): a grid of (cells + 1)^2 points enlarged to cells + 1 cells, moved by `shift` cells."""
    count = len(cells) - 1
    mask = torch.empty(size, dtype=torch.float64)
    for i in range(size[0]):
        for j in range(size[1]):
            row = (i + 0.5) * count / size[0] - 0.5 + shift[0]
            column = (j + 0.5) * count / size[1] - 0.5 + shift[1]
            mask[i, j] = enlarged_cell(cells, row, column)
    return mask


def similarity_by_definition(name: str, z: list[float], r: list[float]) -> float:
    """Similarity of one vector to one reference, number by number."""
    product, z_squared, r_squared = (
        fsum(a * b for a, b in zip(x, y, strict=True)) for x, y in ((z, r), (z, z), (r, r))
    )
    squared = fsum((a - b) ** 2 for a, b in zip(z, r, strict=True))
    if name == "cosine":
        return product / sqrt(z_squared * r_squared) if z_squared and r_squared else 0.0
    if name == "rbf":
        return exp(-squared / r_squared) if r_squared else float(squared == 0)
    if name == "projection":
        return product / sqrt(r_squared) if r_squared else 0.0
    return {"dot": product, "l2": -sqrt(squared)}[name]


def contrast_by_definition(name: str, z: Tensor, corpus: Tensor, foil: Tensor | None = None) -> Tensor:
    """COCOA's target (N,): the mean similarity to every member of a corpus minus that to every member of a foil."""
    scores = torch.zeros(len(z), dtype=torch.float64)
    for i, embedding in enumerate(z.tolist()):
        for sign, members in ((1, corpus), (-1, foil)):
            if members is not None:
                values = [similarity_by_definition(name, embedding, member) for member in members.tolist()]
                scores[i] += sign * fsum(values) / len(values)
    return scores
