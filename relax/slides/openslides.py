"""Slides that openslide reads: SVS, NDPI, MRXS, SCN, BIF, DICOM, plain pyramid TIFF and others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from relax.io.errors import ImageError
from relax.slides.extra import pathology_extra
from relax.slides.slide import Level, Pixels, Slide, checked_mpp

with pathology_extra():
    import openslide

GENERIC = "generic-tiff"


def vendor(path: Path) -> str | None:
    """What openslide takes a file for; None if it cannot read it."""
    return openslide.OpenSlide.detect_format(path)


class OpenSlideSlide(Slide):
    """A slide that openslide reads."""

    def __init__(self, path: Path, name: str, mpp: float | None = None) -> None:
        """Open a file.

        Raises:
            ImageError: If openslide cannot read it, or the resolution is unknown.
        """
        self.name, self.reader = name, f"openslide {openslide.__library_version__}"
        try:
            self._file = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise ImageError(f"cannot be opened, the file is damaged or incomplete ({error})") from error
        sizes, downsamples = self._file.level_dimensions, self._file.level_downsamples
        self.levels = tuple(Level(*size, scale) for size, scale in zip(sizes, downsamples, strict=True))
        x, y = (_number(self._file.properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
        self.mpp, self.mpp_source = checked_mpp(mpp, (x, y), "openslide.mpp-x and -y")

    def read_level(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        """As every slide; parts that were never scanned, which are transparent, are white."""
        scale = self.levels[level].downsample
        place = (round(left * scale), round(top * scale))
        region = self._file.read_region(place, level, (width, height))
        canvas = Image.new("RGB", region.size, "white")
        canvas.paste(region, mask=region.getchannel("A"))
        return np.array(canvas)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
