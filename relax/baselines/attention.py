"""What a vision transformer attends to. Attention shows which tokens are mixed, not what the embedding is made of.

The blocks of timm and DINO pass their attention through a dropout layer, where it is recorded; timm's fused kernels,
which never hold it, are switched off for that one pass. torchvision's blocks can return it, and so do those of
transformers once their kernels are switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from encoders.trace import hooked
from relax.baselines.layers import Tokens, find_tokens
from relax.baselines.task import Maps, MethodError, Task


def attention(task: Task) -> Maps:
    """How much the class token attends to each patch in the last block, averaged over the heads.

    Without a class token, the mean over the patch tokens as queries. The shares of all tokens add up to 1; those of
    the class token and registers are left out, and the rest is enlarged bilinearly.

    Source: DINO (Caron et al., ICCV 2021), figure 1, which draws each head separately.
    """
    tokens = find_tokens(task)
    last = _attention(task, tokens)[-1]
    return _map(task, tokens, last, "share of the attention in the last block")


def attention_rollout(task: Task) -> Maps:
    """Attention followed through all blocks: the product over the blocks of (A + 1) / 2, A averaged over the heads.

    Queries, and the tokens left out, as for `attention`.

    Source: Quantifying Attention Flow in Transformers (Abnar & Zuidema, ACL 2020), section 3.
    """
    tokens = find_tokens(task)
    blocks = _attention(task, tokens)
    identity = torch.eye(len(blocks[0])).to(blocks[0])
    flow = identity
    for mean in blocks:
        mixed = (mean + identity) / 2
        flow = mixed / mixed.sum(1, keepdim=True) @ flow
    return _map(task, tokens, flow, "share of the attention flow")


def _map(task: Task, tokens: Tokens, mixed: Tensor, unit: str) -> Maps:
    """The row of the class token, or the mean row of the patches, without the prefix tokens."""
    last, grid = tokens.last, tokens.last.grid or ()
    row = mixed[0] if last.class_token else mixed[last.prefix :].mean(0)
    queries = "class token" if last.class_token else "mean of the patch tokens"
    settings = {"queries": queries, "blocks": len(tokens.blocks), "grid": list(grid)}
    return Maps(task.to_view(row[last.prefix :].view(grid)), unit, settings=settings)


def _attention(task: Task, tokens: Tokens) -> list[Tensor]:
    """(T, T) float64 of every block, in order, averaged over the heads; row = query. One forward pass."""
    averages: list[Tensor] = []

    def record(weights: Tensor) -> None:
        averages.append(weights[0].to(task.scene.accumulator_device).double().mean(0))

    handles, fused = [], []
    for _, block in tokens.blocks:
        layer: Any = _attention_layer(block)
        if isinstance(layer, nn.MultiheadAttention):
            handles.append(layer.register_forward_pre_hook(_request_weights, with_kwargs=True))
            handles.append(layer.register_forward_hook(lambda _, __, output: record(output[1])))
        elif isinstance(getattr(layer, "attn_drop", None), nn.Module):
            handles.append(layer.attn_drop.register_forward_hook(lambda _, __, output: record(output)))
            fused.append(layer)
        elif layer is not None and (configurations := _configurations(layer)):
            handles += [part.register_forward_hook(_returned(record)) for part in layer.modules()]
            fused += configurations
    with hooked(handles), _unfused(fused):
        task.embed(task.scene.view)
    count = tokens.last.shape[0]
    if len(averages) != len(tokens.blocks) or any(mean.shape != (count, count) for mean in averages):
        raise MethodError(
            f"{task.method} needs the attention between all tokens of every block, which encoder "
            f"{task.encoder.name!r} does not expose: use gradcam or lafam"
        )
    return averages


def _attention_layer(block: nn.Module) -> Any:
    """What timm, torchvision and transformers call it."""
    names = ("attn", "self_attention", "attention", "self_attn")
    return next((layer for name in names if (layer := getattr(block, name, None)) is not None), None)


def _configurations(layer: nn.Module) -> list[Any]:
    """Those of transformers that say how attention is computed; none elsewhere."""
    configurations = [getattr(part, "config", None) for part in layer.modules()]
    return [configuration for configuration in configurations if hasattr(configuration, "_attn_implementation")]


def _returned(record: Callable[[Tensor], None]) -> Callable[..., None]:
    """A hook for layers that return (features, attention), the second None where a kernel never held it."""

    def hook(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], Tensor):
            record(output[1])

    return hook


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
