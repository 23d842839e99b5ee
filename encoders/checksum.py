"""A checksum of a network, so that a stored result is never taken for that of another network.

With parameters, the weights identify a network. Without, the checksum covers the class and the settings of every layer,
and the buffers. There is none where these do not identify it: a class outside torch without buffers is its code alone,
and a setting that is an object, such as a function, has no text to compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def network_checksum(network: object) -> str | None:
    """SHA-256 of a network, the same on every device; None for a function, and where nothing identifies the network.

    With parameters it is `state_checksum`.
    """
    if not isinstance(network, nn.Module):
        return None
    if next(network.parameters(), None) is not None:
        return state_checksum(network.state_dict())
    return _structure_checksum(network)


def state_checksum(state: dict[str, Tensor]) -> str:
    """SHA-256 over sorted names, dtypes, shapes and bytes of a state dict."""
    digest = hashlib.sha256()
    for line in _lines(state):
        digest.update(line)
    return digest.hexdigest()


def _structure_checksum(network: nn.Module) -> str | None:
    """SHA-256 over the layers and buffers of a network without parameters."""
    buffers = dict(network.named_buffers(remove_duplicate=False))
    digest = hashlib.sha256(b"layers\n")
    for name, module in network.named_modules(remove_duplicate=False):
        settings = {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE}
        if not all(_is_plain(value) for value in settings.values()) or not (buffers or _is_of_torch(module)):
            return None
        extra = repr(sorted(settings.items())), module.extra_repr()
        digest.update(f"{name} {type(module).__module__}.{type(module).__qualname__} {extra}\n".encode())
    for line in _lines(buffers):
        digest.update(line)
    return digest.hexdigest()


def _lines(tensors: dict[str, Tensor]) -> Iterable[bytes]:
    """Name, dtype and shape of every tensor, then its bytes, sorted by name."""
    for name in sorted(name for name, value in tensors.items() if isinstance(value, Tensor)):
        value = tensors[name].detach().cpu().contiguous()
        yield f"{name} {value.dtype} {tuple(value.shape)}\n".encode()
        yield value.reshape(-1).view(torch.uint8).numpy().tobytes()


def _is_plain(value: object) -> bool:
    """Whether the repr of a setting identifies it."""
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.Size)


def _is_of_torch(module: nn.Module) -> bool:
    """Whether this is a layer of torch, which its class and settings identify."""
    return type(module).__module__.startswith("torch.nn.")
