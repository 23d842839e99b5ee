"""Find the layer to look at, from one forward pass: the last feature map of a CNN, the tokens of a ViT.

Layers are found by the shapes that they return, in the order in which they return. A CNN's layer is the last one
with a feature map larger than one cell. In a ViT the last convolution before the blocks is the patch embedding, which
gives the grid; the tokens that follow are as many, plus the prefix (class token, registers) in front of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from relax.baselines.task import MethodError, Task


@dataclass(frozen=True)
class Layer:
    """One layer of the encoder's network, and how its output becomes a feature map.

    Attributes:
        module: The layer itself, a part of the network.
        name: Its name in the network; "" is the network as a whole.
        grid: (gh, gw), cells of the feature map.
        prefix: Tokens before the patch tokens; None for a CNN.
        channels_last: Whether its output is (B, gh, gw, D).
    """

    module: nn.Module
    name: str
    grid: tuple[int, int]
    prefix: int | None = None
    channels_last: bool = False

    def feature_map(self, output: Tensor) -> Tensor:
        """The layer's output, or its gradient, as (B, D, gh, gw); a copy, which later layers cannot write into."""
        if self.prefix is not None:
            output = output[:, self.prefix :].mT.reshape(len(output), -1, *self.grid)
        elif self.channels_last:
            output = output.permute(0, 3, 1, 2)
        return output.clone()


@dataclass(frozen=True)
class Tokens:
    """The transformer blocks of a ViT, and how its tokens lie in the image.

    Attributes:
        blocks: In order, with their names.
        grid: (gh, gw) patches.
        prefix: Tokens before the patch tokens.
        has_class: Whether the first of them is a class token.
    """

    blocks: list[tuple[str, nn.Module]]
    grid: tuple[int, int]
    prefix: int
    has_class: bool


@dataclass(frozen=True)
class _Seen:
    name: str
    module: nn.Module
    shape: tuple[int, ...]


def gradcam_layer(task: Task) -> Layer:
    """The layer whose channels the CAM family weighs: one forward pass.

    For a ViT, the first normalisation of the last block: after it the class token no longer looks at patches.

    Raises:
        MethodError: If the encoder is a function, or has no feature map.
    """
    network, trace = _network(task), _trace(task)
    tokens = _tokens(task, network, trace)
    if tokens is None:
        return _last_map(task, network, trace)
    name, block = tokens.blocks[-1]
    part = "norm1" if hasattr(block, "norm1") else "ln_1"
    return Layer(getattr(block, part), f"{name}.{part}", tokens.grid, tokens.prefix)


def activation_layer(task: Task) -> Layer:
    """The last activation map itself: one forward pass.

    For a ViT, what the last block returns. Normalisations over the channels are passed over: they take out the
    channel mean that LaFAM looks at.

    Raises:
        MethodError: As `gradcam_layer`.
    """
    network, trace = _network(task), _trace(task)
    tokens = _tokens(task, network, trace)
    if tokens is None:
        return _last_map(task, network, [seen for seen in trace if not isinstance(seen.module, nn.LayerNorm)])
    name, block = tokens.blocks[-1]
    return Layer(block, name, tokens.grid, tokens.prefix)


def find_tokens(task: Task) -> Tokens:
    """The blocks of a ViT: one forward pass.

    Raises:
        MethodError: If the encoder is no ViT, or one whose tokens have lost their place in the image.
    """
    tokens = _tokens(task, _network(task), _trace(task))
    if tokens is None:
        raise MethodError(
            f"{task.method} needs the attention of a vision transformer, which encoder {task.encoder.name!r} has not: "
            "use gradcam or lafam"
        )
    return tokens


@contextmanager
def hooked(handles: list[RemovableHandle]) -> Iterator[None]:
    """Hooks that are removed at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _network(task: Task) -> nn.Module:
    network = task.encoder.network
    if not isinstance(network, nn.Module):
        raise MethodError(
            f"{task.method} needs the layers of the network, and encoder {task.encoder.name!r} is a function: "
            "pass the module itself, or use relax, lime or occlusion"
        )
    return network


def _trace(task: Task) -> list[_Seen]:
    """Every tensor that a layer returned, in order."""
    seen: list[_Seen] = []

    def remember(name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                seen.append(_Seen(name, module, tuple(output.shape)))

        return hook

    modules = _network(task).named_modules()
    with hooked([module.register_forward_hook(remember(name)) for name, module in modules]):
        task.embed(task.scene.view)
    return seen


def _tokens(task: Task, network: nn.Module, trace: list[_Seen]) -> Tokens | None:
    """The tokens, if transformer blocks run after the last feature map."""
    blocks = _blocks(network)
    inside = [place for place, seen in enumerate(trace) if blocks and seen.name.startswith(f"{blocks[0][0]}.")]
    patches = [seen.shape for seen in trace[: inside[0]] if isinstance(seen.module, nn.Conv2d)] if inside else []
    last = [seen.shape for seen in trace if blocks and seen.module is blocks[-1][1]]
    if not patches or not last or len(last[-1]) != 3:
        return None
    height, width = patches[-1][2:]
    prefix = last[-1][1] - height * width
    if not 0 <= prefix < height * width:
        raise MethodError(
            f"{task.method} needs one token per patch, here {height} x {width}; encoder {task.encoder.name!r} has "
            f"{last[-1][1]} tokens in its last block: use relax, saliency or lime"
        )
    classes = [getattr(network, name, None) for name in ("cls_token", "class_token")]
    return Tokens(blocks, (height, width), prefix, prefix > 0 and any(isinstance(part, Tensor) for part in classes))


def _blocks(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Transformer blocks, by the names that timm, DINO, DINOv2 and torchvision give them."""
    for path, norm in (("blocks", "norm1"), ("encoder.layers", "ln_1")):
        holder: Any = network
        for part in path.split("."):
            holder = getattr(holder, part, None)
        if isinstance(holder, nn.Sequential | nn.ModuleList) and len(holder) and hasattr(holder[-1], norm):
            return [(f"{path}.{name}", block) for name, block in holder.named_children()]
    return []


def _last_map(task: Task, network: nn.Module, trace: list[_Seen]) -> Layer:
    channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
    for seen in reversed(trace):
        if len(seen.shape) == 4 and seen.shape[0] == 1:
            grid = seen.shape[1:3] if channels_last else seen.shape[2:]
            if grid[0] * grid[1] > 1:
                return Layer(seen.module, seen.name, (grid[0], grid[1]), channels_last=channels_last)
    raise MethodError(
        f"{task.method} needs a layer with a feature map larger than one cell, which encoder {task.encoder.name!r} "
        "has not: use saliency, lime or relax"
    )


def activations(task: Task, layer: Layer) -> Tensor:
    """The layer's feature map (1, D, gh, gw) for the image with nothing hidden: one forward pass."""
    found: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        found.append(layer.feature_map(output))

    with hooked([layer.module.register_forward_hook(keep)]):
        task.embed(task.scene.view)
    with torch.inference_mode(False):
        return found[-1].clone()
