"""Names and numbers in a readable form: on one line, of limited length, with as many digits as needed; and as CSV."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Sequence

from encoders.values import described
from encoders.values import printable as printable

PROMPT = "text:"  # begins a reference that is a prompt, for encoders with a text tower
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # of what a spreadsheet may take for a formula
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters on one line; the middle is left out, so that the ends of a path stay readable."""
    text = printable(text)
    if len(text) <= limit:
        return text
    tail = (limit - 1) * 2 // 3
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """a, b and c; names beyond `limit` are only counted. At least one name."""
    parts = list(names[:limit])
    if len(names) > limit:
        parts.append(f"{len(names) - limit} more")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 pass and 2 passes, 1 picture and 1,000 pictures."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def number(value: float, span: float | None = None) -> str:
    """A number with enough digits to resolve a range of `span`, in powers of ten when very small or large."""
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


def one_of(argument: str, value: object, names: Iterable[str]) -> str:
    """The value, if it is one of the names.

    Raises:
        ValueError: Otherwise; the message begins with the argument, lists the names and suggests the nearest.
    """
    names = list(names)
    if not isinstance(value, str):
        raise ValueError(f"{argument} must be one of {', '.join(names)}; got {described(value)}")
    if value not in names:
        hint = nearest(value, names)
        raise ValueError(f"{argument} must be one of {', '.join(names)}; got {described(value)}{hint}")
    return value


def names_of(argument: str, values: object) -> tuple[str, ...]:
    """The names in a list, tuple or any other collection but a single text.

    Raises:
        ValueError: If they are none, or no names; the message begins with the argument.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        try:
            names = tuple(values)
        except Exception:  # objects of others raise anything
            names = (None,)
        if not names:
            raise ValueError(f"{argument} must be one or more names; got none")
        if all(isinstance(name, str) for name in names):
            return tuple(str(name) for name in names)
    raise ValueError(f"{argument} must be a list of one or more names; got {described(values)}")


def nearest(word: object, names: Iterable[str]) -> str:
    """The end of an error message that suggests the name most like a misspelt word; empty if none is like it."""
    close = difflib.get_close_matches(str(word).lower(), list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV that a spreadsheet may open: no cell of it is a formula.

    Text that begins with =, +, -, @, a tab or a line break, or with their wide forms, gets an apostrophe in front, at
    which spreadsheets show the text as it is. So does text that begins with an apostrophe, so that `cell_text` can take
    it away again. Numbers stay numbers.

    Source: OWASP, CSV Injection.
    """
    return "".join(f"{_line([_cell(value) for value in row])}\n" for row in rows)


def cell_text(cell: str) -> str:
    """The text that `csv_text` wrote as this cell."""
    return cell.removeprefix("'")


def _line(row: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(row)  # with its own ending of lines: with "\n" it would not quote a "\r" in a cell
    return text.getvalue().removesuffix("\r\n")


def _cell(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(("'", *_STARTS)) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value
