"""Where an encoder runs."""

from __future__ import annotations

import torch

from encoders.errors import EncoderError, one_line


def find_device(device: str | torch.device = "auto") -> torch.device:
    """The device by its name, with its number, so that two names of one device compare equal.

    Args:
        device: Anything that torch names, or "auto" = cuda where there is one, else mps, else cpu.

    Raises:
        EncoderError: If this machine or this build of torch does not have it.
    """
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch uses all three
        raise EncoderError(
            f"device must be one that torch finds here; got {str(device)!r} ({one_line(error)}): use 'cpu' or 'auto'"
        ) from error
