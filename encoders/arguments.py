"""The arguments of a network's own constructor, as items of a spec: ?in_chans=1&num_heads=12&act_layer=gelu.

Whatever a kind of spec does not name itself goes to the library that builds the network, as a Python literal. What the
network does not take is refused, and so is what would leave a pretrained network with random weights.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from encoders.errors import EncoderError, did_you_mean, one_line
from encoders.kinds import POOLING_ITEM, PREPROCESS_ITEMS
from encoders.parsing import Spec

# Arguments of timm's and torchvision's factories that say which weights are read or what is built around the network.
WEIGHTS = ("weights", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "checkpoint_path")
BUILDING = (
    "scriptable",
    "exportable",
    "no_jit",
    "features_only",
    "pruned",
    "device",
    "dtype",
    "weight_init",
    "progress",
)
FACTORY = {"num_classes", "cache_dir", *WEIGHTS, *BUILDING}
USUAL = ("in_chans", "num_heads", "img_size", "patch_size", "act_layer", "output_stride", "global_pool")


def as_value(text: str) -> object:
    """A text as a Python literal: "3" is 3, "true" is True, "(1, 2)" a pair; anything else stays text."""
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text


def arguments_of(spec: Spec) -> dict[str, Any]:
    """The items of a spec that are about neither preprocessing nor pooling nor the kind of spec itself, as values."""
    own = {*spec.kind.items, *PREPROCESS_ITEMS, POOLING_ITEM}
    return {name: as_value(text) for name, text in spec.items.items() if name not in own}


def channels_of(arguments: Mapping[str, Any]) -> int | None:
    """The number of channels that arguments ask for; None where they ask for none.

    Raises:
        EncoderError: If it is no number of channels.
    """
    channels = arguments.get("in_chans")
    if channels is not None and (type(channels) is not int or channels < 1):
        raise EncoderError(f"in_chans must be a number of channels, at least 1; got {channels!r}")
    return channels


def built_with(spec: Spec, create: Callable[..., nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """The network that `create` returns for these arguments of a spec.

    Raises:
        EncoderError: If it takes no such argument, or not this value.
    """
    for name in FACTORY & arguments.keys():
        raise unknown_item(spec, name)
    try:
        network = create(**arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError, LookupError, AttributeError) as error:
        unexpected = re.search(
            r"unexpected keyword argument '(\w+)'|multiple values for keyword argument '(\w+)'", str(error)
        )
        if isinstance(error, TypeError) and unexpected:
            raise unknown_item(spec, unexpected[1] or unexpected[2]) from error
        if not arguments:
            raise
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise EncoderError(
            f"encoder {spec.text!r} cannot be built with {given} ({one_line(error)}): "
            "give another value, or leave it out"
        ) from error
    parameters = inspect.signature(type(network).__init__).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):  # it would swallow a misspelt name
        for name in arguments.keys() - {parameter.name for parameter in parameters}:
            raise unknown_item(spec, name)
    return network


def unknown_item(spec: Spec, name: str) -> EncoderError:
    """What to raise for an item that neither the kind of spec nor the network knows."""
    known = [*spec.kind.items, *(argument for argument in USUAL if argument not in spec.kind.items)]
    hint = "this network does not take it" if name in known else did_you_mean(name, known, "leave it out")
    return EncoderError(
        f"encoder {spec.text!r} has the item {name!r}; known are {', '.join(spec.kind.items)} and arguments of the "
        f"network's constructor: {hint}"
    )


def check_same_weights(spec: Spec, network: nn.Module, usual: nn.Module) -> None:
    """Refuse arguments under which a pretrained network has other weights than were trained.

    The library loads what it has and leaves the remainder random, or out, in silence.

    Args:
        spec: For messages.
        network: With the arguments.
        usual: Without them.
    """
    trained, wanted = set(usual.state_dict()), set(network.state_dict())
    for word, names in (("has no weights for", wanted - trained), ("leaves out", trained - wanted)):
        if names:
            raise EncoderError(
                f"encoder {spec.text!r} {word} {', '.join(sorted(names)[:3])} under these arguments: leave them out, "
                "or give weights that were trained so, as file:PATH?arch=NAME"
            )
    if "patch_size" in spec.items and _patch(network) != _patch(usual):
        raise EncoderError(
            f"encoder {spec.text!r} has weights of patch {_patch(usual)}, the network {_patch(network)}: leave "
            "patch_size out, or name a network of that patch"
        )


def _patch(network: nn.Module) -> int | str:
    side = getattr(getattr(network, "patch_embed", None), "patch_size", "?")
    height, width = side if isinstance(side, tuple) else (side, side)
    return int(height) if height == width and height != "?" else f"{height} x {width}"
