"""Encoders that the experiments call by a name, besides all specs."""

from __future__ import annotations

from pathlib import Path

import torch

import relax
from encoders import Encoder

NAMES = (
    "a spec; sscd-both and efficientnet-lite0 (experiments.recipes.published); vit (after train_vit); resnet50-thin, "
    "salience or salience-112 (after pretrained); cifar-resnet20"
)


def encoder_named(name: str, data: Path | None = None) -> Encoder:
    """One of `NAMES`, on the CPU unless it is a spec; cifar-resnet20 needs the data folder."""
    if name == "vit":
        from experiments.recipes.train_vit import vit_encoder

        return vit_encoder()
    if name == "sscd-both":
        from experiments.recipes.published import sscd

        return sscd()
    if name == "efficientnet-lite0":
        from experiments.recipes.published import lite0_with_head

        return lite0_with_head()[0]
    if name == "resnet50-thin" or name.partition("-")[0] == "salience":
        from experiments.recipes.pretrained import pretrained_encoder

        return pretrained_encoder(name)
    if name == "cifar-resnet20" and data is not None:
        from experiments.recipes.cifar_resnet import PREPROCESS, load_cifar_resnet

        network = load_cifar_resnet(data / "cifar10_resnets" / "resnet20-12fca82f.th", 20)
        network.linear = torch.nn.Identity()
        return Encoder(network, name=name, preprocess=PREPROCESS)
    return relax.load_encoder(name)
