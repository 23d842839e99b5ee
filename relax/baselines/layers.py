"""Choose a layer from one forward pass: the last feature map of a CNN, the tokens of a ViT.

`encoders.trace` tells what every layer returns. A CNN's layer is the last one with a feature map larger than one cell;
a ViT has blocks of tokens, one per patch after a prefix (class token, registers).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from encoders import trace
from encoders.layouts import MAP, MAP_LAST, TOKENS, Layer
from relax.baselines.task import MethodError, Task

BLOCKS = (  # of transformers, and the first norm of each
    ("blocks", "norm1"),
    ("encoder.layers", "ln_1"),
    ("transformer.resblocks", "ln_1"),
    ("model.visual.transformer.resblocks", "ln_1"),
)


@dataclass(frozen=True)
class Tokens:
    """The transformer blocks of a ViT, and the layout of its tokens.

    Attributes:
        blocks: Names and modules, in order.
        last: The last of them, with the layout of its tokens.
    """

    blocks: list[tuple[str, nn.Module]]
    last: Layer

    def number(self, task: Task) -> int:
        """Of the block that the caller chose, by its name or that of a layer in it; the last without a choice."""
        if task.layer is None:
            return len(self.blocks) - 1
        for number, (name, _) in enumerate(self.blocks):
            if task.layer == name or task.layer.startswith(f"{name}."):
                return number
        raise MethodError(
            f"{task.method} needs a block, and layer {task.layer!r} of encoder {task.encoder.name!r} is none: choose "
            f"from {self.blocks[0][0]} to {self.blocks[-1][0]}"
        )


def gradcam_layer(task: Task) -> Layer:
    """The layer whose channels the CAM family weighs: one forward pass.

    For a ViT, the first normalisation of the last block: after that block the class token no longer attends to patches.

    Raises:
        MethodError: If the encoder is a function, or has no feature map.
    """
    layers = _layers(task)
    if task.layer is not None:
        return _chosen(task, layers, task.layer)
    tokens = _tokens(task, layers)
    if tokens is None:
        return _last_map(task, layers)
    name, block = tokens.blocks[-1]
    return next(layer for layer in layers if layer.name == f"{name}.{_first_norm(block)}")


def activation_layer(task: Task) -> Layer:
    """The last activation map itself: one forward pass.

    For a ViT, the output of the last block. Normalisations over the channels are skipped: they remove the channel mean
    that LaFAM shows.

    Raises:
        MethodError: As `gradcam_layer`.
    """
    layers = _layers(task)
    if task.layer is not None:
        return _chosen(task, layers, task.layer)
    tokens = _tokens(task, layers)
    if tokens is not None:
        return tokens.last
    norms = [layer.name for layer in layers if isinstance(trace.module_of(task.encoder, layer.name), nn.LayerNorm)]
    return _last_map(task, [layer for layer in layers if layer.name not in norms])


def find_tokens(task: Task) -> Tokens:
    """The blocks of a ViT: one forward pass.

    Raises:
        MethodError: If the encoder is no ViT, or one whose tokens no longer correspond to patches.
    """
    tokens = _tokens(task, _layers(task))
    if tokens is None:
        raise MethodError(
            f"{task.method} needs the attention of a vision transformer, and encoder {task.encoder.name!r} has none: "
            "use gradcam or lafam"
        )
    return tokens


def activations(task: Task, layer: Layer) -> Tensor:
    """The layer's feature map (1, D, gh, gw) for the image with nothing hidden: one forward pass."""
    with trace.recording(task.encoder, [layer.name]) as outputs:
        task.embed(task.scene.view)
    with torch.inference_mode(False):
        return layer.feature_map(outputs[layer.name])


def _chosen(task: Task, layers: list[Layer], name: str) -> Layer:
    """The layer that the caller chose."""
    trace.module_of(task.encoder, name)  # refuses names of nothing
    layer = next((layer for layer in layers if layer.name == name), None)
    if layer is None or prod(layer.grid or ()) <= 1 or layer.entry is not None:
        raise MethodError(
            f"{task.method} needs a layer with a feature map or tokens in their places, and layer {name!r} of encoder "
            f"{task.encoder.name!r} gives none: relax layers lists those that do"
        )
    return layer


def _layers(task: Task) -> list[Layer]:
    kind = trace.unseen(task.encoder)
    if kind is not None:
        raise MethodError(
            f"{task.method} needs the layers of the network, and encoder {task.encoder.name!r} is {kind}: "
            "pass the module itself, or use relax, lime or occlusion"
        )
    view = task.scene.view
    return trace.layers(task.encoder, view, run=lambda: task.embed(view))


def _tokens(task: Task, layers: list[Layer]) -> Tokens | None:
    """The tokens, if there are transformer blocks; None for other networks."""
    ran = {layer.name: layer for layer in layers if layer.layout == TOKENS and layer.entry is None}
    network = trace.network_of(task.encoder)
    blocks = _blocks(network) or _blocks_of_transformers(network, ran)
    last = ran.get(blocks[-1][0]) if blocks else None
    if last is not None and last.grid is None:
        raise MethodError(
            f"{task.method} needs one token per patch; encoder {task.encoder.name!r} has {last.shape[0]} tokens in its "
            "last block, whose places are not known here: use relax, saliency or lime"
        )
    return None if last is None else Tokens(blocks, last)


def _blocks(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Transformer blocks, by the names that timm, DINO, DINOv2, torchvision and open_clip give them."""
    for path, norm in BLOCKS:
        holder: Any = network
        for part in path.split("."):
            holder = getattr(holder, part, None)
        if isinstance(holder, nn.Sequential | nn.ModuleList) and len(holder) and hasattr(holder[-1], norm):
            return [(f"{path}.{name}", block) for name, block in holder.named_children()]
    return []


def _blocks_of_transformers(network: nn.Module, ran: Collection[str]) -> list[tuple[str, nn.Module]]:
    """Transformer blocks whose last one ran, by the names of transformers; the last stage where there are several."""
    for path, holder in reversed(list(network.named_modules())):
        if isinstance(holder, nn.ModuleList) and path.rpartition(".")[2] in ("layer", "layers", "blocks"):
            blocks = [(f"{path}.{name}", block) for name, block in holder.named_children()]
            if (
                blocks
                and blocks[-1][0] in ran
                and (_first_norm(blocks[-1][1]).startswith("layer") or path.endswith("layer"))
            ):
                return blocks
    return []


def _first_norm(block: nn.Module) -> str:
    """The name of a block's first normalisation; "" where it has none of these."""
    names = ("norm1", "ln_1", "layernorm_before", "layer_norm1")
    return next((name for name in names if hasattr(block, name)), "")


def _last_map(task: Task, layers: list[Layer]) -> Layer:
    for layer in reversed(layers):
        if layer.entry == "last_hidden_state" and layer.layout == TOKENS:  # a map before it is not the last
            raise MethodError(
                f"{task.method} needs a feature map, and encoder {task.encoder.name!r} ends in {layer.shape[0]} tokens "
                "whose places are not known here: use saliency, lime or relax"
            )
        if layer.layout in (MAP, MAP_LAST) and layer.entry is None and prod(layer.grid or ()) > 1:
            return layer
    raise MethodError(
        f"{task.method} needs a layer with a feature map larger than one cell, and encoder {task.encoder.name!r} "
        "has none: use saliency, lime or relax"
    )
