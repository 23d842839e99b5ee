"""A checksum of a network's weights."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def network_checksum(network: object) -> str | None:
    """SHA-256 of the weights of a network; None for a function."""
    return state_checksum(network.state_dict()) if isinstance(network, nn.Module) else None


def state_checksum(state: dict[str, Tensor]) -> str:
    """SHA-256 over sorted names, dtypes, shapes and bytes of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(name for name, value in state.items() if isinstance(value, Tensor)):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
