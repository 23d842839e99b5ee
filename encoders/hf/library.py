"""The library itself, which is an optional extra, loaded late and kept quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from encoders.libraries import of_extra, quiet

CONVERSION_OFF = "DISABLE_SAFETENSORS_CONVERSION"  # else the hub is asked to convert a model that has no safetensors


def transformers() -> Any:
    """The module; an ImportError with the command where it is not installed."""
    return of_extra("transformers", "encoders of transformers need it installed", "hf")


def local(source: str) -> bool:
    """Whether a source is a folder on this machine, and not a name on the hub."""
    return Path(source).is_dir()


@contextmanager
def silent() -> Iterator[None]:
    """No log lines, no bar for reading a file (downloads keep theirs), and nothing asked of the hub but files."""
    bars, before = transformers().utils.logging, os.environ.get(CONVERSION_OFF)
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    os.environ[CONVERSION_OFF] = "1"
    try:
        with quiet():
            yield
    finally:
        if shown:
            bars.enable_progress_bar()
        os.environ.pop(CONVERSION_OFF)
        if before is not None:
            os.environ[CONVERSION_OFF] = before
