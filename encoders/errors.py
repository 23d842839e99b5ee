"""Errors and warnings of the encoders room, and the wording of their messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from encoders.values import printable

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")
STEADY = 0.05  # largest difference of two embeddings of one picture, as a share of their length, without a warning


class EncoderError(ValueError):
    """An encoder cannot be loaded or used; the message is one line that ends with the way out."""


class EncoderWarning(UserWarning):
    """An encoder was loaded, but with a flaw to know about before its maps are trusted."""


def without_addresses(text: str) -> str:
    """The text without the places in memory of the objects in it, which say nothing: <Thing at 0x7f3c> is <Thing>."""
    return _ADDRESS.sub("", text)


def one_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an error's text, cut to `limit` characters, or its type where it has no text.

    A file may have put control characters into it: question marks stand for them. Addresses in memory are left out.

    A first line that ends with a colon only announces the second, which then follows it; a key alone says nothing.
    """
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # errors of others raise anything
        lines = []
    text = lines[0].strip() if lines else type(error).__name__
    if isinstance(error, KeyError):
        text = f"KeyError {text}"
    if text.endswith(":"):
        text = " ".join([text, *(line.strip() for line in lines[1:2])])
    text = printable(without_addresses(text))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """The way out for a misspelt name: the three nearest of the right ones; `otherwise` where none is near."""
    close = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {', '.join(close)}?" if close else otherwise
