"""The items behind the question mark of a spec that say how its weights were trained: ?size=96&mean=0.5,0.5,0.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from encoders.errors import EncoderError
from encoders.preprocess import Preprocess


def with_items(usual: Preprocess, items: Mapping[str, str]) -> Preprocess:
    """The usual preprocessing with the changes of the items; a new size keeps the share of the image in the crop.

    Raises:
        EncoderError: If an item is no size or number, or the result does not fit together.
    """
    changes: dict[str, Any] = {}
    if "size" in items:
        changes["size"] = height_and_width(items["size"])
        changes["resize"] = _same_share(usual, changes["size"])
    if "resize" in items:
        pair = height_and_width(items["resize"])
        changes["resize"] = pair if "x" in items["resize"] else pair[0]
    for name in ("mean", "std"):
        if name in items:
            changes[name] = _numbers(name, items[name])
    if "interpolation" in items:
        changes["interpolation"] = items["interpolation"]
    return replace(usual, **changes)


def height_and_width(text: str) -> tuple[int, int]:
    """Pixels: "96" is (96, 96), "96x128" is (96, 128)."""
    try:
        height, _, width = text.partition("x")
        return int(height), int(width or height)
    except ValueError:
        raise EncoderError(f"size and resize must be pixels, as in size=96 or size=96x128; got {text!r}") from None


def _same_share(usual: Preprocess, size: tuple[int, int]) -> int | None:
    """What the shorter side becomes at a new size; None for a rectangle, which takes the whole image, squeezed."""
    if usual.size is None or not isinstance(usual.resize, int) or size[0] != size[1]:
        return None
    return max(size[0], usual.resize * size[0] // usual.size[0])


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise EncoderError(f"{name} must be numbers with commas, as in {name}=0.5,0.5,0.5; got {text!r}") from None
