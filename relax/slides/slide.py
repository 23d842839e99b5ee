"""A slide: its levels, its micrometres per pixel, and regions of it as pixels, wherever and at whatever scale.

Places are in pixels of the finest level, level 0, as in openslide, QuPath and TRIDENT. What lies outside of the slide
is white. A slide is never held in memory as a whole: a region is read from the coarsest level that is fine enough.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from encoders.values import is_number
from relax.io.errors import ImageError, decoding_errors

Pixels = NDArray[np.uint8]

TILE_SIDES = (8, 8192)  # that a tile may have
WHITE = 255
PLAUSIBLE_MPP = (0.02, 20.0)  # micrometres per pixel; a scanner at 40x has about 0.25
NEARLY = 1.01  # a level this much coarser than wanted is taken as it is: scanners round their levels
ROUNDING = 1e-6  # of a pixel
BLOCK = 2048  # pixels along a side that are read at once, for pictures of the whole slide


@dataclass(frozen=True)
class Level:
    """One resolution of a slide: its size in pixels of its own, and how many pixels of level 0 one of them spans."""

    width: int
    height: int
    downsample: float


class Slide(ABC):
    """A slide that is open; `relax.slides.opening.open_slide` opens one.

    Attributes:
        name: What results call it.
        reader: The library that reads it.
        levels: From the finest.
        mpp: Micrometres per pixel of level 0.
        mpp_source: Where that comes from.
    """

    name: str
    reader: str
    levels: tuple[Level, ...]
    mpp: float
    mpp_source: str

    @abstractmethod
    def read_level(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        """(height, width, 3) of one level, from its pixel (left, top); all of it lies inside the level.

        Raises:
            ImageError: If the file is damaged there.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def width(self) -> int:
        """Of level 0, in pixels."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Of level 0, in pixels."""
        return self.levels[0].height

    def read(self, left: float, top: float, span: tuple[float, float], size: tuple[int, int]) -> Pixels:
        """A region as pixels.

        Args:
            left: Of the region, in pixels of level 0.
            top: The same.
            span: Its width and height, in pixels of level 0.
            size: Width and height of the result, in pixels.

        Returns:
            (size[1], size[0], 3) uint8; white outside of the slide. Reduced with a triangle filter from the coarsest
            level that is at least as fine.
        """
        number = self.level_for(span[0] / size[0])
        level = self.levels[number]
        scale = level.downsample
        box = (left / scale, top / scale, (left + span[0]) / scale, (top + span[1]) / scale)
        outer = (
            math.floor(box[0] + 1e-6),
            math.floor(box[1] + 1e-6),
            math.ceil(box[2] - 1e-6),
            math.ceil(box[3] - 1e-6),
        )
        pixels = self._padded(number, outer)
        if pixels.shape[:2] == (size[1], size[0]):
            return pixels
        inner = (box[0] - outer[0], box[1] - outer[1], box[2] - outer[0], box[3] - outer[1])
        inside = (max(inner[0], 0), max(inner[1], 0), min(inner[2], pixels.shape[1]), min(inner[3], pixels.shape[0]))
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=inside)
        return np.asarray(resized)

    def level_for(self, downsample: float) -> int:
        """Number of the coarsest level whose pixels span at most so many of level 0."""
        fine = [number for number, level in enumerate(self.levels) if level.downsample <= downsample * NEARLY]
        return max(fine, key=lambda number: self.levels[number].downsample, default=0)

    def picture(self, mpp: float) -> Pixels:
        """The whole slide at so many micrometres per pixel, (H, W, 3), put together from blocks."""
        scale = mpp / self.mpp
        width, height = (max(1, round(side / scale)) for side in (self.width, self.height))
        step = max(1, int(BLOCK * self.levels[self.level_for(scale)].downsample / scale))
        canvas = np.full((height, width, 3), WHITE, np.uint8)
        for top in range(0, height, step):
            for left in range(0, width, step):
                right, bottom = min(left + step, width), min(top + step, height)
                size = (right - left, bottom - top)
                span = (size[0] * scale, size[1] * scale)
                canvas[top:bottom, left:right] = self.read(left * scale, top * scale, span, size)
        return canvas

    def _padded(self, number: int, box: tuple[int, int, int, int]) -> Pixels:
        """The pixels of a level in a box (left, top, right, bottom), white where it lies outside."""
        level = self.levels[number]
        left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], level.width), min(box[3], level.height)
        whole = (left, top, right, bottom) == box
        canvas = None if whole else np.full((box[3] - box[1], box[2] - box[0], 3), WHITE, np.uint8)
        if right <= left or bottom <= top:
            return np.full((box[3] - box[1], box[2] - box[0], 3), WHITE, np.uint8)
        try:
            with decoding_errors():
                pixels = self.read_level(number, left, top, right - left, bottom - top)
        except ImageError as error:
            place = f"at x {round(left * level.downsample)}, y {round(top * level.downsample)}"
            raise ImageError(f"{self.name}: {error} {place}") from error.__cause__
        if canvas is None:
            return pixels
        canvas[top - box[1] : bottom - box[1], left - box[0] : right - box[0]] = pixels
        return canvas


def checked_mpp(given: float | None, file_mpp: tuple[float | None, float | None], source: str) -> tuple[float, str]:
    """Micrometres per pixel of level 0, and where they come from.

    Args:
        given: The caller's, which comes first; None takes what the file says.
        file_mpp: What the file says along x and y.
        source: Where it says so.

    Raises:
        ValueError: If the caller's is impossible.
        ImageError: If the file says nothing, or nothing that a scanner has.
    """
    low, high = PLAUSIBLE_MPP
    if given is not None:
        if not is_number(given) or not low <= given <= high:
            raise ValueError(
                f"mpp is micrometres per pixel of the finest level, from {low:g} to {high:g}; got {given!r}"
            )
        return float(given), "given"
    known = [value for value in file_mpp if value is not None and math.isfinite(value)]
    if not known:
        raise ImageError("does not say how many micrometres a pixel spans: give --mpp (in Python mpp=), such as 0.25")
    if not all(low <= value <= high for value in known) or max(known) > 1.05 * min(known):
        words = " x ".join(f"{value:g}" for value in known)
        raise ImageError(
            f"says {words} micrometres per pixel ({source}), which is not square or no scanner's: give --mpp (in "
            "Python mpp=), such as 0.25"
        )
    return sum(known) / len(known), source
