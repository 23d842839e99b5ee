"""What a caller asks to be maximised, from keywords: whatever is impossible is refused before anything is climbed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from encoders import Encoder, EncoderError, Head, load_head
from encoders.values import described, is_number, is_whole, plain
from relax.io.choice import discreet_name
from relax.io.images import name_of, read_image
from relax.references import image_files
from relax.units.asked import (
    Asked,
    Where,
    asked_class,
    asked_direction,
    asked_likeness,
    asked_units,
    checked_units,
    checked_where,
    layer_named,
    units_of,
)
from relax.units.colours import of_size
from relax.units.real import spaced
from relax.units.statistics import Statistics, bundled, measured

SIDE = 224  # px, for encoders that take any size
LEAST_SIDE, MOST_SIDE = 16, 2048
MEASURED = 500  # pictures of a folder whose spectrum is taken, evenly spaced


def asked_of(
    encoder: Encoder,
    size: tuple[int, int],
    layer: str | None,
    where: Where,
    wanted: Mapping[str, Any],
    head: Head | str | Path | None,
) -> list[Asked]:
    """What is asked, from the keywords of `maximise`.

    Raises:
        EncoderError, ImageError, ValueError: As `relax.units.maximise.maximise`.
    """
    named = [name for name, value in wanted.items() if value is not None]
    if len(named) != 1:
        got = " and ".join(named) if named else "none"
        raise ValueError(f"say one of unit, direction, embedding_of and target to be maximised; got {got}")
    name, value = named[0], wanted[named[0]]
    if (name == "target") != (head is not None):
        raise ValueError("target and head go together: the head has the classes, and target names one of them")
    if layer is not None and name not in ("unit", "direction"):
        raise ValueError(f"layer is for unit and direction; {name} is a question about the embedding: leave layer out")
    chosen_layer = layer_named(encoder, layer)
    where = checked_where(where, chosen_layer)
    if name == "target":
        checked = head if isinstance(head, Head) else load_head(head)  # type: ignore[arg-type]
        checked.check(encoder)
        return [asked_class(checked, value)]
    if name == "embedding_of":
        pixels = encoder.view(read_image(value, channels=encoder.channels))
        pixels = pixels if encoder.preprocess.size else of_size(pixels, size)
        return [asked_likeness(encoder.embed(pixels)[0], name_of(value))]
    count = units_of(encoder, chosen_layer, blank(encoder, size))
    if name == "direction":
        return [asked_direction(chosen_layer, value, count, where)]
    return asked_units(chosen_layer, checked_units(value, count, chosen_layer), where)


def check_gradients(encoder: Encoder) -> None:
    """Refuse what has no gradients, or takes volumes.

    Raises:
        EncoderError: If it is so.
    """
    if encoder.opaque:
        raise EncoderError(
            f"pictures are made by gradients, and encoder {encoder.name!r} is {encoder.opaque}, which has none: load "
            "the network in torch, or look at the pictures that excite a unit (relax.exciting_pictures)"
        )
    if encoder.takes_volumes:
        raise EncoderError(f"pictures are made for encoders of pictures; {encoder.name!r} takes volumes")


def size_of(encoder: Encoder, size: object) -> tuple[int, int]:
    """(h, w) of the pictures: the encoder's own, or what was said.

    Raises:
        ValueError: If both are there and differ, or the size is impossible.
    """
    own = encoder.preprocess.size
    given = plain(size)
    sides = (given, given) if is_whole(given) else tuple(map(plain, size)) if isinstance(size, tuple | list) else None
    if size is None:
        return own or (SIDE, SIDE)
    if sides is None or len(sides) != 2 or not all(is_whole(side) for side in sides):
        raise ValueError(f"size must be pixels of a side, or (height, width); got {described(size)}")
    if own is not None and sides != own:
        raise ValueError(
            f"size is for encoders that take any; {encoder.name!r} takes {own[0]} x {own[1]} px: leave it out"
        )
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in sides):
        raise ValueError(f"size must be {LEAST_SIDE} to {MOST_SIDE} px a side; got {described(size)}")
    return sides[0], sides[1]


def blank(encoder: Encoder, size: tuple[int, int]) -> Tensor:
    """(1, C, h, w) grey."""
    return torch.full((1, encoder.channels or 3, *size), 0.5)


def statistics_of(spectrum: str | Path | Statistics | None, channels: int, size: tuple[int, int]) -> Statistics:
    """Of natural pictures, or of those in a folder at this size.

    Raises:
        ValueError: If the pictures have neither one nor three channels, or the folder holds too few.
        ImageError: If a picture cannot be used.
    """
    if channels not in (1, 3):
        raise ValueError(f'form must be "pixels" for an encoder of {channels} channels, of which no spectrum is known')
    if isinstance(spectrum, Statistics):
        statistics = spectrum
    elif spectrum is None:
        statistics = bundled()
    else:
        side = max(size)
        chosen = spaced(image_files(spectrum), MEASURED)
        if len(chosen) < 2:
            raise ValueError(f"spectrum must be a folder of two pictures or more; got {discreet_name(str(spectrum))}")
        pictures = (of_size(read_image(path, channels=channels), (side, side))[0] for path in chosen)
        statistics = measured(pictures, discreet_name(str(spectrum)))
    if len(statistics.mean) == channels:
        return statistics
    if channels == 1:
        return statistics.grey()
    raise ValueError("spectrum must be of pictures in colour for an encoder of colour; got one channel")


def steps_of(steps: object) -> int:
    """A number of steps.

    Raises:
        ValueError: If it is none.
    """
    steps = plain(steps)
    if not is_whole(steps, 1) or steps > 100_000:
        raise ValueError(f"steps must be a whole number from 1 to 100,000; got {described(steps)}")
    return steps


def positive(argument: str, value: object, *, zero: bool = False) -> float | None:
    """A positive number, or 0 where that is allowed; None stays.

    Raises:
        ValueError: If it is none.
    """
    value = plain(value)
    if value is None:
        return None
    if not is_number(value) or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{argument} must be a number {'of 0 or more' if zero else 'above 0'}; got {described(value)}")
    return float(value)
