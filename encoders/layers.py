"""What the layers of a network show without running it: where pixels enter, channels, heads, activation, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn

CLASSIFIERS = ("fc", "classifier", "heads", "head")  # names of the last layer, or of what holds it
LAYOUTS = {"NCHW": False, "NHWC": True}  # whether the channels are last
NO_ACTIVATION = (nn.MultiheadAttention, nn.Softmax, nn.Sigmoid)  # which torch keeps in the same module


def timm_config(network: nn.Module) -> dict[str, Any]:
    """What timm keeps with a network: the names of its first and last layers, its input size; empty for others."""
    return getattr(network, "pretrained_cfg", None) or {}


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Name and layer of the convolution that sees the pixels: timm names it, in other networks it is the first one."""
    named = timm_config(network).get("first_conv")
    name = named if isinstance(named, str) else next(iter(named or ()), None)
    layers = dict(network.named_modules())
    if name is None or not isinstance(layers.get(name), nn.Conv2d):
        name = next((name for name, layer in layers.items() if isinstance(layer, nn.Conv2d)), None)
    return None if name is None else (name, cast(nn.Conv2d, layers[name]))


def first_channels(network: nn.Module, kind: str = "Conv2d") -> int | None:
    """Input channels of the first convolution of any network; None where that does not tell what pixels it needs.

    Args:
        network: The network.
        kind: "Conv2d", or "Conv3d" of a network of volumes.
    """
    counts = [
        int(cast(Tensor, layer.weight).shape[1]) * getattr(layer, "groups", 1)
        for layer in network.modules()
        if isinstance(layer, getattr(nn, kind)) or getattr(layer, "original_name", "") == kind  # of TorchScript
    ]
    # Layers are in the order of their definition: a decoder may come before the layer that takes pixels.
    return counts[0] if counts and (counts[0] <= 4 or 3 not in counts) else None


def heads_of(network: nn.Module) -> int | None:
    """Attention heads of the first block; None for a network without attention."""
    names = ("num_heads", "num_attention_heads")  # the second is that of transformers
    counts = (getattr(layer, name, None) for layer in network.modules() if layer is not network for name in names)
    return next((count for count in counts if isinstance(count, int)), None)


def settings_of(network: nn.Module) -> dict[str, Any]:
    """What shapes of weights do not show of a network: heads, activation, stem and pooling, as far as it has them."""
    first = first_convolution(network)
    stem = first[1] if first else None
    activations = dict.fromkeys(type(layer).__name__ for layer in network.modules() if _is_activation(layer))
    pooled = isinstance(getattr(network, "maxpool", None), nn.MaxPool2d)
    linear = any(isinstance(getattr(network, name, None), nn.Identity) for name in ("act1", "relu"))
    pool = getattr(network, "global_pool", getattr(network, "pooling", None))
    settings = {
        "channels": stem.in_channels if stem else None,
        "stem": _in_words(stem) + ", no activation" * linear + ", max pooling" * pooled if stem else None,
        "heads": heads_of(network),
        "activation": ", ".join(activations) or None,
        "pooling": pool if isinstance(pool, str) else getattr(pool, "pool_type", None),
    }
    return {name: value for name, value in settings.items() if value is not None}


def channels_last(network: object, shape: Sequence[int], size: Sequence[int]) -> bool | None:
    """Whether feature maps have their channels last: as the network says, in timm's words, else as their cells tell.

    Cells are about as high as wide, so that (B, 7, 7, 768) of square pictures are 7 x 7 cells.

    Args:
        network: Whose maps these are.
        shape: (B, D, h, w) or (B, h, w, D) of the maps.
        size: (h, w) of the pictures, in pixels.

    Returns:
        None where neither tells.
    """
    said = LAYOUTS.get(str(getattr(network, "output_fmt", ""))[-4:])  # a text or an enum
    if said is not None:
        return said
    if_last, if_first = (_tiles(sides, size) for sides in pairwise(shape[1:]))
    return None if if_last == if_first else if_last


def _tiles(cells: Sequence[int], size: Sequence[int]) -> bool:
    """Whether rows and columns of cells, about square, may cover a picture of h x w px."""
    (rows, columns), (height, width) = cells, size
    return rows <= height and columns <= width and 0.8 <= height * columns / (width * rows) <= 1.25


def _is_activation(layer: nn.Module) -> bool:
    """Whether it is one of torch, timm or transformers, or CLIP's, which stands beside its network."""
    kind = type(layer)
    return kind.__name__ == "QuickGELU" or ("activation" in kind.__module__ and not isinstance(layer, NO_ACTIVATION))


def _in_words(stem: nn.Conv2d) -> str:
    return f"{stem.kernel_size[0]} x {stem.kernel_size[1]}, stride {stem.stride[0]}, padding {stem.padding[0]}"
