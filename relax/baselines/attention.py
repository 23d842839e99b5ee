"""What a vision transformer attends to. Attention shows which tokens are mixed, not what the embedding is made of.

`encoders.attention` records it while the network runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from encoders.attention import watching_attention
from relax.baselines.layers import Tokens, find_tokens
from relax.baselines.task import Maps, MethodError, Task


def attention(task: Task) -> Maps:
    """How much the class token attends to each patch in the last block, or the chosen one, averaged over the heads.

    Without a class token, the mean over the patch tokens as queries. The shares of all tokens add up to 1; those of
    the class token and registers are left out, and the rest is enlarged bilinearly.

    Source: DINO (Caron et al., ICCV 2021), figure 1, which draws each head separately.
    """
    tokens = find_tokens(task)
    number = tokens.number(task)
    block = "the last block" if task.layer is None else tokens.blocks[number][0]
    return _map(task, tokens, _attention(task, tokens)[number], f"share of the attention in {block}")


def attention_rollout(task: Task) -> Maps:
    """Attention followed through all blocks: the product over the blocks of (A + 1) / 2, A averaged over the heads.

    Queries, and the tokens left out, as for `attention`.

    Source: Quantifying Attention Flow in Transformers (Abnar & Zuidema, ACL 2020), section 3.
    """
    tokens = find_tokens(task)
    blocks = _attention(task, tokens)
    return _map(task, tokens, rollout(blocks), "share of the attention flow")


def rollout(layers: Sequence[Tensor]) -> Tensor:
    """(T, T): attention followed through all layers, the product over them of (A + 1) / 2, rows brought to 1.

    Args:
        layers: (T, T) attention of each layer, averaged over the heads, first the lowest; row = query.
    """
    identity = torch.eye(len(layers[0])).to(layers[0])
    flow = identity
    for mean in layers:
        mixed = (mean + identity) / 2
        flow = mixed / mixed.sum(1, keepdim=True) @ flow
    return flow


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

    def record(_: str, weights: Tensor) -> None:
        averages.append(weights[0].to(task.scene.accumulator_device).double().mean(0))

    with watching_attention(dict(tokens.blocks), record):
        task.embed(task.scene.view)
    count = tokens.last.shape[0]
    if len(averages) != len(tokens.blocks) or any(mean.shape != (count, count) for mean in averages):
        raise MethodError(
            f"{task.method} needs the attention between all tokens of every block, which encoder "
            f"{task.encoder.name!r} does not expose: use gradcam or lafam"
        )
    return averages
