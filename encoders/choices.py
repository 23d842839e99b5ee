"""How an encoder pools and how exactly it is run, as data; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Iterable

from encoders.errors import EncoderError
from encoders.values import described

POOLINGS = {
    "auto": "as the network's authors pool",
    "cls": "the class token",
    "mean": "the mean of the patch tokens or of the feature map",
}

PRECISIONS = {
    "exact": "float32",
    "auto": "half precision or OpenVINO, where it is faster and agrees",
    "fast": "the same, wherever it is faster",
}


VIEWS = {
    "auto": "as the encoder's own preprocessing does it",
    "pad": "all of the picture, its aspect ratio kept, with the mean pixel around it",
    "crop": "the middle, its aspect ratio kept: the shorter side fills the input",
    "squash": "all of the picture, squeezed to the input's aspect ratio",
}

CLASS = "class"  # the token of that name, see `encoders.inner`


def check_pooling(pooling: str) -> str:
    """The pooling itself, if it is one of `POOLINGS`; else an EncoderError."""
    return one_of("pooling", pooling, POOLINGS)


def pooling_not_offered(pooling: str, name: str, way_out: str = 'choose "auto"') -> EncoderError:
    """What to raise where an encoder of that name pools in another way, which cannot be changed."""
    return EncoderError(f"pooling={pooling!r} is not offered by {name!r}: {way_out}")


def check_class_token(token: object, name: str) -> None:
    """Refuse pooling="cls" for an encoder without a class token."""
    if token is None:
        raise EncoderError(f'pooling="cls" needs a class token, which {name!r} has not: choose "auto" or "mean"')


def check_precision(precision: str) -> str:
    """The precision itself, if it is one of `PRECISIONS`; else an EncoderError."""
    return one_of("precision", precision, PRECISIONS)


def check_view(view: str) -> str:
    """The view itself, if it is one of `VIEWS`; else an EncoderError."""
    return one_of("view", view, VIEWS)


def one_of(argument: str, value: object, names: Iterable[str]) -> str:
    """The value, if it is one of the names; else an EncoderError."""
    if not isinstance(value, str) or value not in names:
        raise EncoderError(f"{argument} must be one of {', '.join(names)}; got {described(value)}")
    return value
