"""Classifiers of torchvision without their heads, each with the preprocessing of its default weights.

Call the builder inside `encoders.networks.drawn_from`, which keeps random weights away from the caller's generator.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchvision
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from encoders.arguments import arguments_of, built_with, channels_of
from encoders.choices import pooling_not_offered
from encoders.contract import Built
from encoders.errors import EncoderError
from encoders.items import size_of
from encoders.layers import CLASSIFIERS, first_convolution
from encoders.libraries import fetching
from encoders.names import Names, check_name, known_names
from encoders.parsing import Spec
from encoders.transforms import read_transform


def build_torchvision(spec: Spec) -> Built:
    """A torchvision classifier without its head, and the preprocessing of its default weights.

    Args:
        spec: As for `torchvision_network`.

    Raises:
        EncoderError: As `torchvision_network`.
    """
    network, weights = torchvision_network(spec)
    _remove_head(network, spec.name)
    preprocess, _ = read_transform(weights.transforms())
    return Built(network, preprocess, pool=pool_with_torchvision, channels=channels_of(arguments_of(spec)) or 3)


def torchvision_network(spec: Spec) -> tuple[nn.Module, Any]:
    """A classifier of torchvision, and its default weights, which say their preprocessing and classes.

    Args:
        spec: Its item size is the size that a vision transformer is built for, where torchvision's own function
            resamples the positions of pretrained weights. With in_chans, the first convolution is made over, as timm
            does it: the weights of the colours are added up for one channel, and repeated for more than three. Items
            that are not about preprocessing are arguments of the model's constructor.

    Raises:
        EncoderError: If torchvision has no such classifier, its weights cannot be had, or it takes no such argument.
    """
    name = spec.name
    check_name("torchvision", name, spec.pretrained, known_names(spec.kind, torchvision_names()))
    weights = torchvision.models.get_model_weights(name).DEFAULT
    arguments, size = arguments_of(spec), size_of(spec.items)
    arguments.pop("img_size", None)
    channels = channels_of(arguments) or 3
    arguments.pop("in_chans", None)
    positions = size is not None and name.startswith("vit_")
    if positions and size is not None:
        if size[0] != size[1]:
            raise EncoderError(f"size must be a square for {spec.text!r}; got {size[0]} x {size[1]}: take it from timm")
        arguments["image_size"] = size[0]
    create: Callable[..., nn.Module] = partial(torchvision.models.get_model, name)
    with fetching(f"torchvision:{name}", spec.pretrained):
        if positions and spec.pretrained:
            network = built_with(spec, partial(create, weights=None), arguments)
            network.load_state_dict(_resampled_positions(network, weights.get_state_dict(check_hash=True)))
        else:
            network = built_with(spec, partial(create, weights=weights if spec.pretrained else None), arguments)
    change_channels(network, channels)
    return network, weights


def torchvision_names() -> Names:
    """Every classifier of torchvision; all have weights."""
    names = tuple(torchvision.models.list_models(module=torchvision.models))
    return Names(names, names)


def pool_with_torchvision(network: nn.Module, pooling: str, name: str) -> None:
    """Check that `pooling` is what torchvision built into the network; it offers no other.

    Raises:
        EncoderError: If it is not.
    """
    built_in = "cls" if isinstance(network, torchvision.models.VisionTransformer) else "mean"
    averaged = getattr(getattr(network, "avgpool", None), "output_size", None) in (1, (1, 1))
    if pooling == "auto" or (pooling == built_in and (built_in == "cls" or averaged)):
        return
    raise pooling_not_offered(pooling, name, 'choose "auto", or the same network from timm')


def change_channels(network: nn.Module, channels: int) -> None:
    """Give a network, in place, a first convolution for another number of channels, its weights made over as timm's."""
    first = first_convolution(network)
    if first is None or first[1].in_channels == channels:
        return
    layer = first[1]
    with torch.no_grad():
        weight = adapt_input_conv(channels, layer.weight)
    # Every attribute is kept but the weights: strides, paddings, types of padding.
    layer.in_channels, layer.weight = channels, nn.Parameter(weight)


def _resampled_positions(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a vision transformer of torchvision with their positions resampled to the network's image size."""
    size, patch = int(network.image_size), int(network.patch_size)  # type: ignore[arg-type]
    resampled: dict[str, Tensor] = interpolate_embeddings(size, patch, OrderedDict(state))
    return resampled


def _remove_head(network: nn.Module, name: str) -> None:
    """Replace the layer that makes class scores, the last linear or 1 x 1 convolution of the head, by an identity."""
    for head_name in CLASSIFIERS:
        head = getattr(network, head_name, None)
        if isinstance(head, nn.Module):
            layers = [key for key, layer in head.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
            if layers:
                network.set_submodule(f"{head_name}.{layers[-1]}".rstrip("."), nn.Identity())
                return
    raise EncoderError(f"encoder 'torchvision:{name}' has no head that is known here: load the network as a module")
