"""What is linked, as figures and pages show it: a picture in cells, or a text in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LinkedPicture:
    """A picture whose cells are linked.

    Attributes:
        name: What the caller called it.
        shape: (h, w), cells along its view.
        image: (H, W, 3) uint8, for drawing only.
        seen: (top, left, bottom, right) of the view that the cells divide, in pixels of the picture; it reaches beyond
            the picture where the view is padded.
    """

    name: str
    shape: tuple[int, int]
    image: NDArray[np.uint8]
    seen: tuple[float, float, float, float]


@dataclass(frozen=True)
class LinkedText:
    """A text whose words are linked.

    Attributes:
        name: The text.
        words: P of them.
        spans: Where each begins and ends in the text, in characters.
    """

    name: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int]:
        """(P,)."""
        return (len(self.words),)
