"""The tiles of a slide: where they lie, and their embeddings with what was done to make them.

Tiles are squares of level-0 pixels on a regular grid from the upper left corner; each counts if enough of it is tissue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.values import described, is_number, is_whole
from relax.io.errors import ImageError
from relax.slides.defaults import LEAST_TISSUE, TILE_MPP, TILE_SIZE
from relax.slides.slide import TILE_SIDES, Pixels, Slide

if TYPE_CHECKING:
    from relax.slides.tissue import Tissue

FINER = 0.95  # a tile may be this much finer than the slide: scanners differ by a few per cent


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a slide.

    Attributes:
        corners: (N, 2) int64, x and y of their upper left corners in pixels of level 0, row by row.
        span: Their side in pixels of level 0.
        size: Their side in pixels as they are embedded.
        mpp: Micrometres per pixel as they are embedded.
    """

    corners: NDArray[np.int64]
    span: int
    size: int
    mpp: float

    def __len__(self) -> int:
        return len(self.corners)

    def read(self, slide: Slide, number: int) -> Pixels:
        """(size, size, 3) uint8: one tile of the slide."""
        left, top = self.corners[number].tolist()
        return slide.read(left, top, (self.span, self.span), (self.size, self.size))


@dataclass(frozen=True)
class SlideTiles:
    """The embedded tiles of one slide.

    Attributes:
        name: Of the slide.
        features: (N, D) float32, one per tile.
        corners: (N, 2) int64, x and y of their upper left corners in pixels of level 0.
        span: Their side in pixels of level 0.
        slide_size: Width and height of level 0 in pixels; None if the file does not say.
        record: How they were made, as JSON types; of another tool's file what its attributes say.
    """

    name: str
    features: NDArray[np.float32]
    corners: NDArray[np.int64]
    span: int
    slide_size: tuple[int, int] | None
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.corners)
        if self.features.ndim != 2 or self.corners.shape != (count, 2) or len(self.features) != count or not count:
            raise ValueError(
                "tiles need features (N, D) and corners (N, 2) of one tile or more; got "
                f"{self.features.shape} and {self.corners.shape}"
            )
        if not np.isfinite(self.features).all():
            bad = int((~np.isfinite(self.features)).any(1).sum())
            raise ValueError(f"features must be finite; {bad} of {count} tiles hold NaN or infinity")

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def size(self) -> int:
        """Their side in pixels as they were embedded.

        Raises:
            ValueError: If the file does not say it.
        """
        tiles, attributes = self.record.get("tiles") or {}, self.record.get("attributes") or {}
        size = tiles.get("size") or attributes.get("patch_size")
        if not isinstance(size, int) or size < TILE_SIDES[0]:
            raise ValueError(f"the tiles of {self.name} do not say how many pixels were embedded")
        return size

    def __repr__(self) -> str:
        encoder = (self.record.get("encoder") or {}).get("name")
        by = f", by {encoder}" if encoder else ""
        return f"SlideTiles of {self.name}: {len(self):,} tiles of {self.span} px (D={self.features.shape[1]:,}){by}"


def lay_tiles(
    slide: Slide,
    tissue: Tissue,
    *,
    mpp: float = TILE_MPP,
    size: int = TILE_SIZE,
    least_tissue: float = LEAST_TISSUE,
) -> TileGrid:
    """The tiles of a slide that hold tissue.

    Args:
        slide: The slide.
        tissue: Where it holds tissue.
        mpp: Micrometres per pixel of a tile; not finer than the slide.
        size: Its side in pixels.
        least_tissue: The share of a tile that must be tissue, in [0, 1]; 0 takes every tile of the slide.

    Raises:
        ValueError: If a choice is impossible.
        ImageError: If no tile holds so much tissue.
    """
    if not is_number(mpp) or mpp < slide.mpp * FINER:
        raise ValueError(
            f"tile_mpp must be micrometres per pixel, at least the slide's {slide.mpp:g}, beyond which there is no "
            f"detail; got {described(mpp)}"
        )
    if not is_whole(size, TILE_SIDES[0]) or size > TILE_SIDES[1]:
        raise ValueError(f"tile_size must be pixels, from {TILE_SIDES[0]} to {TILE_SIDES[1]}; got {described(size)}")
    if not is_number(least_tissue) or not 0 <= least_tissue <= 1:
        raise ValueError(f"least_tissue is a share, from 0 to 1; got {described(least_tissue)}")
    span = max(1, round(size * mpp / slide.mpp))
    x, y = np.meshgrid(np.arange(slide.width // span) * span, np.arange(slide.height // span) * span)
    corners = np.stack([x.ravel(), y.ravel()], 1).astype(np.int64)
    shares = tissue.shares(corners, span) if len(corners) else np.zeros(0)
    corners = corners[shares >= least_tissue - 1e-9]
    if not len(corners):
        most = f"; the most is {shares.max():.0%}" if len(shares) else ", which is smaller than a tile"
        raise ImageError(
            f"{slide.name}: no tile of {span} x {span} pixels holds {least_tissue:.0%} tissue{most}: lower "
            "--least-tissue or --saturation, or give a mask (--tissue)"
        )
    return TileGrid(corners, span, size, float(mpp))
