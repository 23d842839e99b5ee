"""The contract of every mask source, and the random rows that the random ones are made of."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # masks per generator; part of the recipe: another value gives other masks


class MaskSource(Protocol):
    """Where masks come from. Any stretch of the masks can be asked for, in any order."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the masks in pixels."""

    @property
    def limit(self) -> int | None:
        """How many masks there are; None if any number can be drawn."""

    @property
    def independent(self) -> bool:
        """Whether the masks are independent draws, so that a Monte-Carlo error has a meaning."""

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Masks number `start` to `stop - 1`: (stop - start, 1, H, W) float32 in [0, 1], 1 = visible.

        The same numbers give the same masks, whatever was asked for before.
        """

    def recipe(self) -> dict[str, Any]:
        """Everything needed to make the same masks again, as JSON types."""


def random_rows(seed: int, start: int, stop: int, width: int, *, stream: int = 0) -> Tensor:
    """Rows `start` to `stop - 1` of an endless table of uniform numbers in [0, 1), (stop - start, width).

    Each block of 256 rows has a generator of its own, made from the seed, the block's number and the
    stream, so that any stretch can be drawn without drawing what comes before it. Different streams
    of one seed are independent: masks come from 0, noise to fill with from 1.
    """
    pieces = []
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        generator = torch.Generator().manual_seed(block_words(seed, block, stream))
        rows = torch.rand(BLOCK, width, generator=generator)
        first = block * BLOCK
        pieces.append(rows[max(start - first, 0) : stop - first])
    return torch.cat(pieces) if pieces else torch.empty(0, width)


def block_words(seed: int, block: int, stream: int) -> int:
    """64 bits to start the generator of one block from."""
    words = np.random.SeedSequence([seed, block, stream]).generate_state(2)
    return int(words[0]) << 32 | int(words[1])


def check_seed(seed: int) -> None:
    """Refuse a seed that a generator cannot start from."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more; got {seed!r}")


def check_keep(keep: float) -> None:
    """Refuse a keep probability that hides nothing or everything."""
    if not 0 < keep < 1:
        raise ValueError(f"keep is the chance that a cell stays visible, strictly between 0 and 1; got {keep}")
