"""Networks by name, from timm, torchvision and this package, each with the preprocessing of its weights.

Every builder gives a bare network on the CPU: classification head removed, weights pretrained or drawn at
random. Call them inside `drawn_from`, which keeps the random weights away from the caller's generator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import timm
import torch
import torchvision
from safetensors.torch import load_file
from timm.data import resolve_data_config
from torch import nn

from encoders.contract import Built
from encoders.errors import EncoderError, did_you_mean, one_line
from encoders.items import height_and_width
from encoders.kinds import BUNDLED, BUNDLED_CARD, Spec
from encoders.preprocess import Preprocess


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Weights created inside are drawn from `seed`, on the CPU; the caller's generators are left as they were."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU too
        yield


def build_default(spec: Spec) -> Built:
    """The bundled encoder, or its network with random weights."""
    return Built(*bundled_network(pretrained=spec.pretrained), pool=pool_with_timm)


def build_timm(spec: Spec) -> Built:
    """A timm model without its classification head, and timm's own evaluation preprocessing.

    Args:
        spec: Its name is as in timm, with or without a weights tag, or "hf-hub:USER/MODEL". Its item size is the size
            that the model is built for instead of its usual one, which networks with position embeddings need.

    Raises:
        EncoderError: If timm has no such model or weights, or they cannot be fetched.
    """
    name, pretrained = spec.name, spec.pretrained
    if not name.startswith(("hf-hub:", "hf_hub:")):
        _check_timm_name(name, pretrained)
    size = height_and_width(spec.items["size"]) if "size" in spec.items else None
    with fetching(f"timm:{name}", pretrained):
        network = _create_timm(name, pretrained, size)
    return Built(network, timm_preprocess(name, resolve_data_config({}, model=network)), pool=pool_with_timm)


def build_torchvision(spec: Spec) -> Built:
    """A torchvision classifier without its head, and the preprocessing of its default weights.

    Raises:
        EncoderError: If torchvision has no such classifier, or its weights cannot be fetched.
    """
    name, names = spec.name, torchvision_names()
    if name not in names:
        raise EncoderError(_unknown(f"torchvision:{name}", name, names))
    weights = torchvision.models.get_model_weights(name).DEFAULT
    with fetching(f"torchvision:{name}", spec.pretrained):
        network = torchvision.models.get_model(name, weights=weights if spec.pretrained else None)
    _remove_head(network, name)
    usual = weights.transforms()
    preprocess = Preprocess(
        size=(usual.crop_size[0], usual.crop_size[0]),
        resize=usual.resize_size[0],
        mean=tuple(usual.mean),
        std=tuple(usual.std),
        interpolation=usual.interpolation.value,
    )
    return Built(network, preprocess, pool=pool_with_torchvision)


def timm_names() -> list[str]:
    """Every pretrained network of timm."""
    return list(timm.list_pretrained())


def torchvision_names() -> list[str]:
    """Every classifier of torchvision; all have weights."""
    return list(torchvision.models.list_models(module=torchvision.models))


def bundled_network(*, pretrained: bool) -> tuple[nn.Module, Preprocess]:
    """The default encoder: the whole image squeezed to a small square, so that its maps cover the full frame."""
    card = json.loads(BUNDLED_CARD.read_text(encoding="utf-8"))
    network = timm.create_model(card["arch"], pretrained=False, num_classes=0, **card["arch_args"])
    if pretrained:
        if not BUNDLED.exists():
            raise EncoderError(
                f"encoder 'default' needs {BUNDLED.name} beside {BUNDLED_CARD.name} and it is not there: "
                "install the package again, or name another encoder"
            )
        network.load_state_dict(load_file(BUNDLED))
    preprocess = Preprocess(
        size=(card["input_size"], card["input_size"]),
        mean=tuple(card["mean"]),
        std=tuple(card["std"]),
        interpolation=card["interpolation"],
    )
    return network, preprocess


def timm_preprocess(name: str, config: dict[str, Any]) -> Preprocess:
    """Timm's evaluation transform, from its resolved data config (input_size, crop_pct, crop_mode, mean, ...)."""
    _, height, width = config["input_size"]
    scaled = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    if config["crop_mode"] == "border":
        raise EncoderError(f"encoder 'timm:{name}' pads images to a border, which is not offered: load it as a module")
    resize: int | tuple[int, int]
    if config["crop_mode"] == "squash" or height != width:
        resize = (max(scaled[0], height), max(scaled[1], width))
    else:
        resize = max(scaled[0], height)  # a crop_pct above 1 would pad with black
    return Preprocess(
        size=(height, width),
        resize=resize,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )


