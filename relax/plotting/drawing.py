"""A figure as a file: the same bytes for the same figure, in every format, and a picture in notebooks.

matplotlib writes the date into PDF files and random names into SVG files; neither tells a reader anything. The text
of a PDF stays text (TrueType), as journals ask; that of an SVG becomes outlines, so that it looks the same everywhere.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from relax.plotting.tables import FORMATS, Format
from relax.text import one_of

DPI = 200


class Drawing(Figure):
    """A figure of matplotlib that is written the same every time, and that notebooks show without pyplot."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """As matplotlib's, with a resolution of 200 per inch unless told otherwise."""
        name = options.get("format") or (Path(fname).suffix.lstrip(".") if isinstance(fname, str | Path) else "png")
        row = FORMATS.get(str(name).lower(), Format(""))
        options = {"dpi": DPI, "metadata": dict(row.metadata), **options}
        with boxes_for_missing_glyphs(), matplotlib.rc_context(row.settings):
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        return file_of(self)


def file_of(drawing: Figure, format: str = "png") -> bytes:
    """The bytes of a figure as a file.

    Raises:
        ValueError: If the format is none of `FORMATS`.
    """
    stream = io.BytesIO()
    drawing.savefig(stream, format=one_of("format", format, FORMATS))
    return stream.getvalue()


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Suppress the warning about characters that the font lacks, which are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
