"""What options of the command line mean, where several commands have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.settings import BatchSize

DEVICE_HELP = "auto, cpu, cuda, cuda:1, mps; several share the masked images: cuda:0,cuda:1, or all GPUs."


def names(text: str) -> list[str]:
    """Names with commas between them, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def batch_size(text: str) -> BatchSize:
    """--batch-size: "auto" or a whole number.

    Raises:
        ValueError: If it is neither.
    """
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'--batch-size must be a whole number or "auto"; got {text!r}') from None


def make_out(out: Path) -> None:
    """Make the folder --out, if need be.

    Raises:
        OSError: If it cannot be one.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"--out {out} cannot be a folder: {error.strerror}") from None