def pool_with_timm(network: nn.Module, pooling: str, name: str) -> None:
    """Make a timm network pool by "cls" or "mean" in its own head; "auto" keeps its authors' choice.

    Raises:
        EncoderError: If it has no class token, or cannot change its pooling.
    """
    if pooling == "auto":
        return
    if pooling == "cls" and getattr(network, "cls_token", None) is None:
        raise EncoderError(f'pooling="cls" needs a class token, which {name!r} has not: choose "auto" or "mean"')
    global_pool = "token" if pooling == "cls" else "avg"
    if getattr(network, "pool_include_prefix", False):
        network.pool_include_prefix = False  # type: ignore[assignment]  # registers are no part of the image
    try:
        reset: Callable[..., None] = network.reset_classifier  # type: ignore[assignment]
        reset(0, global_pool=global_pool)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise EncoderError(f'pooling={pooling!r} is not offered by {name!r}: choose "auto"') from error
    kept = getattr(network, "global_pool", global_pool)
    if isinstance(kept, str) and kept != global_pool:
        raise EncoderError(f'pooling={pooling!r} is not offered by {name!r}, it keeps {kept!r}: choose "auto"')


def pool_with_torchvision(network: nn.Module, pooling: str, name: str) -> None:
    """Check that `pooling` is what torchvision built into the network; it offers no other.

    Raises:
        EncoderError: If it is not.
    """
    built_in = "cls" if isinstance(network, torchvision.models.VisionTransformer) else "mean"
    averaged = getattr(getattr(network, "avgpool", None), "output_size", None) in (1, (1, 1))
    if pooling == "auto" or (pooling == built_in and (built_in == "cls" or averaged)):
        return
    raise EncoderError(f'pooling={pooling!r} is not offered by {name!r}: choose "auto", or the same network from timm')


def _create_timm(name: str, pretrained: bool, size: tuple[int, int] | None) -> nn.Module:
    create: Callable[..., nn.Module] = partial(timm.create_model, name, pretrained=pretrained, num_classes=0)
    if size is None:
        return create()
    try:
        return create(img_size=size)
    except TypeError:
        return create()  # a network that takes any size has no such argument


def _check_timm_name(name: str, pretrained: bool) -> None:
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise EncoderError(_unknown(f"timm:{name}", base, timm.list_models()))
    tagged = sorted({*timm.list_pretrained(f"{base}.*"), *timm.list_pretrained(base)})
    if tag and name not in tagged:
        raise EncoderError(_unknown(f"timm:{name}", name, tagged))
    if pretrained and not tagged:
        raise EncoderError(
            f"encoder 'timm:{name}' has no pretrained weights in timm: load your own with file:PATH?arch={base}, "
            f"or random ones with random:timm:{base}"
        )


def _remove_head(network: nn.Module, name: str) -> None:
    """Replace the layer that makes class scores, the last linear or 1 x 1 convolution of the head, by an identity."""
    for head_name in ("fc", "classifier", "heads", "head"):
        head = getattr(network, head_name, None)
        if isinstance(head, nn.Module):
            layers = [key for key, layer in head.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
            if layers:
                network.set_submodule(f"{head_name}.{layers[-1]}".rstrip("."), nn.Identity())
                return
    raise EncoderError(f"encoder 'torchvision:{name}' has no head that is known here: load the network as a module")


@contextmanager
def fetching(spec: str, pretrained: bool) -> Iterator[None]:
    """Turn any error of a download (each library has its own types) into one line with the way out."""
    try:
        yield
    except EncoderError:
        raise
    except Exception as error:
        if not pretrained:
            raise EncoderError(f"encoder {spec!r} cannot be built: {one_line(error)}") from error
        raise EncoderError(
            f"encoder {spec!r} needs weights that are not on this machine and could not be fetched "
            f"({type(error).__name__}: {one_line(error, 120)}): connect once, or use encoder 'default' or "
            "file:PATH?arch=NAME"
        ) from error


def _unknown(spec: str, name: str, names: list[str]) -> str:
    return f"encoder {spec!r} is not known: {did_you_mean(name, names, 'relax encoders PATTERN lists the names')}"
