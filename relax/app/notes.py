"""Warnings of the library as notes of the explanation that they are about, though several run in threads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def heeded() -> Iterator[None]:
    """Inside, warnings go to the `collected` list of their thread; they may name pictures and are never printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        usual = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            notes = _notes.get()
            if notes is not None and issubclass(category, UserWarning):
                notes.append(str(message))

        warnings.showwarning = keep
        yield
        warnings.showwarning = usual


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
