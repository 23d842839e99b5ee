"""What is hidden: mask sources and fills. Pixels and randomness, nothing else.

A mask is 1 where the image is fully visible and 0 where it is fully hidden.
"""

from masking.fill import FILLS, blend, make_fill
from masking.grid import AuthorsGrid, RandomGrid
from masking.segments import GivenMasks, SlidingWindows, Superpixels
from masking.source import MaskSource

__all__ = [
    "FILLS",
    "AuthorsGrid",
    "GivenMasks",
    "MaskSource",
    "RandomGrid",
    "SlidingWindows",
    "Superpixels",
    "blend",
    "make_fill",
]
