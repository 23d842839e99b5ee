"""The map of a slide: how much each of its tiles contributes to the slide's embedding being what, or where, it is.

Per tile, as RELAX has it per pixel: the importance is the mean similarity over random subsets of the tiles that show
the tile, the uncertainty the variance around it, and the standard error that of the importance. Beside them stand two
exact numbers: the similarity of the tile alone, and that of the slide without the tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.explanation import Explanation
from relax.npz import read_npz
from relax.saved import Kind, Saved
from relax.slides.slide import Pixels

VALUES = ("importance", "uncertainty", "standard_error", "alone", "without")
KIND = Kind(
    "map of a slide",
    "a saved map of a slide",
    {"name": str, "span": int, "score": (int, float), "provenance": {"masks": {"count": int}}},
    optional={
        "slide_size": list,
        "provenance": {"similarity": str, "encoder": dict, "slide": dict, "masks": {"visible": int}},
    },
)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SlideMap(Saved):
    """What each tile contributes.

    Attributes:
        name: Of the slide.
        corners: (N, 2) int64, x and y of the tiles' upper left corners in pixels of level 0.
        span: Side of a tile in pixels of level 0.
        slide_size: Width and height of level 0; None if unknown.
        importance: (N,) float64, mean similarity over the subsets that show the tile, in the measure's own unit.
        uncertainty: (N,) float64, 0 or more: the variance around it.
        standard_error: (N,) float64: the error of the importance by the subsets that were drawn.
        alone: (N,) float64, exact: the similarity of the tile's own embedding.
        without: (N,) float64, exact: the similarity of the slide without the tile.
        score: The similarity of the whole slide.
        provenance: How it was made, as JSON types.
    """

    name: str
    corners: NDArray[np.int64]
    span: int
    slide_size: tuple[int, int] | None
    importance: Values
    uncertainty: Values
    standard_error: Values
    alone: Values
    without: Values
    score: float
    provenance: dict[str, Any]

    def __len__(self) -> int:
        return len(self.corners)

    def __repr__(self) -> str:
        return (
            f"SlideMap of {self.name}: {len(self):,} tiles, {self.provenance.get('similarity')} to "
            f"{self.provenance.get('reference')}, {self.provenance['masks']['count']:,} subsets; importance "
            f"{self.importance.min():.5g} to {self.importance.max():.5g}, median standard error "
            f"{np.median(self.standard_error):.2g}"
        )

    @property
    def effect(self) -> Values:
        """(N,) the importance above that of the mean tile: what showing this tile, rather than another, brings."""
        above: Values = self.importance - self.importance.mean()
        return above

    @property
    def influence(self) -> Values:
        """(N,) exact: by how much the similarity of the slide falls without the tile; leave one out."""
        return self.score - self.without

    def top(self, count: int) -> NDArray[np.int64]:
        """(count,) numbers of the most important tiles, first the most important."""
        return np.argsort(-self.importance, kind="stable")[:count]

    def on(self, picture: Pixels) -> Explanation:
        """The map as an explanation of a picture of the whole slide, for figures and reports.

        Its importance is the `effect`, since the importances of many tiles differ in their last digits only. Where no
        tile lies it is NaN.

        Args:
            picture: (H, W, 3) uint8, the whole slide.
        """
        values = (self.effect, self.uncertainty, self.standard_error)
        effect, uncertainty, error = (self.raster(each, picture.shape[:2]) for each in values)
        measure = self.provenance.get("similarity", "similarity")
        unit = f"mean {measure} with the tile shown, above that of the mean tile"
        image = np.ascontiguousarray(picture)
        return Explanation(effect, uncertainty, error, image, {**self.provenance, "map": unit})

    @property
    def known_size(self) -> tuple[int, int]:
        """Width and height of level 0; of a slide of unknown size as far as tiles reach."""
        right, bottom = (int(edge) for edge in self.corners.max(0) + self.span)
        return self.slide_size or (right, bottom)

    def raster(self, values: Values, size: tuple[int, int], downsample: float | None = None) -> NDArray[np.float32]:
        """(H, W) float32: values of the tiles where the tiles lie in a picture of the slide, NaN elsewhere.

        A pixel has the value of the last tile that covers its centre.

        Args:
            values: (N,) one per tile.
            size: (H, W).
            downsample: Pixels of level 0 that one pixel of the picture spans; None if it shows just the whole slide.
        """
        height, width = size
        canvas = np.full((height, width), np.nan, np.float32)
        scale = np.array(self.known_size) / (width, height) if downsample is None else np.full(2, downsample)
        first = np.ceil(self.corners / scale - 0.5).astype(int).clip(0)
        last = np.ceil((self.corners + self.span) / scale - 0.5).astype(int).clip(0)
        for (left, top), (right, bottom), value in zip(first, last, values, strict=True):
            canvas[top:bottom, left:right] = value
        return canvas

    def to_bytes(self) -> bytes:
        """All of it, as the bytes of an `.npz` file."""
        record = {
            "name": self.name,
            "span": self.span,
            "slide_size": self.slide_size,
            "score": self.score,
            "provenance": self.provenance,
        }
        return KIND.packed(record, {name: getattr(self, name) for name in ("corners", *VALUES)})

    @classmethod
    def load(cls, path: str | Path) -> SlideMap:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such file or damaged.
        """
        with KIND.reading(path) as record:
            arrays = read_npz(path, ("corners", *VALUES))
            corners = arrays.pop("corners")
            count = len(corners)
            if corners.shape != (count, 2) or corners.dtype != np.int64:
                raise ValueError(f"corners must be int64 (N, 2); got {corners.dtype} {corners.shape}")
            if wrong := [name for name in VALUES if arrays[name].shape != (count,) or arrays[name].dtype != np.float64]:
                raise ValueError(f"{', '.join(wrong)} must be float64 ({count},)")
            size = record.get("slide_size")
            return cls(
                record["name"],
                corners,
                record["span"],
                None if size is None else (int(size[0]), int(size[1])),
                **arrays,
                score=float(record["score"]),
                provenance=record["provenance"],
            )
