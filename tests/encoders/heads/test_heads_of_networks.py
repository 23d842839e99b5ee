"""A network that is taken apart into encoder and head is the network still; what cannot be taken apart is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from encoders import EncoderError, Preprocess, load, network_head


def pixels(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit", "timm:mobilenetv3_small_050"])
def test_random_networks_are_those_that_the_library_draws(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        whole = timm.create_model(name.removeprefix("timm:")).eval()

    encoder, head = network_head(f"random:{name}", device="cpu", seed=4)

    view = pixels(2, 3, *encoder.preprocess.size)
    with torch.no_grad():
        torch.testing.assert_close(head.logits(encoder.embed(view)), whole(encoder.preprocess.normalise(view)))
    assert head.kind == "network"
    assert head.classes == tuple(str(number) for number in range(1000))
    head.check(encoder)


def test_the_encoder_equals_that_of_load() -> None:
    encoder, head = network_head("random:torchvision:mobilenet_v3_small", device="cpu", seed=2)
    loaded = load("random:torchvision:mobilenet_v3_small", device="cpu", seed=2)

    head.check(loaded)
    assert encoder.checksum == loaded.checksum == head.encoder["checksum"]
    assert (encoder.name, encoder.preprocess, encoder.channels) == (loaded.name, loaded.preprocess, 3)


@pytest.mark.parametrize("library", ["torchvision:mobilenet_v3_small", "timm:test_resnet"])
def test_a_checkpoint_gives_its_own_classifier(library: str, tmp_path: Path) -> None:
    """Seven classes of its own, saved from a DataParallel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        name = library.partition(":")[2]
        whole = (
            timm.create_model(name, num_classes=7)
            if library.startswith("timm")
            else torchvision.models.get_model(name, num_classes=7)
        ).eval()
    path = tmp_path / "run.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in whole.state_dict().items()}}, path)
    spec = f"file:{path}?arch={library.removeprefix('timm:')}"

    encoder, head = network_head(spec, classes=list("abcdefg"), device="cpu")

    view = pixels(2, 3, *encoder.preprocess.size)
    with torch.no_grad():
        torch.testing.assert_close(head.logits(encoder.embed(view)), whole(encoder.preprocess.normalise(view)))
    assert head.classes == tuple("abcdefg")
    head.check(load(spec, device="cpu"))


def test_pretrained_networks_bring_the_names_of_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a download: the library builds the same network with random weights."""
    of_torchvision, of_timm = torchvision.models.get_model, timm.create_model
    monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: of_torchvision(name, weights=None))
    monkeypatch.setattr("timm.create_model", lambda name, pretrained, **other: of_timm(name, pretrained=False, **other))

    _, of_weights = network_head("torchvision:mobilenet_v3_small", device="cpu")
    _, of_list = network_head("timm:test_resnet.r160_in1k", device="cpu")

    assert of_weights.class_index("golden retriever") == 207
    assert of_list.class_index("golden retriever") == 207


class OneByOne(nn.Module):
    """Class scores by a 1 x 1 convolution, averaged; with an activation behind it, no linear function any more."""

    def __init__(self, behind: nn.Module) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 5, 3)
        self.behind = behind
        self.scores = nn.Conv2d(5, 2, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.behind(self.scores(self.body(pixels).relu())).mean((2, 3))


def drawn(make: type[nn.Module], *arguments: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*arguments)


def test_a_module_is_copied_and_its_last_convolution_is_a_head() -> None:
    network = drawn(OneByOne, nn.Identity())
    before = {name: value.clone() for name, value in network.state_dict().items()}

    encoder, head = network_head(
        network, classes=("no", "yes"), preprocess=Preprocess(size=(9, 9), mean=(0.5,), std=(0.2,)), device="cpu"
    )

    view = pixels(3, 1, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(head.logits(encoder.embed(view)), network((view - 0.5) / 0.2))
    assert head.dim == 5
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_network_of_its_own_is_named_as_such() -> None:
    encoder, head = network_head(drawn(OneByOne, nn.Identity()), device="cpu")

    assert encoder.name == head.encoder_name == "OneByOne"
    assert head.classes == ("0", "1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (drawn(OneByOne, nn.ReLU()), "encoder 'OneByOne' must end in one linear layer; 'scores' is the last, but"),
        ("random:torchvision:squeezenet1_1", "must end in one linear layer; 'classifier.1' is the last, but"),
        ("random:timm:deit_tiny_distilled_patch16_224", "must end in one linear layer; 'head_dist' is the last, but"),
        (nn.Conv2d(3, 2, 3), r"must end in a linear layer or a 1 x 1 convolution; got Conv2d"),
        (nn.Sequential(nn.ReLU()), r"must end in a linear layer .* got NoneType"),
        ("default", "network_head needs timm:NAME, .*; got 'default', which has no classifier .*relax head train"),
        ("hub:a:b", "network_head needs"),
        ("random:default", "network_head needs"),
        ("random:timm:resnet5o", "is not known"),
        ("random:timm:vit_small_patch14_dinov2", "was trained without a classifier: train a head"),
    ],
)
def test_what_has_no_linear_head_is_refused_in_one_line(spec: str | nn.Module, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        network_head(spec, device="cpu")

    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_classifier_wrong_names_and_spare_arguments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), path)

    with pytest.raises(EncoderError, match=r"run.pth' must hold its classifier as 'head.weight'; it does not: train"):
        network_head(f"file:{path}?arch=test_vit", device="cpu")
    with pytest.raises(EncoderError, match="classes must be 1000 names for 'random:timm:test_vit'; got 2"):
        network_head("random:timm:test_vit", classes=("a", "b"), device="cpu")
    with pytest.raises(EncoderError, match="preprocess is for modules; 'random:timm:test_vit' brings its own"):
        network_head("random:timm:test_vit", preprocess=Preprocess(), device="cpu")
