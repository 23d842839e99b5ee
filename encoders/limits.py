"""How much memory a file may take: one of a few megabytes can unfold to many gigabytes.

A `Limit` is a number of bytes that a variable in the environment raises. A weights file, explanation or index may take
`FILES`, or as much as it takes on the disk if that is more; pictures have a limit of their own (`relax.io.limits`).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limit:
    """A number of bytes.

    Attributes:
        variable: The variable in the environment that sets another one.
        default: The number where it does not.
    """

    variable: str
    default: int

    def bytes(self) -> int:
        """The limit.

        Raises:
            ValueError: If the environment says no number of bytes.
        """
        text = os.environ.get(self.variable, "")
        try:
            if (number := int(float(text)) if text else self.default) > 0:
                return number
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"{self.variable} must be a number of bytes, such as 4e9; got {text!r}")

    def refusal(self, needed: float, limit: int) -> str:
        """What a file that needs more says, behind its name."""
        return (
            f"would take {_in_words(needed)} of memory to read, and the limit is {_in_words(limit)}: if you trust it, "
            f"raise the limit, as in {self.variable}={math.ceil(needed / 1e9)}e9"
        )


FILES = Limit("RELAX_MAX_FILE_BYTES", 1_200_000_000)  # maps and pixels of a picture of 80 megapixels


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
    limit = max(FILES.bytes(), Path(path).stat().st_size)
    if needed > limit:
        raise TooLarge(FILES.refusal(needed, limit))


def _in_words(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
