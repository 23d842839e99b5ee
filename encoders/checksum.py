"""A checksum of a network, so that a stored result is never taken for that of another network.

With parameters, the weights identify a network. Without, the checksum covers the buffers, and of every layer its
settings, its class and, outside torch, the source of that class (not of functions that it calls); of TorchScript its
code and constants. Where a part of the answer was chosen, the choice counts too. There is none where
the source is not to be had or does not say all (a class made in a function), or where a setting is an object, such as a
function, that has no text to compare.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from encoders.outputs import Output, Part, Selected

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def network_checksum(network: object) -> str | None:
    """SHA-256 of a network, the same on every device; None for a function, and where nothing identifies the network.

    With parameters it is `state_checksum`. A network whose weights are no tensors brings its own.
    """
    if not isinstance(network, nn.Module):
        return None
    if isinstance(own := getattr(network, "checksum", None), str):
        return own
    if isinstance(network, Selected):
        parts = network_checksum(network.network), _output_text(network.output)
        return None if None in parts else hashlib.sha256(repr(parts).encode()).hexdigest()
    if isinstance(network, Part):  # a layer of it, which identities tell
        return network_checksum(network.network)
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
    if isinstance(network, torch.jit.ScriptModule):
        return _script_checksum(network)
    buffers = dict(network.named_buffers(remove_duplicate=False))
    digest = hashlib.sha256(b"layers\n")
    for name, module in network.named_modules(remove_duplicate=False):
        settings = {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE}
        code = _code(type(module))
        if code is None or not all(_is_plain(value) for value in settings.values()):
            return None
        digest.update(repr((name, code, sorted(settings.items()), module.extra_repr())).encode())
    for line in _lines(buffers):
        digest.update(line)
    return digest.hexdigest()


def _script_checksum(network: torch.jit.ScriptModule) -> str | None:
    """SHA-256 over the code of TorchScript, its constants, which frozen weights are, and its buffers.

    None where `torch.jit.optimize_for_inference` hid the weights.
    """
    digest = hashlib.sha256(b"script\n")
    for name, module in network.named_modules():
        code, constants = module.code_with_constants
        if "mkldnn" in code:
            return None
        digest.update(f"{name}\n{code}".encode())
        for line in _lines(constants.const_mapping):
            digest.update(line)
    for line in _lines(dict(network.named_buffers())):
        digest.update(line)
    return digest.hexdigest()


def _output_text(output: Output) -> str | None:
    """What identifies the choice of an output: its name or number, or the source of a function that keeps no values."""
    if not callable(output):
        return repr(output)
    if getattr(output, "__closure__", ()) is not None:
        return None
    try:
        return inspect.getsource(output)
    except (OSError, TypeError):
        return None


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


def _code(layer: type) -> list[tuple[str, str]] | None:
    """Names of a class and its bases, up to torch's own, each with its source; None where that does not tell."""
    code: list[tuple[str, str]] = []
    for base in layer.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if base.__module__.startswith("torch.nn."):
            return [*code, (name, "")]
        if "<locals>" in name:  # its source does not tell the values around it
            return None
        try:
            code.append((name, inspect.getsource(base)))
        except (OSError, TypeError):
            return None
    return code
