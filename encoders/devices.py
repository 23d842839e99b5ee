"""Where an encoder runs."""

from __future__ import annotations

import torch

from encoders.errors import EncoderError, one_line
from encoders.values import described


def find_device(device: str | torch.device = "auto") -> torch.device:
    """The device by its name, with its number, so that two names of one device compare equal.

    Args:
        device: Anything that torch names, or "auto" = cuda where there is one, else mps, else cpu.

    Raises:
        EncoderError: If this machine or this build of torch does not have it.
    """
    _check_name(device)
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch uses all three
        raise EncoderError(
            f"device must be one that torch finds here; got {str(device)!r} ({one_line(error)}): use 'cpu' or 'auto'"
        ) from error


def find_devices(device: str | torch.device = "auto") -> tuple[torch.device, ...]:
    """The devices by their names: several after commas, "all" = every GPU here; otherwise one, as `find_device`.

    Raises:
        EncoderError: If this machine does not have one of them, or for "all" no GPU.
    """
    _check_name(device)
    if str(device) != "all":
        return tuple(find_device(name) for name in str(device).split(","))
    if not torch.cuda.is_available():
        raise EncoderError('device "all" means every GPU, and torch finds none here: use "auto"')
    return tuple(find_device(f"cuda:{number}") for number in range(torch.cuda.device_count()))


def _check_name(device: object) -> None:
    if not isinstance(device, str | torch.device):
        raise EncoderError(f"device must be a name, such as 'cpu' or 'cuda:0', or 'auto'; got {described(device)}")


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that the device multiplies in hardware, where that is worth it; None where it has none.

    A processor without AMX or AVX512_BF16 only emulates bfloat16, slower than float32. On a GPU float16 rounds eight
    times finer than bfloat16 at the same speed; what leaves its range is noticed and redone in float32.
    """
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else None
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch might fit: torch has an error type for it on a GPU, and only a text on a processor."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "Failed to allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
