"""LeGrad: how the score of each block's tokens would grow with each share of its attention.

One forward and one backward pass. What each block returns is cut off from the blocks before it, and the last block
returns all of them in its place, one below the other, so that the end of the network (norm, pooling, head) makes one
embedding of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from encoders.attention import watching_attention
from encoders.trace import hooked
from relax.baselines.costs import GRADIENT
from relax.baselines.layers import Tokens, find_tokens
from relax.baselines.task import Maps, MethodError, Task, gradients_allowed


def legrad(task: Task) -> Maps:
    """The positive gradient of a block's score with respect to its attention, averaged over heads, queries and blocks.

    The score of a block is that of the mean of its tokens, taken through the end of the network. `layer` chooses one
    block instead of all. The columns of the class token and registers are left out, the rest is enlarged bilinearly.

    Source: LeGrad (Bousselham et al., ICCV 2025), section 3, and the authors' package for which tokens are averaged.
    The package takes the last two blocks where nothing else is said, the paper all.

    Raises:
        MethodError: If the encoder is no ViT, or does not expose the attention between all tokens of every block.
    """
    tokens = find_tokens(task)
    names, last, grid = [name for name, _ in tokens.blocks], tokens.last, tokens.last.grid or ()
    chosen = range(len(names)) if task.layer is None else [tokens.number(task)]
    shares = _gradients(task, tokens)[list(chosen)].clamp(min=0).mean((0, 1, 2))
    settings = {"blocks": [names[number] for number in chosen], "grid": list(grid)}
    return Maps(
        task.to_view(shares[last.prefix :].view(grid)), f"d {task.scalar.unit} / d attention", settings=settings
    )


def _gradients(task: Task, tokens: Tokens) -> Tensor:
    """(L, heads, T, T) float64: of the score of each block with respect to its attention; row = query."""
    blocks, count = dict(tokens.blocks), tokens.last.shape[0]
    attention: dict[str, Tensor] = {}
    with gradients_allowed():
        copies = task.leaf(task.view).expand(len(blocks), -1, -1, -1)
        with _apart([*blocks.values()]), watching_attention(blocks, attention.__setitem__):
            scores = task.scores_with_gradients(copies, passes=GRADIENT)
        if attention.keys() != blocks.keys() or any(part.shape[2:] != (count, count) for part in attention.values()):
            raise MethodError(
                f"{task.method} needs the attention between all tokens of every block, which encoder "
                f"{task.encoder.name!r} does not expose: use gradcam or attnlrp"
            )
        gradients = torch.autograd.grad(scores.sum(), [_edge(attention[name]) for name in blocks])
    heads = [gradient.reshape(-1, count, count) for gradient in gradients]
    return torch.stack(heads).to(task.scene.accumulator_device).double()


@contextmanager
def _apart(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Run one of the L copies of a picture through the L blocks, and behind them the mean tokens of each block."""
    means: list[Tensor] = []

    def first_copy(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tuple(map(first, inputs)), {name: first(part) for name, part in named.items()}

    def first(part: Any) -> Any:
        return part[:1] if isinstance(part, Tensor) and len(part) == len(blocks) else part

    def cut(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        means.append(output.mean(1, keepdim=True).expand_as(output))
        return torch.cat(means) if len(means) == len(blocks) else output.detach().requires_grad_()

    handles = [block.register_forward_hook(cut) for block in blocks]
    with hooked([blocks[0].register_forward_pre_hook(first_copy, with_kwargs=True), *handles]):
        yield


def _edge(weights: Tensor) -> GradientEdge:
    """Where the graph has the attention that weighs the values; `nn.MultiheadAttention` returns a view of it."""
    node = weights.grad_fn
    if node is None or not node.name().startswith("View"):
        return get_gradient_edge(weights)
    before, output = node.next_functions[0]
    return GradientEdge(cast(Node, before), output)
