"""Choose a layer from one forward pass: the last feature map of a CNN, the tokens of a ViT.

Layers are recognised by the shapes of their outputs, in the order in which they run. A CNN's layer is the last one
with a feature map larger than one cell. In a ViT the last convolution before the blocks is the patch embedding, which
gives the grid; the blocks have one token per patch, after a prefix (class token, registers).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from encoders.layers import channels_last
from encoders.outputs import Selected
from relax.baselines.task import MethodError, Task


@dataclass(frozen=True)
class Layer:
    """One layer of the encoder's network, with the layout of its output.

    Attributes:
        module: The layer itself, a submodule of the network.
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
        """The layer's output, or its gradient, as (B, D, gh, gw): a copy, safe from layers that work in place."""
        if self.prefix is not None:
            output = output[:, self.prefix :].mT.reshape(len(output), -1, *self.grid)
        elif self.channels_last:
            output = output.permute(0, 3, 1, 2)
        return output.clone()


@dataclass(frozen=True)
class Tokens:
    """The transformer blocks of a ViT, and the layout of its tokens.

    Attributes:
        blocks: Names and modules, in order.
        grid: (gh, gw) patches.
        prefix: Tokens before the patch tokens.
        has_class: Whether the first of them is a class token.
    """

    blocks: list[tuple[str, nn.Module]]
    grid: tuple[int, int]
    prefix: int
    has_class: bool


@dataclass(frozen=True)
class _Output:
    name: str
    module: nn.Module
    shape: tuple[int, ...]
    hidden: bool = False  # the hidden state in a ModelOutput of transformers


def gradcam_layer(task: Task) -> Layer:
    """The layer whose channels the CAM family weighs: one forward pass.

    For a ViT, the first normalisation of the last block: after that block the class token no longer attends to patches.

    Raises:
        MethodError: If the encoder is a function, or has no feature map.
    """
    network, trace = _network(task), _trace(task)
    tokens = _tokens(task, network, trace)
    if tokens is None:
        return _last_map(task, network, trace)
    name, block = tokens.blocks[-1]
    part = _first_norm(block)
    return Layer(getattr(block, part), f"{name}.{part}", tokens.grid, tokens.prefix)


def activation_layer(task: Task) -> Layer:
    """The last activation map itself: one forward pass.

    For a ViT, the output of the last block. Normalisations over the channels are skipped: they remove the channel mean
    that LaFAM shows.

    Raises:
        MethodError: As `gradcam_layer`.
    """
    network, trace = _network(task), _trace(task)
    tokens = _tokens(task, network, trace)
    if tokens is None:
        return _last_map(task, network, [output for output in trace if not isinstance(output.module, nn.LayerNorm)])
    name, block = tokens.blocks[-1]
    return Layer(block, name, tokens.grid, tokens.prefix)


def find_tokens(task: Task) -> Tokens:
    """The blocks of a ViT: one forward pass.

    Raises:
        MethodError: If the encoder is no ViT, or one whose tokens no longer correspond to patches.
    """
    tokens = _tokens(task, _network(task), _trace(task))
    if tokens is None:
        raise MethodError(
            f"{task.method} needs the attention of a vision transformer, and encoder {task.encoder.name!r} has none: "
            "use gradcam or lafam"
        )
    return tokens


@contextmanager
def hooked(handles: list[RemovableHandle]) -> Iterator[None]:
    """Remove the hooks when the block ends, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _network(task: Task) -> nn.Module:
    network = task.encoder.network
    network = network.network if isinstance(network, Selected) else network
    if not isinstance(network, nn.Module) or isinstance(network, torch.jit.ScriptModule):
        kind = "TorchScript" if isinstance(network, nn.Module) else "a function"
        raise MethodError(
            f"{task.method} needs the layers of the network, and encoder {task.encoder.name!r} is {kind}: "
            "pass the module itself, or use relax, lime or occlusion"
        )
    return network


def _trace(task: Task) -> list[_Output]:
    """Shape of every tensor that a layer returned, in order."""
    trace: list[_Output] = []

    def recording(name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            hidden = getattr(output, "last_hidden_state", None)
            tensor = output if hidden is None else hidden
            if isinstance(tensor, Tensor):
                trace.append(_Output(name, module, tuple(tensor.shape), hidden is not None))

        return hook

    modules = _network(task).named_modules()
    with hooked([module.register_forward_hook(recording(name)) for name, module in modules]):
        task.embed(task.scene.view)
    return trace


def _tokens(task: Task, network: nn.Module, trace: list[_Output]) -> Tokens | None:
    """The tokens, if transformer blocks run after the patch embedding; None for other networks."""
    blocks = _blocks(network) or _blocks_of_transformers(network, trace)
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


def _blocks_of_transformers(network: nn.Module, trace: list[_Output]) -> list[tuple[str, nn.Module]]:
    """Transformer blocks that ran, by the names of transformers; the last stage where there are several."""
    ran = {seen.module for seen in trace}
    for path, holder in reversed(list(network.named_modules())):
        if isinstance(holder, nn.ModuleList) and path.rpartition(".")[2] in ("layer", "layers", "blocks"):
            blocks = [(f"{path}.{name}", block) for name, block in holder.named_children()]
            if (
                blocks
                and blocks[-1][1] in ran
                and (_first_norm(blocks[-1][1]).startswith("layer") or path.endswith("layer"))
            ):
                return blocks
    return []


def _first_norm(block: nn.Module) -> str:
    """The name of a block's first normalisation; "" where it has none of these."""
    names = ("norm1", "ln_1", "layernorm_before", "layer_norm1")
    return next((name for name in names if hasattr(block, name)), "")


def _last_map(task: Task, network: nn.Module, trace: list[_Output]) -> Layer:
    for output in reversed(trace):
        shape = output.shape
        if output.hidden and len(shape) == 3:  # a map before it is not the last
            raise MethodError(
                f"{task.method} needs a feature map, and encoder {task.encoder.name!r} ends in {shape[1]} tokens whose "
                "places are not known here: use saliency, lime or relax"
            )
        if len(shape) == 4 and shape[0] == 1 and not output.hidden:
            last = bool(channels_last(network, shape, task.scene.view.shape[-2:]))
            grid = shape[1:3] if last else shape[2:]
            if grid[0] * grid[1] > 1:
                return Layer(output.module, output.name, (grid[0], grid[1]), channels_last=last)
    raise MethodError(
        f"{task.method} needs a layer with a feature map larger than one cell, and encoder {task.encoder.name!r} "
        "has none: use saliency, lime or relax"
    )


def activations(task: Task, layer: Layer) -> Tensor:
    """The layer's feature map (1, D, gh, gw) for the image with nothing hidden: one forward pass."""
    feature_maps: list[Tensor] = []

    def record(_: nn.Module, __: Any, output: Tensor) -> None:
        feature_maps.append(layer.feature_map(output))

    with hooked([layer.module.register_forward_hook(record)]):
        task.embed(task.scene.view)
    with torch.inference_mode(False):
        return feature_maps[-1].clone()
