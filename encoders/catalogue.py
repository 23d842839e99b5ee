"""What can be loaded: the kinds of spec with an example each, and the names behind them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import timm
import torchvision

from encoders.networks import BUNDLED


@dataclass(frozen=True)
class EncoderRow:
    """One line of the list of encoders."""

    spec: str  # what `load` takes
    what: str
    notes: str


def available(pattern: str | None = None) -> list[EncoderRow]:
    """The encoders that `load` knows.

    Args:
        pattern: None for the bundled encoder and one row per kind of spec. A text lists every pretrained network of
            timm and torchvision whose name holds it, whatever its case; with * ? [ it is a shell pattern for the whole
            name.

    Returns:
        Rows; none where no name fits.
    """
    return _kinds() if pattern is None else _named(pattern)


def _kinds() -> list[EncoderRow]:
    here = "in the package, no network needed" if BUNDLED.exists() else "its weights are missing from this installation"
    return [
        EncoderRow("default", "the bundled self-supervised ResNet-18-D, 64 px", here),
        EncoderRow(
            "timm:vit_small_patch14_dinov2.lvd142m", "timm, pretrained", "fetched once; the tag may be left out"
        ),
        EncoderRow("torchvision:resnet50", "torchvision, its default weights", "fetched once"),
        EncoderRow("hub:facebookresearch/dino:main:dino_vits16", "torch.hub, or a local folder", "runs its code"),
        EncoderRow("open_clip:ViT-B-32:laion2b_s34b_b79k", "open_clip, reads prompts too", "fetched once; an extra"),
        EncoderRow(
            "file:run.ckpt?arch=resnet50", "a checkpoint of your own", "arch is a timm name or torchvision:NAME"
        ),
        EncoderRow(
            "random:timm:resnet50", "random weights, drawn from the seed", "a sanity check; also random:default"
        ),
    ]


def _named(pattern: str) -> list[EncoderRow]:
    wanted = pattern.lower() if any(sign in pattern for sign in "*?[") else f"*{pattern.lower()}*"
    specs = [
        *((f"timm:{name}", "timm") for name in timm.list_pretrained()),
        *((f"torchvision:{name}", "torchvision") for name in torchvision.models.list_models(torchvision.models)),
    ]
    return [
        EncoderRow(spec, f"{library}, pretrained", "fetched once")
        for spec, library in specs
        if fnmatchcase(spec.partition(":")[2].lower(), wanted)
    ]
