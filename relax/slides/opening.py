"""Open a slide with the library that reads all of its levels."""

from __future__ import annotations

from pathlib import Path

import tifffile

from relax.io.errors import ImageError, decoding_errors
from relax.slides.openslides import GENERIC, OpenSlideSlide, vendor
from relax.slides.slide import Slide
from relax.slides.tiffs import TiffSlide, pyramid_pages
from relax.text import printable


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide: what openslide reads, and OME-TIFF whose levels stand in SubIFDs, by tifffile.

    Args:
        path: The file: SVS, NDPI, MRXS, SCN, BIF, VMS, pyramid TIFF, OME-TIFF, ...
        mpp: Micrometres per pixel of its finest level; None takes what the file says.

    Returns:
        The slide, to be closed, as by `with`.

    Raises:
        ImageError: If there is no such file, no library reads it, it is damaged, or does not say its resolution.
        ValueError: If mpp is impossible.
        ImportError: If the extra `[pathology]` is not installed.
    """
    path = Path(path)
    name = slide_name(path)
    try:
        if not path.exists():
            raise ImageError("no such file")
        kind = vendor(path)
        if kind is None or (kind == GENERIC and _has_hidden_levels(path)):
            return TiffSlide(path, name, mpp)
        return OpenSlideSlide(path, name, mpp)
    except tifffile.TiffFileError:
        pass
    except ImageError as error:
        if not isinstance(error.__cause__, tifffile.TiffFileError):
            raise ImageError(f"{name}: {error}") from error.__cause__
    raise ImageError(f"{name}: is no slide that openslide or tifffile reads, such as SVS, NDPI, MRXS or a pyramid TIFF")


def slide_name(path: str | Path) -> str:
    """The name of a slide in results: that of its file, without folders."""
    return printable(Path(path).name)


def _has_hidden_levels(path: Path) -> bool:
    """Whether a TIFF holds levels where openslide does not look for them: in SubIFDs."""
    with decoding_errors(), tifffile.TiffFile(path) as tiff:
        pages = pyramid_pages(tiff)
        return len(pages) > 1 and bool(pages[0].subifds)
