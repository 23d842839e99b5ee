"""Ctrl-C that is not lost.

Python drops an exception that is raised inside the callback of a weak reference, and such callbacks run whenever
figures or networks are freed: a first Ctrl-C that falls there would do nothing. It is therefore remembered, and raised
again where a command next reports progress.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = threading.Event()


@contextmanager
def remembered() -> Iterator[None]:
    """Remember Ctrl-C inside the block; not in a thread, where signals do not arrive, nor where it is ignored."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # started with nohup
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    _pressed.clear()
    handler, hook = signal.signal(signal.SIGINT, _interrupt), sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None if unraisable.exc_type is KeyboardInterrupt else hook(unraisable)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, handler)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed and the exception was dropped."""
    if _pressed.is_set():
        _pressed.clear()
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    raise KeyboardInterrupt
