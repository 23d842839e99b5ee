"""The contract of every mask source, and the table of random numbers that random masks are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # masks per generator; part of the recipe: another value gives other masks


@dataclass(frozen=True)
class MaskRequest:
    """The inputs of a mask source; each source uses those it needs.

    Attributes:
        view: (1, C, H, W) in [0, 1], the image to hide parts of, or a volume (1, C, D, H, W).
        cells: Scale of the regions: their number along a side (superpixels: the root of their number).
        keep: Probability that a region is visible, in (0, 1).
        seed: The only source of randomness.
        design: How masks of the grid depend on each other, a key of `masking.DESIGNS`.
        patches: (rows, columns) of the encoder's patches; (0, 0) if it has none.
    """

    view: Tensor
    cells: int = 7
    keep: float = 0.5
    seed: int = 0
    design: str = "independent"
    patches: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, of a picture."""
        return int(self.view.shape[-2]), int(self.view.shape[-1])


class MaskSource(Protocol):
    """A numbered sequence of masks; any range of it can be drawn, in any order."""

    @property
    def image_size(self) -> tuple[int, ...]:
        """(H, W) of the masks in pixels, or (D, H, W) of a volume."""

    @property
    def limit(self) -> int | None:
        """Number of masks; None if it is unlimited."""

    @property
    def independent(self) -> bool:
        """Whether the masks are independent draws, so that a Monte-Carlo error is defined."""

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (stop - start, 1, H, W) float32 in [0, 1], 1 = visible.

        (stop - start, 1, D, H, W) of a volume. The same numbers give the same masks, whatever was drawn before.
        """

    def recipe(self) -> dict[str, Any]:
        """All that is needed to draw the same masks again, as JSON types."""


def random_rows(seed: int, start: int, stop: int, width: int, *, stream: int = 0) -> Tensor:
    """Rows `start` to `stop - 1` of an endless table of uniform numbers in [0, 1), (stop - start, width).

    Each block of 256 rows has its own generator, seeded by the seed, the block's number and the stream,
    so that any range can be drawn without those before it. Different streams of one seed are
    independent: masks use stream 0, the noise fill stream 1.
    """
    blocks = []
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        generator = torch.Generator().manual_seed(block_words(seed, block, stream))
        rows = torch.rand(BLOCK, width, generator=generator)
        first = block * BLOCK
        blocks.append(rows[max(start - first, 0) : stop - first])
    return torch.cat(blocks) if blocks else torch.empty(0, width)


def block_words(seed: int, block: int, stream: int) -> int:
    """64 bits that seed the generator of one block."""
    words = np.random.SeedSequence([seed, block, stream]).generate_state(2)
    return int(words[0]) << 32 | int(words[1])
