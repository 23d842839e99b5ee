"""Encoders that the experiments call by a name, besides all specs."""

from __future__ import annotations

from pathlib import Path

import torch

import relax
from encoders import Encoder

NAMES = (
    "a spec; sscd (with layers and gradients) and efficientnet-lite0, see experiments.recipes.published; vit (after "
    "train_vit); resnet50-thin, salience or salience-112 (after pretrained); cifar-resnet20"
)

PUBLISHED = ("sscd", "efficientnet-lite0", "salience-112")


def encoder_of_study(name: str, trained: Path) -> Encoder:
    """One of `PUBLISHED`, or of those that `experiments.recipes.train_kvasir` left in the folder `trained`."""
    from experiments.recipes.train_kvasir import kvasir_encoder

    return encoder_named(name) if name in PUBLISHED else kvasir_encoder(name, trained)


def encoder_named(name: str, data: Path | None = None) -> Encoder:
    """One of `NAMES`, on the CPU unless it is a spec; cifar-resnet20 needs the data folder."""
    if name == "vit":
        from experiments.recipes.train_vit import vit_encoder

        return vit_encoder()
    if name == "sscd":
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
