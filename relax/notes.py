"""Warnings of the library as notes of the picture that they are about, though several are at work in threads.

What Python shows and ignores is one setting for all threads, and two that change it at the same time leave it wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)  # of this thread
_heeded = 0  # blocks that are open


@contextmanager
def heeded() -> Iterator[None]:
    """Inside, warnings go to the `collected` list of their thread; they may name pictures and are never printed."""
    global _heeded

    def keep(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        notes = _notes.get()
        if notes is not None and issubclass(category, UserWarning):
            notes.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = keep
        _heeded += 1
        try:
            yield
        finally:
            _heeded -= 1


@contextmanager
def collected() -> Iterator[list[str]]:
    """The warnings of this thread inside the block, as they come, each once in the end."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
        notes[:] = dict.fromkeys(notes)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of this thread, and those of others as before where warnings are `heeded`."""
    if _heeded:
        token = _notes.set(None)
        try:
            yield
        finally:
            _notes.reset(token)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
