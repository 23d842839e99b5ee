"""What the command line says on stderr."""

from __future__ import annotations

import sys


def complain(text: str) -> None:
    """Write one line to stderr, whatever the text holds."""
    line = " ".join(text.split())
    print("relax: " + "".join(letter if letter.isprintable() else "?" for letter in line), file=sys.stderr)  # noqa: T201
