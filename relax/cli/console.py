"""What the command line says on stderr, how it prints tables, and the codes that it exits with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.text import printable, shortened

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress
    from rich.table import Table

DONE, SOME_FAILED, WRONG_USAGE, STOPPED = 0, 1, 2, 130


class UsageError(Exception):
    """A request that cannot be met, noticed before any image was touched."""


class Stopped(Exception):
    """Ctrl-C, where there is something to say: what is done, and how it goes on."""


def complain(text: str) -> None:
    """Write one line to stderr, whatever the text holds."""
    print("relax: " + printable(" ".join(text.split())), file=sys.stderr)  # noqa: T201


def print_table(*parts: RenderableType) -> None:
    """Print tables and lines to stdout, not folded at 80 letters where that is a file or a pipe."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))


def progress_bar(unit: str = "", *further: Any, shown: bool = True) -> Progress:
    """Done of all on stderr, in `unit` such as "images"; nothing where stderr is no terminal.

    Args:
        unit: Of what is counted.
        further: Columns between the count and the time that is left.
        shown: Whether to draw it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *([TextColumn(unit, markup=False)] if unit else []),
        *further,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        expand=True,
    )


class MaskProgress:
    """Masks done over a whole run of images."""

    def __init__(self, images: int, *, shown: bool) -> None:
        from rich.progress import ProgressColumn, Task, TextColumn
        from rich.text import Text

        class MasksPerSecond(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s")

        self.images, self.done = images, 0
        self.before, self.current = 0, 0  # masks of the images that are done, and of the current one
        self.bar = progress_bar("masks", MasksPerSecond(), TextColumn("left:", markup=False), shown=shown)
        self.task = self.bar.add_task("", total=None)

    def start(self, image: str) -> None:
        """Say which image is next."""
        place = f"{self.done + 1}/{self.images} " if self.images > 1 else ""
        self.bar.update(self.task, description=place + shortened(Path(image).name, 32))

    def masks(self, done: int, total: int) -> None:
        """Masks of this image that are done, and how many there will be at most."""
        self.current = done
        expected = self.before + total * (self.images - self.done)
        self.bar.update(self.task, completed=self.before + done, total=expected)

    def further(self) -> Callable[[int, int], None]:
        """What to tell of masks that come on top of those already done for this image."""
        before = self.current
        return lambda done, total: self.masks(before + done, before + total)

    def turn(self, name: str) -> None:
        """The next of several is to start; whatever came before it has ended."""
        if self.bar.tasks[self.task].description:
            self.finish()
        self.start(name)

    def finish(self) -> None:
        """An image is done or has failed."""
        self.before, self.current = self.before + self.current, 0
        self.done += 1


def plain_table(left: Sequence[str] = (), right: Sequence[str] = ()) -> Table:
    """A table without lines: columns of text, which fold, and then of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in left:
        table.add_column(title, overflow="fold")
    for title in right:
        table.add_column(title, justify="right")
    return table
