"""Networks of timm by name, each with the preprocessing of its weights.

The builder gives a bare network on the CPU: classification head removed, weights pretrained or drawn at random. Call it
inside `encoders.seeds.drawn_from`, which keeps the random weights away from the caller's generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_data_config
from torch import nn

from encoders.arguments import arguments_of, built_with, channels_of, check_same_weights
from encoders.checkpoints.reading import PICKLES, SAFETENSORS
from encoders.choices import check_class_token, pooling_not_offered
from encoders.contract import Built
from encoders.errors import EncoderError, one_line
from encoders.files import read_json
from encoders.items import size_of
from encoders.libraries import fetching
from encoders.names import TIMM_ELSEWHERE, Names, check_name, known_names
from encoders.parsing import Spec
from encoders.preprocess import Preprocess

LOCAL, *HUBS = TIMM_ELSEWHERE


def build_timm(spec: Spec) -> Built:
    """A timm model without its classification head, and timm's own evaluation preprocessing.

    Args:
        spec: As for `timm_network`.

    Raises:
        EncoderError: As `timm_network`.
    """
    network = timm_network(spec, num_classes=0)
    config: dict[str, Any] = resolve_data_config({}, model=network)
    _check_tiles(spec, network, config["input_size"][1:])
    channels = channels_of(arguments_of(spec)) or getattr(network, "in_chans", None) or config["input_size"][0]
    return Built(network, timm_preprocess(spec.name, config), pool=pool_with_timm, channels=int(channels))


def timm_network(spec: Spec, **factory: Any) -> nn.Module:
    """A model of timm.

    Args:
        spec: Its name is as in timm, with or without a weights tag, "hf-hub:USER/MODEL" or "local-dir:FOLDER", a folder
            with timm's config.json and weights. Its item size is the size that the model is built for instead of its
            usual one, which networks with position embeddings need: timm resamples those of pretrained weights. Items
            that are not about preprocessing are arguments of the model's constructor.
        factory: Further arguments of timm.create_model.

    Raises:
        EncoderError: If timm has no such model or weights, they cannot be fetched, or the model takes no such argument.
    """
    name, pretrained = spec.name, spec.pretrained
    if name.startswith(LOCAL):
        name = _checked_folder(name, pretrained)
    else:
        check_name("timm", name, pretrained, known_names(spec.kind, timm_names()))
    arguments, size = arguments_of(spec), size_of(spec.items)
    arguments.pop("img_size", None)
    channels_of(arguments)
    create: Callable[..., nn.Module] = partial(timm.create_model, name, **factory)
    if pretrained and arguments:
        check_same_weights(spec, _create_timm(spec, create, arguments, size), create())
    with fetching(f"timm:{name}", pretrained and not name.startswith(LOCAL)):
        if pretrained and factory and name.startswith((LOCAL, *HUBS)):
            # With the classifier that it was saved with, timm refuses weights that are not all there; without it, these
            # stay random.
            timm.create_model(name, pretrained=True)
        return _create_timm(spec, partial(create, pretrained=pretrained), arguments, size)


def timm_names() -> Names:
    """The networks of timm."""
    return Names(tuple(timm.list_models()), tuple(timm.list_pretrained()), tuple(timm.models.get_deprecated_models()))


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
    if pooling == "cls":
        check_class_token(getattr(network, "cls_token", None), name)
    global_pool = "token" if pooling == "cls" else "avg"
    if getattr(network, "pool_include_prefix", False):
        network.pool_include_prefix = False  # type: ignore[assignment]  # registers are no part of the image
    try:
        reset: Callable[..., None] = network.reset_classifier  # type: ignore[assignment]
        reset(0, global_pool=global_pool)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise pooling_not_offered(pooling, name) from error
    kept = getattr(network, "global_pool", global_pool)
    if isinstance(kept, str) and kept != global_pool:
        raise pooling_not_offered(pooling, name, f'choose "auto", here {kept!r}')


def _create_timm(
    spec: Spec, create: Callable[..., nn.Module], arguments: dict[str, Any], size: tuple[int, int] | None
) -> nn.Module:
    if size is not None:
        try:
            return built_with(spec, partial(create, img_size=size), arguments)
        except EncoderError as error:
            # A network that takes any size has no such argument.
            if not isinstance(error.__cause__, TypeError) or "'img_size'" not in str(error.__cause__):
                raise
    return built_with(spec, create, arguments)


def _check_tiles(spec: Spec, network: nn.Module, usual: tuple[int, int]) -> None:
    """Refuse a size that patches do not tile: the network would cut the border off, or fail at the first picture."""
    size, patch = size_of(spec.items), getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if size is None or size == tuple(usual) or not isinstance(patch, tuple):
        return
    if any(pixels % side for pixels, side in zip(size, patch, strict=True)) and not _pads(network):
        raise EncoderError(
            f"size must be a multiple of the patch, {patch[0]} x {patch[1]} px, for {spec.text!r}; "
            f"got {size[0]} x {size[1]}"
        )


def _pads(network: nn.Module) -> bool:
    return bool(getattr(getattr(network, "patch_embed", None), "dynamic_img_pad", False))


def _checked_folder(name: str, pretrained: bool) -> str:
    """The name that timm has for a folder that is there, with ~ written out."""
    folder = Path(name.removeprefix(LOCAL)).expanduser()
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"encoder 'timm:{name}' must be a folder with timm's config.json and weights; {str(folder)!r} has none: "
            "save the model with timm.models.save_for_hf, or read its weights with file:PATH?arch=NAME"
        )
    if "architecture" not in _card(folder / "config.json"):
        raise EncoderError(
            f"encoder 'timm:{name}' must have the architecture in its config.json, as timm writes it; "
            f"a folder of transformers is hf:{folder}"
        )
    if pretrained and not any(file.suffix in (*SAFETENSORS, *PICKLES) for file in folder.iterdir()):
        raise EncoderError(f"encoder 'timm:{name}' must have its weights beside config.json; there are none")
    return f"{LOCAL}{folder}"


def _card(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file.read_bytes())
    except ValueError as error:
        raise EncoderError(f"{str(file)!r} must be JSON; got {one_line(error, 80)}: save the model again") from error
    return content if isinstance(content, dict) else {}
