"""The bundled encoder: its network, weights and preprocessing, as its card says.

With its weights, the network stands here in plain torch: timm's `resnet18d` at half width, bit for bit and with timm's
names of layers, since importing timm takes longer than a map. With random weights, timm itself builds it, which has
further arguments.

Source: Bag of Tricks for Image Classification with Convolutional Neural Networks (He et al., CVPR 2019), ResNet-D:
three small convolutions in place of a large one, and average pooling where a shortcut gets smaller.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from encoders.arguments import arguments_of, built_with, channels_of
from encoders.choices import check_class_token
from encoders.contract import Built
from encoders.errors import EncoderError
from encoders.kinds import BUNDLED, BUNDLED_CARD
from encoders.parsing import Spec
from encoders.preprocess import Preprocess


def build_default(spec: Spec) -> Built:
    """The bundled encoder, or its network with random weights."""
    arguments = arguments_of(spec)
    network = built_with(spec, partial(bundled_network, pretrained=spec.pretrained), arguments)
    return Built(network, bundled_preprocess(), pool=_pool, channels=channels_of(arguments) or 3)


def bundled_network(*, pretrained: bool, **arguments: Any) -> nn.Module:
    """The network, trained; or with random weights, which may have other arguments than its card names."""
    card = bundled_card()
    if not pretrained:
        import timm

        network: nn.Module = timm.create_model(card["arch"], num_classes=0, **{**card["arch_args"], **arguments})
        return network
    if not BUNDLED.exists():
        raise EncoderError(
            f"encoder 'default' needs {BUNDLED.name} beside {BUNDLED_CARD.name} and it is not there: "
            "install the package again, or name another encoder"
        )
    network = ResNet18D(**card["arch_args"])
    network.load_state_dict(load_file(BUNDLED))
    return network


def bundled_preprocess() -> Preprocess:
    """The whole image squeezed to a small square, so that its maps cover the full frame."""
    card = bundled_card()
    return Preprocess(
        size=(card["input_size"], card["input_size"]),
        mean=tuple(card["mean"]),
        std=tuple(card["std"]),
        interpolation=card["interpolation"],
    )


def bundled_card() -> dict[str, Any]:
    """What is known of the weights: architecture, preprocessing, and how they were trained."""
    card: dict[str, Any] = json.loads(BUNDLED_CARD.read_bytes())
    return card


class ResNet18D(nn.Module):
    """Pixels (B, 3, h, w) to vectors (B, channels[-1]).

    Args:
        channels: Of the four stages.
        stem_width: Channels of the first two convolutions.
    """

    def __init__(self, channels: Sequence[int], stem_width: int) -> None:
        super().__init__()
        first = channels[0]
        self.conv1 = nn.Sequential(
            *(_convolution(3, stem_width, stride=2), nn.BatchNorm2d(stem_width), nn.ReLU(inplace=True)),
            *(_convolution(stem_width, stem_width), nn.BatchNorm2d(stem_width), nn.ReLU(inplace=True)),
            _convolution(stem_width, first),
        )
        self.bn1, self.act1 = nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = (first, *channels)
        stages = [_stage(inputs[number], outputs, 1 if number == 0 else 2) for number, outputs in enumerate(channels)]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.global_pool = AveragePool()

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels, normalised, to vectors."""
        maps = self.maxpool(self.act1(self.bn1(self.conv1(pixels))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
        vectors: Tensor = self.global_pool(maps)
        return vectors


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut, which is pooled and mixed where the block halves its maps."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = _convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.act2 = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, D, h, w) to maps of the next width."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        maps = self.act1(self.bn1(self.conv1(maps)))
        maps = self.bn2(self.conv2(maps))
        maps += shortcut
        output: Tensor = self.act2(maps)
        return output


class AveragePool(nn.Module):
    """Maps (B, D, h, w) to their means (B, D); `pool_type` says so in timm's words."""

    pool_type = "avg"

    def forward(self, maps: Tensor) -> Tensor:
        """The means over h and w."""
        return nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _pool(network: nn.Module, pooling: str, name: str) -> None:
    """Refuse "cls"; "mean" is what it does anyway, unless the arguments of a random one ask for something else."""
    if pooling == "cls":
        check_class_token(None, name)
    if pooling == "mean" and not isinstance(network, ResNet18D):
        network.reset_classifier(0, global_pool="avg")  # type: ignore[operator]
