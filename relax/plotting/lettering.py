"""Text in figures: how wide it is, and where its lines break."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from relax.plotting.drawing import boxes_for_missing_glyphs

PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}  # a $ in a file name is a dollar sign
_DPI = 200  # at which text is measured
_SLACK = 1.02  # text is a little wider in vector files, whose letters stand between pixels


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

    A piece that is longer than a line is broken at its spaces, and a word that is at any letter.
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
            lines += _cut(piece, width, size, bold=bold)
    return lines


def _cut(word: str, width: float, size: float, *, bold: bool) -> list[str]:
    """The word in pieces that fit."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and text_width(pieces[-1] + letter, size, bold=bold) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


@cache
def _renderer() -> Any:
    return RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]
