"""What the command line says on stderr, and the codes that it exits with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

DONE, SOME_FAILED, WRONG_USAGE, STOPPED = 0, 1, 2, 130


class UsageError(Exception):
    """A wish that cannot be granted, found before any image was touched."""


class Stopped(Exception):
    """Ctrl-C, where there is something to say: what is done, and how it goes on."""


def complain(text: str) -> None:
    """Write one line to stderr, whatever the text holds."""
    print("relax: " + printable(" ".join(text.split())), file=sys.stderr)  # noqa: T201


def printable(text: str) -> str:
    """The text with a question mark for all that would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def progress_bar(unit: str = "", *, shown: bool = True) -> Progress:
    """Done of all on stderr, in `unit` such as "images"; nothing where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *([TextColumn(unit, markup=False)] if unit else []),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        expand=True,
    )
