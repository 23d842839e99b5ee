"""Slides that openslide does not read, or not as a pyramid: OME-TIFF with its levels in SubIFDs, by tifffile.

Only the tiles of the file that a region touches are decoded, and the last of them are kept, since neighbouring regions
share them. What a tile unpacks to is bounded before it is unpacked.
"""

from __future__ import annotations

import io
import re
import threading
import zlib
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from relax.io.errors import ImageError, decoding_errors
from relax.slides.slide import WHITE, Level, Pixels, Slide, checked_mpp

CACHE_BYTES = 64_000_000  # of decoded tiles
TILE_BYTES = 100_000_000  # of one decoded tile, at most: a level that is one tile would be held as a whole
_NONE, _LZW, _PACKBITS, _ZSTD, _JPEG, _DEFLATE, _JPEG2000 = 1, 5, 32773, 50000, 7, (8, 32946), (33003, 33005, 34712)
_COMPRESSIONS = (_NONE, _LZW, _PACKBITS, _ZSTD, _JPEG, *_DEFLATE, *_JPEG2000)
_UNITS = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micrometer": 1.0, "mm": 1e3, "cm": 1e4}
_RESOLUTION_UNITS = {2: 25_400.0, 3: 10_000.0}  # micrometres in an inch and in a centimetre


