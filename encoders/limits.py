"""How much a file may unfold to: an archive of a few megabytes can hold many gigabytes.

A weights file, explanation or index may take `MAX_BYTES` of memory, or as much as it takes on the disk if that is more;
RELAX_MAX_FILE_BYTES in the environment raises the limit.
"""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 1_600_000_000  # the maps of a picture of 100 megapixels
VARIABLE = "RELAX_MAX_FILE_BYTES"


class TooLarge(ValueError):
    """A file would take more memory than the limit; the text goes behind the file's name."""


def check_unfolded(path: str | Path, needed: int) -> None:
    """Refuse a file before it is unpacked.

    Args:
        path: The file.
        needed: Bytes that its content takes in memory, as its headers say.

    Raises:
        TooLarge: If that is more than the limit.
        ValueError: If the limit in the environment is no number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        limit = max(int(float(text)) if text else MAX_BYTES, Path(path).stat().st_size)
    except (ValueError, OverflowError):
        raise ValueError(f"{VARIABLE} must be a number of bytes; got {text!r}") from None
    if needed > limit:
        raise TooLarge(
            f"would unfold to {needed / 1e9:,.1f} GB, and the limit is {limit / 1e9:,.1f} GB: if you trust it, set "
            f"{VARIABLE}={needed}"
        )
