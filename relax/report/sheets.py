"""Thumbnails of all pictures, many on one sheet, since a page of 100,000 separate files would be slow and large.

The more pictures, the smaller the thumbnails, so that all sheets together take about `BUDGET` bytes at most. They are
WebP, which is a third smaller than JPEG at these sizes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BUDGET = 20e6  # bytes of all sheets together, about
BYTES = {
    512: 25000,
    256: 8000,
    192: 4900,
    128: 2400,
    96: 1450,
    64: 710,
    48: 430,
    32: 200,
}  # of a photograph of this side, about
SHEET = 2048  # px along each side of a sheet
QUALITY = 75

Small = Callable[[int], NDArray[np.uint8] | None]


def side_for(pictures: int, largest: int = 256) -> int:
    """Pixels along the longer side of a thumbnail, so that this many stay within the budget; from 32 to `largest`."""
    fitting = (side for side, size in BYTES.items() if side <= largest and size * pictures <= BUDGET)
    return next(fitting, min(BYTES))


@dataclass
class Sheets:
    """Thumbnails row by row, each in the top left corner of its tile.

    Attributes:
        count: Number of pictures, N.
        small: Their thumbnails.
        largest: Pixels along the longer side that no thumbnail exceeds, 32 or more.
        sizes: (N, 2) uint16 width and height, once the sheets were drawn; 0 where there is no picture.
    """

    count: int
    small: Small
    largest: int = 256
    sizes: NDArray[np.uint16] = field(init=False)

    def __post_init__(self) -> None:
        self.side = side_for(self.count, self.largest)
        self.across = SHEET // self.side
        self.sizes = np.zeros((self.count, 2), np.uint16)

    def drawn(self, progress: Callable[[], None]) -> Iterator[str]:
        """Each sheet as base64 of a WebP file; `progress` is called after each picture."""
        per_sheet = self.across**2
        for first in range(0, self.count, per_sheet):
            places = range(first, min(first + per_sheet, self.count))
            rows = -(-len(places) // self.across)
            columns = min(self.across, len(places))
            sheet = Image.new("RGB", (columns * self.side, rows * self.side))
            for place in places:
                self._put(sheet, place)
                progress()
            stream = io.BytesIO()
            sheet.save(stream, "WEBP", quality=QUALITY, method=2)
            yield base64.b64encode(stream.getvalue()).decode()

    def _put(self, sheet: Image.Image, place: int) -> None:
        pixels = self.small(place)
        if pixels is None:
            return
        picture = Image.fromarray(pixels)
        picture.thumbnail((self.side, self.side), Image.Resampling.LANCZOS)
        self.sizes[place] = picture.size
        row, column = divmod(place % self.across**2, self.across)
        sheet.paste(picture, (column * self.side, row * self.side))
