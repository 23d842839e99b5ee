"""How much memory reading one picture may take: stated by its header, checked before anything is decoded.

A small file can claim, or unpack to, many gigabytes. What is estimated is the memory of decoder and result together;
several readers at once (`sharing_memory`) get along with the same amount, since large pictures wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from encoders.limits import Limit
from relax.io.errors import ImageError

PICTURES = Limit("RELAX_MAX_PICTURE_BYTES", 1_200_000_000)  # 75 million pixels of 8-bit colour
RESULT = 12  # bytes per pixel: three channels of float32

_thread = threading.local()
_changed = threading.Condition()
_in_use = 0


def max_bytes() -> int:
    """The limit: what the environment says, or the default.

    Raises:
        ImageError: If it says no number of bytes.
    """
    try:
        return PICTURES.bytes()
    except ValueError as error:
        raise ImageError(str(error)) from None


def check_size(width: int, height: int, pixel_bytes: float) -> None:
    """Refuse a picture that would take too much memory; wait for the memory in a thread that shares it.

    Args:
        width: Of the picture, in pixels, as its header claims.
        height: The same.
        pixel_bytes: What its decoder holds per pixel, beside the `RESULT`.

    Raises:
        ImageError: If it would take more than the limit, or that is no number.
    """
    check_bytes(width * height * (pixel_bytes + RESULT), f"{width} x {height} pixels")


def check_bytes(needed: float, what: str) -> None:
    """As `check_size`, for a number of bytes and the words for what would take them."""
    if needed > (limit := max_bytes()):
        raise ImageError(f"{what} {PICTURES.refusal(needed, limit)}")
    if getattr(_thread, "shares", False):
        _take(int(needed), limit)


@contextmanager
def sharing_memory() -> Iterator[None]:
    """Let a picture that is read inside share the limit with those that other threads read inside such a block.

    It is counted until the block ends, so that it may be used, and let go, inside.
    """
    _thread.shares, _thread.taken = True, 0
    try:
        yield
    finally:
        _thread.shares = False
        _give_back()


def _take(needed: int, limit: int) -> None:
    """Wait until it is free.

    A picture is checked several times, the last and largest time before it is decoded. Until then its thread holds
    nothing, so it lets others go first while it waits, and no two wait for each other.
    """
    global _in_use
    if needed <= _thread.taken:
        return
    _give_back()
    with _changed:
        _changed.wait_for(lambda: not _in_use or _in_use + needed <= limit)
        _in_use += needed
        _thread.taken = needed


def _give_back() -> None:
    global _in_use
    with _changed:
        _in_use -= _thread.taken
        _thread.taken = 0
        _changed.notify_all()
