"""How much memory reading one picture may take: stated by its header, checked before anything is decoded.

A small file can claim, or unpack to, many gigabytes. What is estimated is the memory of decoder and result together;
several readers at once (`sharing_memory`) get along with the same amount, since large pictures wait for each other.

RELAX_MAX_PICTURE_BYTES in the environment sets another limit.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from relax.io.errors import ImageError

MAX_BYTES = 1_600_000_000
"""Memory in bytes that reading a picture may take by default: 100 million pixels of 8-bit colour."""

VARIABLE = "RELAX_MAX_PICTURE_BYTES"
RESULT = 12  # bytes per pixel: three channels of float32

_thread = threading.local()
_changed = threading.Condition()
_in_use = 0


def max_bytes() -> int:
    """The limit: `MAX_BYTES`, or what the environment says.

    Raises:
        ImageError: If it does not say a number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        return int(float(text)) if text else MAX_BYTES
    except (ValueError, OverflowError):
        raise ImageError(f"{VARIABLE} must be a number of bytes, such as 4e9; got {text!r}") from None


def check_size(width: int, height: int, pixel_bytes: float) -> None:
    """Refuse a picture that would take too much memory; wait for the memory in a thread that shares it.

    Args:
        width: Of the picture, in pixels, as its header claims.
        height: The same.
        pixel_bytes: What its decoder holds per pixel, beside the `RESULT`.

    Raises:
        ImageError: If it would take more than `max_bytes()`.
    """
    check_bytes(width * height * (pixel_bytes + RESULT), f"{width} x {height} pixels")


def check_bytes(needed: float, what: str) -> None:
    """As `check_size`, for a number of bytes and the words for what would take them."""
    if needed > (limit := max_bytes()):
        raise ImageError(
            f"{what} would take {_in_words(needed)} of memory to read, and the limit is {_in_words(limit)}: make it "
            f"smaller first, or raise the limit, as in {VARIABLE}={math.ceil(needed / 1e9)}e9"
        )
    if getattr(_thread, "shares", False):
        _take(int(needed), limit)


@contextmanager
def sharing_memory() -> Iterator[None]:
    """Let the pictures that are read inside share the limit with those that other threads read inside such a block.

    What is read is counted until the block ends, so that it may be used, and let go, inside.
    """
    global _in_use
    _thread.shares, _thread.taken = True, 0
    try:
        yield
    finally:
        _thread.shares = False
        with _changed:
            _in_use -= _thread.taken
            _changed.notify_all()


def _take(needed: int, limit: int) -> None:
    """Wait until it is free; a thread that holds memory already never waits, so that no two wait for each other."""
    global _in_use
    with _changed:
        _changed.wait_for(lambda: _thread.taken or not _in_use or _in_use + needed <= limit)
        _in_use += needed
        _thread.taken += needed


def _in_words(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
