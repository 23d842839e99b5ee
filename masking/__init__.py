"""What is hidden: mask sources and fills. Pixels and randomness, nothing else.

A mask is 1 where the image is fully visible and 0 where it is fully hidden.
"""

from masking.designs import DESIGNS
from masking.fill import FILLS, blend, make_fill
from masking.grid import AuthorsGrid, RandomGrid
from masking.patches import PatchMasks
from masking.segments import GivenMasks, SlidingWindows, Superpixels
from masking.source import MaskSource
from masking.surrogate import GridSurrogate

__all__ = [
    "DESIGNS",
    "FILLS",
    "AuthorsGrid",
    "GivenMasks",
    "GridSurrogate",
    "MaskSource",
    "PatchMasks",
    "RandomGrid",
    "SlidingWindows",
    "Superpixels",
    "blend",
    "make_fill",
]