class TiffSlide(Slide):
    """A slide that tifffile reads."""

    def __init__(self, path: Path, name: str, mpp: float | None = None) -> None:
        """Open a file.

        Raises:
            ImageError: If it is no TIFF, holds no colour picture in tiles, or the resolution is unknown.
        """
        self.name, self.reader = name, f"tifffile {tifffile.__version__}"
        self._lock, self._cache, self._cached = threading.Lock(), OrderedDict[tuple[int, int], Pixels](), 0
        with decoding_errors():
            self._file = tifffile.TiffFile(path)
        try:
            with decoding_errors():
                self._pages = pyramid_pages(self._file)
                for page in self._pages:
                    _check_page(page)
                first = self._pages[0]
                self.levels = tuple(
                    Level(page.imagewidth, page.imagelength, first.imagewidth / page.imagewidth) for page in self._pages
                )
                file_mpp, source = _resolution(self._file, first)
            self.mpp, self.mpp_source = checked_mpp(mpp, file_mpp, source)
        except BaseException:
            self._file.close()
            raise

    def read_level(self, level: int, left: int, top: int, width: int, height: int) -> Pixels:
        """As every slide."""
        page = self._pages[level]
        rows, columns = _chunk(page)
        canvas = np.full((height, width, 3), WHITE, np.uint8)
        across = -(-page.imagewidth // columns)
        for row in range(top // rows, (top + height - 1) // rows + 1):
            for column in range(left // columns, (left + width - 1) // columns + 1):
                tile = self._tile(level, row * across + column)
                if tile is None:
                    continue
                y, x = row * rows, column * columns
                bottom, right = min(top + height, y + tile.shape[0]), min(left + width, x + tile.shape[1])
                y0, x0 = max(top, y), max(left, x)
                canvas[y0 - top : bottom - top, x0 - left : right - left] = tile[
                    y0 - y : bottom - y, x0 - x : right - x
                ]
        return canvas

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _tile(self, level: int, index: int) -> Pixels | None:
        """(rows, columns, 3) of one tile of the file; None if the file leaves it out."""
        key = (level, index)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            page = self._pages[level]
            count = page.databytecounts[index]
            if count == 0:
                return None
            if count > self._file.filehandle.size:
                raise ImageError("is damaged or truncated: a tile is longer than the file")
            self._file.filehandle.seek(page.dataoffsets[index])
            packed = self._file.filehandle.read(count)
        tile = _decoded(page, index, packed)
        with self._lock:
            self._cache[key] = tile
            self._cached += tile.nbytes
            while self._cached > CACHE_BYTES and len(self._cache) > 1:
                self._cached -= self._cache.popitem(last=False)[1].nbytes
        return tile


def pyramid_pages(tiff: tifffile.TiffFile) -> list[Any]:
    """The pages of the largest picture in the file, from the finest level to the coarsest."""
    series = max(tiff.series, key=lambda candidate: int(np.prod(candidate.shape, dtype=object)))
    pages = [level.keyframe for level in series.levels]
    widths = [page.imagewidth for page in pages]
    if any(wide <= narrow for wide, narrow in pairwise(widths)):
        raise ImageError("is damaged: its levels do not become smaller")
    return pages


def _check_page(page: Any) -> None:
    """Refuse a level that is no colour or grey picture of 8 bits in tiles of a sensible size."""
    if page.dtype != np.uint8 or page.samplesperpixel not in (1, 3) or page.planarconfig != 1 or page.imagedepth != 1:
        raise ImageError(
            f"holds {page.samplesperpixel} samples of {page.dtype} per pixel; slides are read in grey or RGB of 8 bits"
        )
    if int(page.photometric) not in (0, 1, 2, 6):
        raise ImageError(f"holds colours of the kind {page.photometric.name}; slides are read in grey or RGB")
    if int(page.compression) not in _COMPRESSIONS:
        raise ImageError(f"is compressed as {getattr(page.compression, 'name', page.compression)}, which is not read")
    rows, columns = _chunk(page)
    if rows * columns * page.samplesperpixel > TILE_BYTES:
        raise ImageError(
            f"holds its pixels in pieces of {columns} x {rows}, which are too large to be read one by one: make a "
            "pyramid in tiles of it, as with: vips tiffsave in.tif out.tif --tile --pyramid --compression jpeg"
        )


def _chunk(page: Any) -> tuple[int, int]:
    """Rows and columns of one piece of a page: a tile, or a strip."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return int(min(page.rowsperstrip, page.imagelength)), int(page.imagewidth)


def _decoded(page: Any, index: int, packed: bytes) -> Pixels:
    """(rows, columns, 3) of one piece, once what it unpacks to is known."""
    rows, columns = _chunk(page)
    kind = int(page.compression)
    if kind in _DEFLATE:
        limit = rows * columns * page.samplesperpixel
        if len(zlib.decompressobj().decompress(packed, limit + 1)) > limit:
            raise ImageError("is damaged: a tile unpacks to more than its header says")
    elif kind == _JPEG or kind in _JPEG2000:
        with Image.open(io.BytesIO(packed), formats=("JPEG", "JPEG2000")) as inner:
            if inner.width > columns or inner.height > rows:
                raise ImageError("is damaged: a tile is larger than its header says")
    values = page.decode(packed, index, jpegtables=page.jpegtables)[0]
    pixels = np.asarray(values).reshape(values.shape[-3], values.shape[-2], -1)
    if int(page.photometric) == 0:
        pixels = WHITE - pixels
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _resolution(tiff: tifffile.TiffFile, page: Any) -> tuple[tuple[float | None, float | None], str]:
    """Micrometres per pixel along x and y, by OME-XML or else by the tags, and where they stand."""
    if tiff.is_ome and tiff.ome_metadata:
        pixels = re.search(r"<(?:\w+:)?Pixels\s[^>]{0,5000}", tiff.ome_metadata)
        x, y = (_physical(pixels.group() if pixels else "", axis) for axis in "XY")
        if x or y:
            return (x, y), "PhysicalSize of OME-XML"
    unit = _RESOLUTION_UNITS.get(int(page.tags.valueof(296, 2)))
    values = [page.tags.valueof(tag) for tag in (282, 283)]
    per_unit = [value[0] / value[1] if value and value[1] else 0.0 for value in values]
    x, y = (unit / value if unit and value > 0 else None for value in per_unit)
    return (x, y), "XResolution and YResolution"


def _physical(text: str, axis: str) -> float | None:
    """PhysicalSizeX or PhysicalSizeY of a Pixels element, in micrometres."""
    size = re.search(rf'\sPhysicalSize{axis}="([-+.\deE]+)"', text)
    unit = re.search(rf'\sPhysicalSize{axis}Unit="([^"]*)"', text)
    try:
        return float(size.group(1)) * _UNITS[unit.group(1) if unit else "µm"] if size else None
    except (KeyError, ValueError):
        return None
