"""Messages on stderr, tables, progress bars and exit codes of the command line."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from relax.cli import interrupts
from relax.io.choice import discreet_name
from relax.text import printable, shortened

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress
    from rich.table import Table

DONE, SOME_FAILED, WRONG_USAGE = 0, 1, 2
STOPPED = 130  # with Ctrl-C, or in the words of typer by any signal


class UsageError(Exception):
    """Wrong usage, noticed before any image was read."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM, with a message: what is done, and how to continue."""


def complain(text: str) -> None:
    """Write the text to stderr as one line."""
    print("relax: " + printable(" ".join(text.split())), file=sys.stderr)  # noqa: T201


def escape_what_cannot_be_printed() -> None:
    """Print names in any script also where the terminal has only ASCII, with escapes as in Python source."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Write warnings meant for users to stderr as one line each, without the place in the code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, UserWarning):
                complain(str(message))
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def prefixed(name: object, reason: object) -> str:
    """A reason for a failure, beginning with the name of what failed, once."""
    return str(reason) if str(reason).startswith(str(name)) else f"{name}: {reason}"


def print_table(*parts: RenderableType) -> None:
    """Print tables and lines to stdout; wide ones are not folded in a file or a pipe."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))


def progress_bar(unit: str = "", *columns: Any, visible: bool = True) -> Progress:
    """A bar on stderr with the count done of the total; nothing if stderr is not a terminal. Heeds Ctrl-C.

    Args:
        unit: Of the count, such as "images".
        columns: Further columns between the count and the time left.
        visible: Whether to draw it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    class InterruptibleProgress(Progress):
        def update(self, *arguments: Any, **fields: Any) -> None:
            interrupts.check()
            super().update(*arguments, **fields)

        def advance(self, *arguments: Any, **fields: Any) -> None:
            interrupts.check()
            super().advance(*arguments, **fields)

    console = Console(stderr=True)
    return InterruptibleProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *([TextColumn(unit, markup=False)] if unit else []),
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (visible and console.is_terminal),
        expand=True,
    )


class MaskProgress:
    """A bar of the masks done over a whole run of images."""

    def __init__(self, images: int, *, visible: bool) -> None:
        from rich.progress import ProgressColumn, Task, TextColumn
        from rich.text import Text

        class MasksPerSecond(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s")

        self.images, self.done = images, 0
        self.before, self.current = 0, 0  # masks of the images that are done, and of the current one
        self.bar = progress_bar("masks", MasksPerSecond(), TextColumn("left:", markup=False), visible=visible)
        self.task = self.bar.add_task("", total=None)

    def start(self, image: str) -> None:
        """Show the name of the next image."""
        place = f"{self.done + 1}/{self.images} " if self.images > 1 else ""
        self.bar.update(self.task, description=place + shortened(Path(discreet_name(image)).name, 32))

    def masks(self, done: int, total: int) -> None:
        """Masks of the current image that are done, and their maximum."""
        self.current = done
        expected = self.before + total * (self.images - self.done)
        self.bar.update(self.task, completed=self.before + done, total=expected)

    def additional(self) -> Callable[[int, int], None]:
        """Progress of masks that come on top of those already done for the current image."""
        before = self.current
        return lambda done, total: self.masks(before + done, before + total)

    def advance(self, name: str) -> None:
        """Finish the current item, if there is one, and start the next."""
        if self.bar.tasks[self.task].description:
            self.finish()
        self.start(name)

    def finish(self) -> None:
        """Count the current image as over: done or failed."""
        self.before, self.current = self.before + self.current, 0
        self.done += 1


def plain_table(left: Sequence[str] = (), right: Sequence[str] = ()) -> Table:
    """A table without rules: columns of text, which fold, then columns of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in left:
        table.add_column(title, overflow="fold")
    for title in right:
        table.add_column(title, justify="right")
    return table
