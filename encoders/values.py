"""Arguments as Python's own values, and in the words of a message; nothing here loads torch."""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor

_LINE_BREAK = re.compile(r"\s*\n\s*")
LONGEST = 80  # characters of a value in a message


def plain(value: Any) -> Any:
    """A number or text of numpy or torch, with a type or in an array or tensor without axes, as Python has it.

    Anything else is returned as it is, also what has no axes and no value either, such as a tensor without data.
    """
    if type(value) in (bool, int, float, str, type(None)):
        return value
    try:
        value = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
        return float(value) if isinstance(value, Real) and not isinstance(value, int) else value
    except Exception:  # objects of others raise anything
        return value


def printable(text: str) -> str:
    """The text with a question mark for each character that would move the cursor of a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def is_whole(value: object, least: int = 0) -> TypeGuard[int]:
    """Whether it is a whole number of `least` or more that 64 bits hold; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number of Python that a float can hold, NaN and infinity too; True and False are none."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and not math.isinf(_as_float(value))


def described(value: object) -> str:
    """What was given, for a message: a number, text or short list itself, else its type, with shape and dtype."""
    try:
        if isinstance(value, type):
            return f"the class {value.__name__}"
        value = plain(value)
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return f"{type(value).__name__} {tuple(value.shape)} {value.dtype}"
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | list | tuple):
            text = printable(_LINE_BREAK.sub(" ", repr(value)))  # of an array in a list, several lines
            return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    except Exception:  # no message of an error may raise another
        return type(value).__name__
    return type(value).__name__


def unreadable(tensor: Tensor) -> str | None:
    """What a tensor is that cannot be read as an array of real numbers, with the way out; None where it can."""
    layout, dtype = (str(kind).removeprefix("torch.") for kind in (tensor.layout, tensor.dtype))
    if tensor.is_nested:
        return "a nested tensor: give one of a single shape"
    if layout != "strided":
        return f"{layout}: use .to_dense()"
    if tensor.device.type == "meta":
        return "a tensor on the device 'meta', which holds no data: load it onto another"
    if tensor.is_quantized:
        return f"{dtype}: use .dequantize()"
    return f"{dtype}: use .real, .abs() or both parts" if tensor.is_complex() else None


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
