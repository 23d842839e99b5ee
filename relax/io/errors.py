"""What is refused of an image file, and the one kind of error that says so."""

from __future__ import annotations

from relax.text import printable

MAX_PIXELS = 100_000_000
"""Larger pictures are refused from their header, before anything is decoded."""


class ImageError(ValueError):
    """An image that cannot be used. The text is one line: which image, what is wrong, the way out."""


def in_one_line(error: Exception, limit: int = 200) -> str:
    """The text of an error of some library on one line, or its type where it has none."""
    return printable(" ".join(str(error).split()))[:limit] or type(error).__name__
