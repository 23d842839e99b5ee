"""Ctrl-C and SIGTERM, which stop a command alike and are not lost.

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
_last = signal.SIGINT


@contextmanager
def remembered() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C and SIGTERM inside the block, and remember it.

    Not in a thread, where signals do not arrive, nor for a signal that is ignored, as by nohup.
    """
    global _last
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _pressed.clear()
    _last = signal.SIGINT
    unheeded = (signal.SIG_IGN, None)
    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) not in unheeded]
    handlers, hook = {number: signal.signal(number, _interrupt) for number in heeded}, sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None if unraisable.exc_type is KeyboardInterrupt else hook(unraisable)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)


def check() -> None:
    """Raise KeyboardInterrupt if the process was asked to stop and the exception was dropped."""
    if _pressed.is_set():
        _pressed.clear()
        raise KeyboardInterrupt


def exit_code() -> int:
    """What shells call the last signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + _last


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _last
    _last = signal.Signals(number)
    _pressed.set()
    raise KeyboardInterrupt
