"""What a visitor is told when something cannot be done: words, with the way out, never a stack trace."""

from __future__ import annotations

import traceback

from relax.text import printable


class Refusal(Exception):
    """A request that is not served: an HTTP status and the reason in words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def in_words(error: BaseException, folder: str, *, debug: bool = False) -> str:
    """The reason for the visitor, on one line.

    Args:
        error: What was raised.
        folder: Where files of visitors lie, which is left out of the text.
        debug: Print the traceback for the operator.
    """
    if debug:
        traceback.print_exception(error)
    if isinstance(error, Refusal):
        return error.reason
    if isinstance(error, MemoryError):
        return "this needs more memory than there is: take a smaller picture or fewer cells"
    if isinstance(error, OSError):
        return f"a file cannot be read or written: {error.strerror or type(error).__name__}"
    if isinstance(error, ValueError | TypeError | ImportError):
        return printable(" ".join(str(error).split())).replace(f"{folder}/", "")
    return f"this failed unexpectedly ({type(error).__name__}); whoever runs the app sees more with --debug"
