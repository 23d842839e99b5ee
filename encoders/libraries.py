"""What the libraries that networks come from have in common: extras that may be missing, downloads, noise, names."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from encoders.errors import EncoderError, did_you_mean, one_line


def install(extra: str) -> str:
    """The command that installs an extra of this package."""
    return f'pip install "relax-explainer[{extra}]"'


def of_extra(module: str, needed: str, extra: str) -> Any:
    """A module of an extra; an ImportError with the command where it is not installed.

    Args:
        module: Its name.
        needed: What needs it, as "ONNX graphs need ONNX Runtime".
        extra: The extra, as "onnx".
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{needed} ({error}): {install(extra)}") from error


@contextmanager
def fetching(spec: str, pretrained: bool) -> Iterator[None]:
    """Turn any error of a download (each library has its own types) into one line with the way out."""
    try:
        yield
    except EncoderError:
        raise
    except Exception as error:
        if not pretrained:
            reason = one_line(error).rstrip(".")
            raise EncoderError(f"encoder {spec!r} cannot be built: {reason}: check its name and items") from error
        raise EncoderError(
            f"encoder {spec!r} needs weights that are not on this machine and could not be fetched "
            f"({type(error).__name__}: {one_line(error, 120)}): connect once, or use encoder 'default' or "
            "file:PATH?arch=NAME"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log lines of a library, which only repeat the spec or the error."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def unknown_name(spec: str, name: str, names: list[str]) -> str:
    """What to say of a name that a library does not have: the nearest ones that it has."""
    return f"encoder {spec!r} is not known: {did_you_mean(name, names, 'relax encoders PATTERN lists the names')}"
