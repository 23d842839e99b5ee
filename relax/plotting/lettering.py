"""Text in figures: how wide it is, and where its lines break."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from relax.plotting.drawing import boxes_for_missing_glyphs

PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}  # a $ in a file name is a dollar sign
_MARKS = "/_-:?&.,"  # after which a long name is cut
_DPI = 200  # at which text is measured
_SLACK = 1.04  # letters stand a little wider at other resolutions, where they fall on other pixels


def line_height(size: float) -> float:
    """Inches from one line to the next, for text of this size in points."""
    return 1.35 * size / 72


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Inches that a line of text takes."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    with boxes_for_missing_glyphs():
        width, _, _ = _renderer().get_text_width_height_descent(text, font, ismath=False)
    return _SLACK * float(width) / _DPI


def broken(pieces: Iterable[str], width: float, size: float, *, bold: bool = False, separator: str = " ") -> list[str]:
    """Join pieces of text to lines of at most `width` inches.

    A piece that is longer than a line is broken at its spaces, and a word that is after a mark or at any letter.
    """
    lines: list[str] = []
    for piece in pieces:
        joined = f"{lines[-1]}{separator}{piece}" if lines else piece
        if piece and text_width(joined, size, bold=bold) <= width:
            lines[-1:] = [joined]
        elif not piece or text_width(piece, size, bold=bold) <= width:
            lines += [piece] if piece else []
        elif " " in piece:
            lines += broken(piece.split(" "), width, size, bold=bold)
        else:
            lines[-1:] = _cut(joined, width, size, bold=bold)
    return lines


def _cut(word: str, width: float, size: float, *, bold: bool) -> list[str]:
    """The word in pieces that fit, cut where a part of a path or name ends if one ends in the last half of a line."""
    pieces = [""]
    for letter in word:
        line = pieces[-1]
        if line and text_width(line + letter, size, bold=bold) > width:
            end = max((line.rfind(mark) + 1 for mark in _MARKS), default=0)
            end = end if 2 * end > len(line) else len(line)
            pieces[-1:] = [line[:end], line[end:]]
        pieces[-1] += letter
    return pieces


@cache
def _renderer() -> Any:
    return RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]
