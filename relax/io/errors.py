"""The error for images that cannot be used, and the limit on their size."""

from __future__ import annotations

from relax.text import printable

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused by their header, before anything is decoded."""


class ImageError(ValueError):
    """An image cannot be used. The message is one line: the image, the problem, the way out."""


def in_one_line(error: Exception, limit: int = 200) -> str:
    """The message of a library's error on one line of at most `limit` characters, or its type if it has none."""
    return printable(" ".join(str(error).split()))[:limit] or type(error).__name__
