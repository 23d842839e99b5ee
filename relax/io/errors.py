"""The error for images that cannot be used, and the limit on their size."""

from __future__ import annotations

import re

from relax.text import printable

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused by their header, before anything is decoded."""


class ImageError(ValueError):
    """An image cannot be used. The message is one line: the image, the problem, the way out."""


_QUOTED = re.compile(r"""b?(['"])(?:\\.|(?!\1).)*\1""")


def in_one_line(error: Exception, limit: int = 200) -> str:
    """The message of a library's error on one line of at most `limit` characters, or its type if it has none.

    What it quotes is left out, since it may be text of the file's header, and with it the name of a patient.
    """
    text = _QUOTED.sub("…", " ".join(str(error).split()))
    return printable(text)[:limit] or type(error).__name__
