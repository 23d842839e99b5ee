"""The attention of a network's blocks, per head, recorded while the network runs.

The blocks of timm and DINO pass their attention through a dropout layer, where it is recorded; timm's fused kernels,
which never hold it, are switched off inside the block. torchvision's blocks can return it, and so do those of
transformers once their kernels are switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from encoders.trace import hooked


@contextmanager
def watching_attention(blocks: Mapping[str, nn.Module], record: Callable[[str, Tensor], object]) -> Iterator[None]:
    """Hand over the attention of blocks whenever the network is used inside the block.

    Args:
        blocks: Transformer blocks by name; those without attention that can be seen are passed over.
        record: Called with the name of a block and its attention, (B, heads, T, T): each row, of one token, adds up to
            1 over the tokens that it attends to.
    """
    handles, fused = [], []
    for name, block in blocks.items():
        keep = _of(name, record)
        layer: Any = attention_layer(block)
        if isinstance(layer, nn.MultiheadAttention):
            handles.append(layer.register_forward_pre_hook(_request_weights, with_kwargs=True))
            handles.append(layer.register_forward_hook(_returned(keep)))
        elif isinstance(getattr(layer, "attn_drop", None), nn.Module):
            handles.append(layer.attn_drop.register_forward_hook(_passed(keep)))
            fused.append(layer)
        elif layer is not None and (configurations := _configurations(layer)):
            handles += [part.register_forward_hook(_returned(keep)) for part in layer.modules()]
            fused += configurations
    with hooked(handles), _unfused(fused):
        yield


def attention_layer(block: nn.Module) -> nn.Module | None:
    """What timm, torchvision, open_clip and transformers call it; None where a block has none."""
    names = ("attn", "self_attention", "attention", "self_attn")
    candidates = (getattr(block, name, None) for name in names)
    return next((layer for layer in candidates if isinstance(layer, nn.Module)), None)


def _of(name: str, record: Callable[[str, Tensor], object]) -> Callable[[Tensor], object]:
    return lambda weights: record(name, weights)


def _passed(keep: Callable[[Tensor], object]) -> Callable[..., None]:
    """A hook for a layer through which the attention passes."""

    def hook(_: nn.Module, __: Any, output: Any) -> None:
        keep(output)

    return hook


def _returned(keep: Callable[[Tensor], object]) -> Callable[..., None]:
    """A hook for layers that return (features, attention), the second None where a kernel never held it."""

    def hook(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], Tensor):
            keep(output[1])

    return hook


def _configurations(layer: nn.Module) -> list[Any]:
    """Those of transformers that say how attention is computed; none elsewhere."""
    configurations = [getattr(part, "config", None) for part in layer.modules()]
    return [configuration for configuration in configurations if hasattr(configuration, "_attn_implementation")]


def _request_weights(
    _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return inputs, {**named, "need_weights": True, "average_attn_weights": False}


@contextmanager
def _unfused(owners: list[Any]) -> Iterator[None]:
    """Compute attention step by step: in blocks of timm, and where a configuration of transformers says how."""
    plain = {"fused_attn": False, "_attn_implementation": "eager"}
    settings = [(owner, name, getattr(owner, name)) for owner in owners for name in plain if hasattr(owner, name)]
    try:
        for owner, name, _ in settings:
            setattr(owner, name, plain[name])
        yield
    finally:
        for owner, name, before in settings:
            setattr(owner, name, before)
