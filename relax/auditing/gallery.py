"""The pictures of the report: small ones, small ones with a region outlined, and the explained ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from relax.auditing.marks import Box, Marks
from relax.auditing.result import Audit
from relax.auditing.shortcuts import Region
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.small import small_picture
from relax.report import Exhibit

SMALL = 256  # px of a small picture's longer side
OUTLINE = np.array([235, 30, 90], dtype=np.uint8)  # of a region


class Gallery(Sequence[Exhibit]):
    """The explained pictures with their neighbours, each read on demand.

    Args:
        audit: The results.
        root: The audited folder.
        paths: Of the images in it.
        encoder: Tells which part of a picture it sees.
        explanation: From a path to its explanation.
    """

    def __init__(
        self,
        audit: Audit,
        root: Path,
        paths: Sequence[str],
        encoder: Encoder,
        explanation: Callable[[str], Explanation],
    ) -> None:
        self.audit, self.root, self.paths, self.encoder, self.explanation = audit, root, paths, encoder, explanation

    def __len__(self) -> int:
        return len(self.audit.explained)

    def __iter__(self) -> Iterator[Exhibit]:
        return (self.exhibit(image) for image in self.audit.explained)

    @overload
    def __getitem__(self, place: int) -> Exhibit: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Exhibit]: ...
    def __getitem__(self, place: int | slice) -> Exhibit | Sequence[Exhibit]:
        """The exhibit of one of the explained images."""
        if isinstance(place, slice):
            return [self.exhibit(image) for image in self.audit.explained[place]]
        return self.exhibit(self.audit.explained[place])

    def exhibit(self, image: int) -> Exhibit:
        """One image with its maps; the collection of the report has its metadata and nearest images."""
        return Exhibit(self.explanation(self.paths[image]), self.audit.paths[image])

    def small(self, image: int) -> NDArray[np.uint8] | None:
        """(h, w, 3) a small version of the image; None if its file has disappeared since it was embedded."""
        try:
            return small_picture(self.root / self.paths[image], SMALL)
        except ImageError:
            return None

    def outlined(self, image: int, region: Region) -> NDArray[np.uint8] | None:
        """The same, with the box of a region drawn on it."""
        pixels = self.small(image)
        return None if pixels is None else _outlined(pixels, region.box, self.encoder.seen(*pixels.shape[:2]))

    def marked(self, image: int, marks: Marks) -> NDArray[np.uint8] | None:
        """The same, with the box of its mark drawn on it."""
        pixels = self.small(image)
        return None if pixels is None else _outlined(pixels, marks.boxes[image], (0, 0, *pixels.shape[:2]))


def _outlined(pixels: NDArray[np.uint8], box: Box, frame: Box) -> NDArray[np.uint8]:
    """A box, as shares of a frame in px, both (top, left, bottom, right), drawn on a picture."""
    top, left, bottom, right = frame
    first, last = (round(top + share * (bottom - top)) for share in box[::2])
    start, stop = (round(left + share * (right - left)) for share in box[1::2])
    outline = np.zeros(pixels.shape[:2], dtype=bool)
    outline[max(0, first) : last, max(0, start) : stop] = True
    outline[max(0, first) + 2 : max(0, last - 2), max(0, start) + 2 : max(0, stop - 2)] = False
    return np.where(outline[..., None], OUTLINE, pixels)
