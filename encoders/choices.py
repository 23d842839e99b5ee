"""How an encoder pools and how exactly it is run, as data; nothing here loads torch."""

from __future__ import annotations

from encoders.errors import EncoderError

POOLINGS = {
    "auto": "as the network's authors pool",
    "cls": "the class token",
    "mean": "the mean of the patch tokens or of the feature map",
}

PRECISIONS = {
    "exact": "float32",
    "auto": "half precision where it is faster and agrees",
    "fast": "half precision wherever it is faster",
}


def check_pooling(pooling: str) -> str:
    """The pooling itself, if it is one of `POOLINGS`; else an EncoderError."""
    if pooling not in POOLINGS:
        raise EncoderError(f"pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}")
    return pooling


def pooling_not_offered(pooling: str, name: str, way_out: str = 'choose "auto"') -> EncoderError:
    """What to raise where an encoder of that name pools in another way, which cannot be changed."""
    return EncoderError(f"pooling={pooling!r} is not offered by {name!r}: {way_out}")


def check_class_token(token: object, name: str) -> None:
    """Refuse pooling="cls" for an encoder without a class token."""
    if token is None:
        raise EncoderError(f'pooling="cls" needs a class token, which {name!r} has not: choose "auto" or "mean"')


def check_precision(precision: str) -> str:
    """The precision itself, if it is one of `PRECISIONS`; else an EncoderError."""
    if precision not in PRECISIONS:
        raise EncoderError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    return precision
