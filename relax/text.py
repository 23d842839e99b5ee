"""Names and numbers as people read them: on one line, short enough, with as many digits as they need."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """The text with a question mark for all that would move a terminal's cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)


def shortened(text: str, most: int) -> str:
    """At most `most` characters on one line, the middle left out: both folder and file ending stay readable."""
    text = printable(text)
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """a, b and c; names beyond `limit` are only counted. At least one name."""
    parts = list(names[:limit])
    if len(names) > limit:
        parts.append(f"{len(names) - limit} more")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def number(value: float, span: float | None = None) -> str:
    """A number as a reader wants it: enough digits to tell apart values `span` apart, powers of ten when tiny."""
    if not math.isfinite(value):
        return "undefined"
    size, step = abs(value), span if span else abs(value)
    if value == 0:
        return "0"
    if size < 1e-3 or size >= 1e5:
        digits = 1 if step == 0 else min(8, max(1, math.floor(math.log10(size)) - math.floor(math.log10(step)) + 1))
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}".replace(
            "-", "−"
        )
    return f"{value:.{min(8, max(0, 1 - math.floor(math.log10(step))))}f}".replace("-", "−")


def one_of(argument: str, value: str, names: Iterable[str]) -> str:
    """The value, if it is one of the names.

    Raises:
        ValueError: If it is none; the message begins with the argument, lists the names and guesses what was meant.
    """
    names = list(names)
    if value not in names:
        raise ValueError(f"{argument} must be one of {', '.join(names)}; got {value!r}{nearest(value, names)}")
    return value


def nearest(word: object, names: Iterable[str]) -> str:
    """The end of an error message: what a misspelt word was meant to be, or nothing where no name is like it."""
    close = difflib.get_close_matches(str(word).lower(), list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else ""
