"""Untrusted text made safe to put into a page, and values made readable."""

from __future__ import annotations

import html
import json
import math
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from relax.text import PROMPT, number

_SEGMENTS = r"""(?:[^\\/\s,;:"'<>|][^\\/,;:"'<>|\n]*[\\/]+)"""
_FOLDERS = re.compile(  # /a/, ~/, ~a/, C:\, ../ and \\a\, with the folders in them
    rf"(?<![\w/\\.])(?:(?:~\w*|[A-Za-z]:|\.{{1,2}})[\\/]{{1,2}}{_SEGMENTS}*|(?:/|\\{{1,2}}){_SEGMENTS}+)(?=[^\\/\s])"
)
PICTURES = ("image", "reference", "foil", "fill")
BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # they reorder the text around them


def plain(text: str) -> str:
    """As `visible`, and of a path that begins at a root, a home or a drive, or with dots, only the name.

    Where files lie is nobody's business who gets the page.
    """
    return visible(_FOLDERS.sub("", text))


def visible(text: str) -> str:
    r"""The text with deceptive characters written as escapes, such as \u202e.

    These are control characters, halves of surrogate pairs (from file names that are not UTF-8) and marks of writing
    direction. Line ends and tabs become spaces.
    """
    return "".join(_visible(letter) for letter in text)


def without_folders(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance with the names of pictures instead of the paths to them; other strings as `plain` shows paths."""
    shown = {
        name: _file_names(value) if name in PICTURES and isinstance(value, str) else _in_all(value)
        for name, value in provenance.items()
    }
    command = provenance.get("command")
    return shown | ({} if command is None else {"command": _without_paths(str(command))})


def _without_paths(command: str) -> str:
    """A command line with the names of files instead of paths; nothing of one that no shell would read."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return shlex.join("=".join(map(_file_name, word.split("="))) for word in words)


def _in_all(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _in_all(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [*map(_in_all, value)]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


def _file_names(text: str) -> str:
    """A path, or several as in "mean of 2: a/cat.png, b/dog.png", without folders; prompts stay as they are."""
    parts = re.split(r"(: |, | in )", text)
    return "".join(part if part.startswith(PROMPT) else _file_name(part) for part in parts)


def _file_name(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _visible(letter: str) -> str:
    if letter in "\n\r\t":
        return " "
    code = ord(letter)
    disguise = unicodedata.category(letter) in ("Cc", "Cs") or code in BIDI
    return f"\\u{code:04x}" if disguise else letter


def escaped(text: str) -> str:
    """The text escaped for an element, or for an attribute in double quotes."""
    return html.escape(plain(text))


def named(text: str) -> str:
    """A name whose writing direction is isolated from the text around it."""
    return f"<bdi>{escaped(text)}</bdi>"


def embedded(data: Any) -> str:
    """JSON for a script element, which no text in it can close."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def readable(value: str | float | int | None) -> str:
    """A table cell: whole numbers in groups of three digits, others with three or four significant digits."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:#.4g}".removesuffix(".").replace("-", "−")
    return f"{value:,.0f}".replace("-", "−") if 1e4 <= abs(value) < 1e9 else number(value, abs(value) / 10)


def rows_of(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (name, value), with nested names joined by a middle dot."""
    for name, value in settings.items():
        where = f"{path} · {name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            yield from rows_of(value, where)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield where, "–" if value is None else text
