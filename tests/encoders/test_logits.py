"""A classifier given as an encoder is told about, and both ways out that the warning names work; nothing else is."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification

from encoders import EncoderWarning, load
from encoders.heads.networks import network_head


def seeded(make: object, *arguments: object, **keywords: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*arguments, **keywords).eval()


def sequential() -> nn.Module:
    """Normalisation in front of a network, as it is often handed on."""
    return nn.Sequential(nn.BatchNorm2d(3), seeded(timm.create_model, "test_resnet"))


class LikeAlexNet(nn.Module):
    """Its classifier has several linear layers of one width."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 10))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classifier(self.features(pixels))


class LikeMonai(nn.Module):
    """Its classifier is called as in one of monai's networks."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.name, _, inner = place.partition(".")
        last = nn.Linear(8, 5)
        self.add_module(self.name, nn.Sequential(OrderedDict({inner: last})) if inner else last)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.get_submodule(self.name)(self.features(pixels))


def averaged(features: Tensor) -> Tensor:
    return features.mean((2, 3)) if features.ndim == 4 else features


def huggingface() -> nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return seeded(ViTForImageClassification, ViTConfig(image_size=32, patch_size=8, num_labels=7, **sizes))


CLASSIFIERS = {
    "torchvision resnet": (lambda: seeded(torchvision.models.resnet18), "fc", 1000, 64),
    "as alexnet": (lambda: seeded(LikeAlexNet), "classifier.2", 10, 32),
    "torchvision vit": (
        lambda: seeded(
            torchvision.models.VisionTransformer,
            image_size=32, patch_size=16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16, num_classes=5,
        ),
        "heads.head",
        5,
        32,
    ),
    "timm cnn": (lambda: seeded(timm.create_model, "test_resnet"), "fc", 1000, 160),
    "timm vit": (lambda: seeded(timm.create_model, "test_vit"), "head", 1000, 160),
    "timm convnext": (lambda: seeded(timm.create_model, "test_convnext", num_classes=10), "head.fc", 10, 160),
    "inside another module": (sequential, "1.fc", 1000, 160),
    "torchvision squeezenet": (lambda: seeded(torchvision.models.squeezenet1_1), "classifier.1", 1000, 64),
    "monai's DenseNet121": (lambda: seeded(LikeMonai, "class_layers.out"), "class_layers.out", 5, 32),
    "monai's SEResNet50": (lambda: seeded(LikeMonai, "last_linear"), "last_linear", 5, 32),
    "monai's EfficientNetBN": (lambda: seeded(LikeMonai, "_fc"), "_fc", 5, 32),
    "transformers": (huggingface, "classifier", 7, 32),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_told_about_and_the_advice_gives_what_its_last_layer_sees(name: str) -> None:
    build, place, width, side = CLASSIFIERS[name]
    network = build().eval()
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    handle = network.get_submodule(place).register_forward_hook(
        lambda _, given, answer: seen.extend((*given, answer.clone()))
    )
    with torch.no_grad():
        network(pixels)
    handle.remove()

    with pytest.warns(EncoderWarning, match=f"the {width} numbers of its last layer '{place}'") as caught:
        load(network, size=side, device="cpu")
    assert [Path(warning.filename).name for warning in caught] == ["test_logits.py"]
    advice = re.search(r"which (module\..*?\)\)) lets through", str(caught[0].message)).group(1)
    exec(advice, {"module": network, "torch": torch})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedding = load(network, size=side, device="cpu")(pixels)
        kept = load(build(), size=side, output=place, device="cpu")(pixels)
    torch.testing.assert_close(embedding, averaged(seen[0]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(kept, averaged(seen[1]), rtol=1e-3, atol=1e-4)


class FeaturesOnly(nn.Module):
    """Holds a classifier and does not use it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = seeded(timm.create_model, "test_resnet")

    def forward(self, pixels: Tensor) -> Tensor:
        return self.backbone.forward_features(pixels).mean((2, 3))


def with_fc(*widths: int) -> nn.Module:
    """Linear layers of these widths in the place of fc."""
    network = seeded(timm.create_model, "test_resnet")
    pairs = zip((network.num_features, *widths), widths, strict=False)
    layers = [layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())][:-1]
    network.fc = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    return network


EMBEDDERS = {
    "bare": lambda: timm.create_model("test_resnet", num_classes=0),
    "a classifier that is not used": FeaturesOnly,
    "several layers in place of fc": lambda: with_fc(64, 32),
    "a projection of another name": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ),
    "no linear layer": lambda: nn.Sequential(nn.Conv2d(3, 8, 3)),
}


@pytest.mark.parametrize("name", EMBEDDERS)
def test_what_is_no_classifier_is_not_told_about(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = load(EMBEDDERS[name](), device="cpu")
    assert len(encoder(torch.zeros(2, 3, 160, 160))) == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_splitting_a_classifier_into_encoder_and_head_warns_of_nothing_and_keeps_the_channels(channels: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder, head = network_head(seeded(timm.create_model, "test_resnet", in_chans=channels), device="cpu")

    assert encoder.channels == channels
    assert head.logits(encoder(torch.zeros(1, channels, 160, 160))).shape == (1, 1000)


class Drawing(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        torch.rand(1)
        return pixels


def test_the_check_draws_nothing_and_leaves_no_hook() -> None:
    network = nn.Sequential(Drawing(), with_fc(5)).train()
    before = torch.get_rng_state()

    with pytest.warns(EncoderWarning):
        encoder = load(network, device="cpu")

    assert torch.equal(torch.get_rng_state(), before)
    assert encoder.form is not None
    assert network.training


def test_an_entry_of_torch_hub_is_told_about_too(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(
        "import timm, torch\ndef net():\n    torch.manual_seed(0)\n    return timm.create_model('test_resnet')\n"
    )

    with pytest.warns(EncoderWarning, match="encoder 'hub:.*:net' returns the 1000 numbers of its last layer 'fc'"):
        load(f"hub:{tmp_path}:net", device="cpu")
