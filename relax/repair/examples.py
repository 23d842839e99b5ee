"""Small versions of some pictures, their twins and what lies aside, for people to see what was compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from relax.archive.archive import Archive
from relax.repair.marked import Marks, Rows, pixels_of_twins

SIDE, PAIRS = 128, 2  # pixels of each, and pictures with a mark, and as many without


def examples_of(
    archive: Archive, encoder: Encoder, marks: Marks, rows: tuple[Rows, Rows], fill: str
) -> NDArray[np.uint8]:
    """(2 * PAIRS, 3, SIDE, SIDE, 3): with the mark, without, and aside, grey where there is no such place."""
    parts = []
    for place in range(min(PAIRS, len(rows[0]))):
        carrier, other, stranger = (int(row) for row in (rows[0][place], rows[1][place], rows[1][place - 1]))
        for trio in pixels_of_twins(archive, encoder, marks, carrier, other, stranger, fill=fill):
            parts.append(np.stack([_small(pixels) for pixels in trio]))
    return np.stack(parts)


def _small(pixels: Tensor | None) -> NDArray[np.uint8]:
    if pixels is None:
        return np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    colour = pixels[:, :3] if pixels.shape[1] >= 3 else pixels[:, :1].expand(-1, 3, -1, -1)
    small = F.interpolate(colour, (SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)
    values: NDArray[np.uint8] = (small[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return values
