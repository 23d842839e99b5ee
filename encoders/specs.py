"""From a spec, a module or a function to an `Encoder`: the room's front door.

default                     the bundled encoder
timm:NAME                   timm, pretrained; NAME may carry a weights tag
torchvision:NAME            torchvision, default weights
hub:REPO:NAME               an entry of a torch.hub repository or a local folder
open_clip:MODEL:TAG         open_clip, which reads prompts too (an extra, see `encoders.text`)
file:PATH?arch=NAME         a checkpoint; NAME is a timm name or torchvision:NAME
random:timm:NAME            random weights, for sanity checks; also torchvision:NAME, open_clip:MODEL and default
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn

from encoders.checkpoints.layouts import load_weights
from encoders.checkpoints.reading import read_checkpoint
from encoders.checkpoints.report import CheckpointReport
from encoders.encoder import Encoder, check_precision, copied
from encoders.errors import EncoderError
from encoders.hub import hub_network
from encoders.networks import (
    bundled_network,
    drawn_from,
    pool_with_timm,
    pool_with_torchvision,
    timm_network,
    torchvision_network,
)
from encoders.pooling import check_pooling
from encoders.preprocess import Preprocess
from encoders.text import open_clip_network

KINDS = (
    "default, timm:NAME, torchvision:NAME, hub:REPO:NAME, open_clip:MODEL:TAG, file:PATH?arch=NAME, random:timm:NAME"
)
PREPROCESS_ITEMS = ("size", "resize", "mean", "std", "interpolation")

Built = tuple[nn.Module, Preprocess, CheckpointReport | None]


def load(
    spec: str | nn.Module | Callable[[Tensor], Tensor] | Encoder,
    *,
    device: str | torch.device = "auto",
    pooling: str = "auto",
    seed: int = 0,
    precision: str | None = None,
) -> Encoder:
    """Load an image encoder: frozen, in eval mode, with its preprocessing.

    Args:
        spec: A spec as at the top of this module; a module, which is copied and never changed, and gets pixels
            as they are; a function from (B, C, H, W) to (B, D), used as it is; or an Encoder, passed through.
            `file:` and `hub:` take further items, `?arch=NAME&size=96&mean=0.5,0.5,0.5`: size, resize, mean, std,
            interpolation and pooling, where the weights were trained with others than the network's usual ones; for
            a checkpoint also part, the prefix to take instead of the preferred one (part=student).
        device: A torch device, or "auto" = cuda, else mps, else cpu. "auto" leaves an Encoder where it is and
            gives a function its pixels on the CPU. "cuda:0,cuda:1", or "all" GPUs, share the masked views.
        pooling: "auto" = as the network's authors pool; "cls" = the class token; "mean" = the mean of the patch
            tokens or of the feature map. It goes before an item of the spec, and cannot be changed on an Encoder.
        seed: What random weights are drawn from; the global random state is left alone.
        precision: "exact" (float32), "auto" or "fast": how masked views may be embedded, see `encoders.passes`. None
            leaves an Encoder as it is; everything else is "exact".

    Returns:
        The encoder; its `report` says how the keys of a checkpoint matched.

    Raises:
        EncoderError: If the spec is not understood, weights cannot be had, or a checkpoint does not fit.
    """
    check_pooling(pooling)
    if isinstance(spec, Encoder):
        if pooling not in ("auto", spec.pooling):
            raise EncoderError(
                f"pooling of an Encoder cannot be changed, here {spec.pooling!r}; got {pooling!r}: load its spec again"
            )
        there = spec if str(device) == "auto" else spec.to(device)
        return there if precision is None else there.with_precision(precision)
    precision = check_precision(precision or "exact")
    if isinstance(spec, str):
        return _from_text(spec, device, pooling, seed).with_precision(precision)
    if isinstance(spec, nn.Module):
        name = type(spec).__name__
        return Encoder(copied(spec), name=name, device=device, pooling=pooling, precision=precision)
    if callable(spec) and not isinstance(spec, type):
        return Encoder(spec, device=device, pooling=pooling, precision=precision)
    got = f"the class {spec.__name__}, not an object of it" if isinstance(spec, type) else type(spec).__name__
    raise EncoderError(f"encoder must be a spec ({KINDS}), a module, a function or an Encoder; got {got}")


def _from_text(spec: str, device: str | torch.device, pooling: str, seed: int) -> Encoder:
    text = spec.strip()
    if pooling == "auto" and text.startswith(("file:", "hub:")):
        pooling = check_pooling(_items(text).get("pooling", pooling))
    with drawn_from(seed):
        network, preprocess, report = _build(text, pooling)
    return Encoder(network, name=text, preprocess=preprocess, device=device, pooling=pooling, channels=3, report=report)


def _build(spec: str, pooling: str) -> Built:
    kind, _, rest = spec.partition(":")
    pretrained = kind != "random"
    if not pretrained:
        kind, _, rest = rest.partition(":")
    if kind == "file" and pretrained and rest:
        return _from_file(rest, pooling)
    if kind == "hub" and pretrained and rest:
        return _from_hub(rest)
    if kind == "default" and not rest:
        network, preprocess = bundled_network(pretrained=pretrained)
        pool_with_timm(network, pooling, spec)
    elif kind == "open_clip" and rest:
        network, preprocess = open_clip_network(rest, pretrained=pretrained)
        if pooling != "auto":
            raise EncoderError(f'pooling={pooling!r} is not offered by {spec!r}: choose "auto"')
    elif kind in ("timm", "torchvision") and rest:
        network, preprocess = _from_library(f"{kind}:{rest}", pretrained, None)
        _set_pooling(f"{kind}:{rest}", network, pooling)
    else:
        raise EncoderError(f"encoder must be one of {KINDS}, a module or a function; got {spec!r}")
    return network, preprocess, None


def _from_library(arch: str, pretrained: bool, size: tuple[int, int] | None) -> tuple[nn.Module, Preprocess]:
    kind, _, name = arch.partition(":")
    if arch == "default":
        return bundled_network(pretrained=pretrained)
    if kind == "torchvision":
        return torchvision_network(name, pretrained=pretrained)
    return timm_network(arch.removeprefix("timm:"), pretrained=pretrained, size=size)


def _set_pooling(arch: str, network: nn.Module, pooling: str) -> None:
    pool = pool_with_torchvision if arch.startswith("torchvision:") else pool_with_timm
    pool(network, pooling, arch)


def _from_file(rest: str, pooling: str) -> Built:
    path, items = rest.rpartition("?")[0] or rest, _items(rest)
    arch = items.pop("arch", "")
    if not arch:
        raise EncoderError(
            f"encoder 'file:{path}' needs the network's name: file:{path}?arch=resnet50, or any timm "
            "name, or arch=torchvision:NAME"
        )
    part = items.pop("part", "")
    _refuse_unknown(items, f"file:{rest}")
    network, usual = _from_library(arch, False, _pair(items["size"]) if "size" in items else None)
    report = load_weights(network, read_checkpoint(path), path=path, arch=arch, part=part)
    _set_pooling(arch, network, pooling)
    return network, _changed(usual, items), report


def _from_hub(rest: str) -> Built:
    path, items = (rest.rpartition("?")[0] or rest), _items(rest)
    arguments = {name: items.pop(name) for name in list(items) if name not in (*PREPROCESS_ITEMS, "pooling")}
    network, usual = hub_network(path, arguments)
    return network, _changed(usual, items), None


def _items(text: str) -> dict[str, str]:
    """What follows the last question mark, as name: value."""
    return dict(parse_qsl(text.rpartition("?")[2], keep_blank_values=True)) if "?" in text else {}


def _refuse_unknown(items: dict[str, str], spec: str) -> None:
    allowed = (*PREPROCESS_ITEMS, "pooling")
    unknown = sorted(set(items) - set(allowed))
    if unknown:
        raise EncoderError(f"encoder {spec!r} has the item {unknown[0]!r}; known are arch, part, {', '.join(allowed)}")


def _changed(usual: Preprocess, items: dict[str, str]) -> Preprocess:
    """The usual preprocessing with what the spec says otherwise; a new size keeps the share that the crop shows."""
    changes: dict[str, Any] = {}
    if "size" in items:
        changes["size"] = _pair(items["size"])
        changes["resize"] = _same_share(usual, changes["size"])
    if "resize" in items:
        pair = _pair(items["resize"])
        changes["resize"] = pair if "x" in items["resize"] else pair[0]
    for name in ("mean", "std"):
        if name in items:
            changes[name] = _numbers(name, items[name])
    if "interpolation" in items:
        changes["interpolation"] = items["interpolation"]
    return replace(usual, **changes)


def _same_share(usual: Preprocess, size: tuple[int, int]) -> int | None:
    """What the shorter side must become; a rectangle takes the whole image, squeezed."""
    if usual.size is None or not isinstance(usual.resize, int) or size[0] != size[1]:
        return None
    return max(size[0], usual.resize * size[0] // usual.size[0])


def _pair(text: str) -> tuple[int, int]:
    """Height and width: "96" is (96, 96), "96x128" is (96, 128)."""
    try:
        height, _, width = text.partition("x")
        return int(height), int(width or height)
    except ValueError:
        raise EncoderError(f"size and resize must be pixels, as in size=96 or size=96x128; got {text!r}") from None


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise EncoderError(f"{name} must be numbers with commas, as in {name}=0.5,0.5,0.5; got {text!r}") from None
