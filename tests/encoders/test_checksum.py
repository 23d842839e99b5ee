"""The checksum identifies a network by its weights, or without weights by its layers, or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from encoders import load
from encoders.checksum import network_checksum, state_checksum
from encoders.kinds import BUNDLED_CARD


class MeanColour(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean((2, 3))


class Fixed(nn.Module):
    """A projection whose weights are a buffer, saved with the network or not."""

    def __init__(self, seed: int = 0, *, scale: float = 1, saved: bool = True) -> None:
        super().__init__()
        self.scale = scale
        weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("weight", weight, persistent=saved)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean((2, 3)) @ self.weight * self.scale


class FixedMaximum(Fixed):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.amax((2, 3)) @ self.weight


class Wrapped(nn.Module):
    """Keeps another network where torch does not see it."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = [function]
        self.register_buffer("mean", torch.zeros(3))


def scaled(factor: float) -> nn.Module:
    """The factor stands neither in the source of the class nor in its objects."""

    class Scaled(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return factor * pixels.mean((2, 3))

    return Scaled()


def pooled(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten())


BRIGHTEST = """
from torch import nn

class Brightest(nn.Module):
    def forward(self, pixels):
        return pixels.amax((2, 3))
"""


WITHOUT_PARAMETERS = {
    "mean": lambda: pooled(nn.AdaptiveAvgPool2d(1)),
    "mean of quarters": lambda: pooled(nn.AdaptiveAvgPool2d(2)),
    "maximum": lambda: pooled(nn.AdaptiveMaxPool2d(1)),
    "mean, then ReLU": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU()),
    "other order": lambda: nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool2d(1)),
    "identity": nn.Identity,
    "norm, mean": lambda: nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.AdaptiveAvgPool2d(1)),
    "norm, maximum": lambda: nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.AdaptiveMaxPool2d(1)),
    "norm, another epsilon, mean": lambda: nn.Sequential(
        nn.BatchNorm2d(3, eps=0.1, affine=False), nn.AdaptiveAvgPool2d(1)
    ),
    "fixed": Fixed,
    "fixed, another seed": lambda: Fixed(1),
    "fixed, another scale": lambda: Fixed(scale=2),
    "fixed, not saved": lambda: Fixed(2, saved=False),
    "fixed, not saved, another seed": lambda: Fixed(3, saved=False),
    "fixed, maximum": FixedMaximum,
    "own class": MeanColour,
    "own class in torch's": lambda: pooled(MeanColour()),
}


def test_the_checksum_is_the_hash_of_names_types_shapes_and_bytes() -> None:
    state = {"b": torch.tensor([1.5, -2.0]), "a": torch.tensor(7)}
    text = b"a torch.int64 ()\n" + struct.pack("<q", 7) + b"b torch.float32 (2,)\n" + struct.pack("<2f", 1.5, -2.0)

    assert state_checksum(state) == hashlib.sha256(text).hexdigest()


def test_a_network_with_parameters_has_the_checksum_of_its_state_whatever_else_it_has() -> None:
    """Model cards and results name such checksums."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), MeanColour())

    assert network_checksum(network) == state_checksum(network.state_dict())


def test_the_bundled_encoder_has_the_checksum_of_its_card() -> None:
    card = json.loads(BUNDLED_CARD.read_text(encoding="utf-8"))

    assert load("default", device="cpu").checksum == card["checksum"]


def test_networks_without_parameters_do_not_share_a_checksum() -> None:
    checksums = {name: load(build(), device="cpu").checksum for name, build in WITHOUT_PARAMETERS.items()}

    assert None not in checksums.values()
    assert len(set(checksums.values())) == len(checksums), checksums
    assert hashlib.sha256().hexdigest() not in checksums.values()


@pytest.mark.parametrize("name", WITHOUT_PARAMETERS)
def test_the_same_network_without_parameters_has_the_same_checksum(name: str) -> None:
    network = WITHOUT_PARAMETERS[name]()
    checksum = network_checksum(network)

    assert network_checksum(WITHOUT_PARAMETERS[name]()) == checksum
    assert network_checksum(copy.deepcopy(network).eval()) == checksum
    assert load(network, device="cpu", pooling="mean").checksum == checksum


@pytest.mark.parametrize(("change", "differs"), [("amax", False), ("amin", True)])
def test_a_class_that_was_edited_is_another_network(
    change: str, differs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksums = []
    for version in ("amax", change):
        path = tmp_path / version / "brightest.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(BRIGHTEST.replace("amax", version))
        monkeypatch.syspath_prepend(path.parent)
        monkeypatch.delitem(sys.modules, "brightest", raising=False)
        checksums.append(network_checksum(import_module("brightest").Brightest()))

    assert None not in checksums
    assert (checksums[0] != checksums[1]) == differs


@pytest.mark.parametrize(
    "network",
    [
        pooled(type("Assembled", (MeanColour,), {})()),
        scaled(2.0),
        Wrapped(torch.sin),
        Wrapped(nn.Linear(3, 2)),
        MeanColour().forward,
        torch.sin,
        "default",
    ],
    ids=[
        "class without source",
        "class made in a function",
        "keeps a function",
        "keeps a network",
        "method",
        "function",
        "text",
    ],
)
def test_what_nothing_identifies_has_no_checksum(network: object) -> None:
    assert network_checksum(network) is None
