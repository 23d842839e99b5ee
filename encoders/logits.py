"""A classifier given as an encoder is told about: what it returns are scores of classes, not an embedding."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from encoders.errors import EncoderWarning
from encoders.layers import CLASSIFIERS, timm_config
from encoders.outputs import tensor_of

NAMES = (*CLASSIFIERS, "class_layers", "last_linear", "_fc")  # monai's, and others'
SIDE = 224  # px, of the picture that is tried where the network does not say its size


def warn_of_logits(network: nn.Module, name: str, size: Sequence[int] | None, channels: int | None) -> None:
    """Warn if a network's answer is that of its classifier.

    That is a last linear layer or 1 x 1 convolution with a classifier's name. It is seen by one pass of a grey picture;
    a network that refuses this picture is left in peace.

    Args:
        network: In eval mode.
        name: The encoder's name.
        size: (h, w) that it sees, or (d, h, w) of volumes; None = unknown.
        channels: Number of channels that it needs; None = unknown.
    """
    place = classifier_place(network)
    width = 0 if place is None else _width_of_answer(network, place, name, size or _size_of(network), channels or 3)
    if width:
        warnings.warn(
            f"encoder {name!r} returns the {width} numbers of its last layer {place!r}: if these are logits of "
            f"{width} classes, the embedding is what comes before, which module.set_submodule({place!r}, "
            f"torch.nn.Identity()) lets through; if they are the embedding, say output={place!r}",
            EncoderWarning,
            stacklevel=4,
        )


def classifier_place(network: nn.Module) -> str | None:
    """Name of the layer that looks like a classifier: the last linear layer or 1 x 1 convolution, if named like one."""
    layers = {place: layer for place, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    place = timm_config(network).get("classifier")  # timm's
    if not isinstance(place, str) or place not in layers:
        place = next(reversed(layers), "")
    parts = place.split(".")
    part = next((part for part in NAMES if part in parts), None)
    if part is None or (isinstance(layers[place], nn.Conv2d) and layers[place].kernel_size != (1, 1)):
        return None
    inside = ".".join(parts[: parts.index(part) + 1])
    siblings = [other for other in layers if other.startswith(f"{inside}.")]
    # Several layers are a projection, but in the "classifier" of AlexNet and VGG.
    return place if len(siblings) <= 1 or part == "classifier" else None


def _width_of_answer(network: nn.Module, place: str, name: str, size: Sequence[int], channels: int) -> int:
    """How many numbers the classifier makes, if these are the network's answer to a grey picture; else 0."""
    layer = network.get_submodule(place)
    weight = cast(Tensor, layer.weight)
    answers: list[Tensor] = []
    # A copy of the layer's answer: an activation behind it may work in place.
    handle = layer.register_forward_hook(lambda _, __, answer: answers.append(answer.clone()))
    pixels = torch.full((1, channels, *size), 0.5, dtype=weight.dtype, device=weight.device)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            answer = tensor_of(network(pixels), name)
    except Exception:  # whatever foreign networks raise for a size that is not theirs
        return 0
    finally:
        handle.remove()
    if not answers or answer.ndim not in (2, 4) or answer.shape[1] != len(weight):
        return 0
    # Behind a convolution the scores are still to be averaged.
    return len(weight) if isinstance(layer, nn.Conv2d) or torch.equal(answer, answers[-1]) else 0


def _size_of(network: nn.Module) -> tuple[int, int]:
    """(h, w) in timm's configuration, else the usual size."""
    _, height, width = timm_config(network).get("input_size", (3, SIDE, SIDE))
    return height, width
