"""A box as people write it: "40,60,200,180" is left, top, right, bottom in pixels from 0, edges not centres."""

from __future__ import annotations

import math
import re
from typing import TypeAlias

from encoders.values import described, is_number, plain

Box: TypeAlias = tuple[float, float, float, float]

_WRITTEN = re.compile(r"\s*-?[\d.]+\s*(,\s*-?[\d.]+\s*){2,}")


def box_of(value: object, argument: str) -> Box | None:
    """The box, where it is written or given as one; None where it is something else.

    Raises:
        ValueError: If it is none that has an inside; the message begins with the argument.
    """
    if isinstance(value, str) and _WRITTEN.fullmatch(value):
        numbers = [_number(part) for part in value.split(",")]
    elif isinstance(value, list | tuple):
        numbers = [number if is_number(number := plain(part)) else math.nan for part in value]
    else:
        return None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"{argument} must be four numbers of pixels for a box, left, top, right, bottom; got {described(value)}"
        )
    left, top, right, bottom = map(float, numbers)
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError(
            f"{argument} must be a box with left below right and top below bottom, from 0; got {described(value)}"
        )
    return left, top, right, bottom


def in_words(box: Box) -> str:
    """Such as "the box 40,60,200,180"."""
    return f"the box {','.join(f'{value:g}' for value in box)}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
