"""How far a long run is: a bar in a notebook, unless the caller has a function of their own or wants none.

The bar is one line of HTML that is drawn anew. It needs no widgets, and a saved notebook keeps how long the run took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Literal, TypeAlias, TypeVar

from encoders.values import described

Report = TypeVar("Report", bound=Callable[..., None])
Silent: TypeAlias = Literal[False]

EVERY = 0.2  # seconds between two drawings


def unheard(*_: object) -> None:
    """Progress that nobody asked for."""


@contextmanager
def shown(progress: Report | Silent | None, unit: str) -> Iterator[Report | None]:
    """What a run reports its progress to: the caller's function, or a bar in a notebook, which ends with the block.

    Args:
        progress: The caller's; False is no bar, None is one in a notebook.
        unit: What is counted, such as "masks".

    Raises:
        ValueError: If progress is neither.
    """
    if progress is not None and progress is not False and not callable(progress):
        raise ValueError(
            f"progress must be a function of (done, total), or False for no bar; got {described(progress)}"
        )
    if progress is not None or not in_notebook():
        yield progress or None
        return
    bar: Any = Bar(unit)
    try:
        yield bar
    except BaseException:
        bar.end("stopped after")
        raise
    bar.end("done in")


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class Bar:
    """A bar below the running cell, drawn from the first report on.

    A report is (done, total), with words before or after them that say what is being done.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.start, self.drawn = time.monotonic(), -EVERY
        self.display: Any = None

    def __call__(self, *report: Any) -> None:
        """Draw it, if the last drawing is some time ago or the count is full."""
        words = [word for word in report if isinstance(word, str)]
        done, total = (number for number in report if not isinstance(number, str))
        seconds = time.monotonic() - self.start
        if seconds - self.drawn >= EVERY or done >= total:
            self.drawn = seconds
            self._draw(f"{done:,} of {total:,} {self.unit}", words, done / total if total else 1.0)

    def end(self, how: str) -> None:
        """Say how long it took, in place of the bar."""
        if self.display is not None:
            self._draw(f"{how} {duration(time.monotonic() - self.start)}", [], None)

    def _draw(self, count: str, words: list[str], share: float | None) -> None:
        from IPython.display import display

        text = " · ".join([count, *words])
        bar = "" if share is None else f'<progress max="1" value="{share:.4f}" style="width: 18em"></progress> '
        html = f'<div style="font-variant-numeric: tabular-nums">{bar}{escape(text)}</div>'
        content = {"text/html": html, "text/plain": text}
        if self.display is None:
            self.display = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.display.update(content, raw=True)


def duration(seconds: float) -> str:
    """Such as "8.2 s", "3 min 20 s" or "1 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
