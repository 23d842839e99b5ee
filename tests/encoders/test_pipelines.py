"""A photograph is embedded as the library's own pipeline embeds it: its transform of a PIL image, and its network.

Random weights are enough: whatever the pixels are, both networks are the same. PIL rounds to 8 bits after resizing, and
that is all that may differ. Untrained networks embed all photographs alike, so the difference must also be small beside
that to the photograph without its border, which a mistake in crop or size would come to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
import timm
import torch
import torchvision
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import save_for_hf
from torch import Tensor, nn

import relax
from encoders import load

PHOTO = Image.fromarray(skimage.data.chelsea())  # 451 x 300 px
Pipeline = tuple[nn.Module, Callable[[Image.Image], Tensor]]


def of_timm(name: str, **arguments: object) -> Pipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = timm.create_model(name, num_classes=0, **arguments)
    config = resolve_data_config({}, model=network)
    if "img_size" in arguments:
        config["input_size"] = (3, arguments["img_size"], arguments["img_size"])
    return network, create_transform(**config)


def of_torchvision(name: str, head: str, **arguments: object) -> Pipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = torchvision.models.get_model(name, **arguments)
    network.set_submodule(head, nn.Identity())
    return network, torchvision.models.get_model_weights(name).DEFAULT.transforms()


def assert_same(spec: str, pipeline: Pipeline) -> None:
    network, transform = pipeline
    encoder = load(spec, device="cpu", seed=3)
    with torch.no_grad():
        expected, changed = (
            network.eval()(torch.stack([transform(image)])) for image in (PHOTO, PHOTO.crop((40, 30, 411, 270)))
        )
    embedding = encoder(relax.read_image(PHOTO))

    assert float(torch.cosine_similarity(embedding, expected)) >= 0.9999
    assert float((embedding - expected).norm()) < 0.05 * float((changed - expected).norm())


@pytest.mark.parametrize(
    "name", ["test_vit", "test_resnet", "resnet18d", "test_convnext", "test_efficientnet", "vit_tiny_patch16_224"]
)
def test_timm(name: str) -> None:
    assert_same(f"random:timm:{name}", of_timm(name))


def test_timm_at_another_size() -> None:
    assert_same("random:timm:vit_tiny_patch16_224?size=96", of_timm("vit_tiny_patch16_224", img_size=96))


def test_a_folder_of_timm(tmp_path: Path) -> None:
    network, transform = of_timm("test_resnet")
    save_for_hf(network, str(tmp_path), safe_serialization=True)

    assert_same(f"timm:local-dir:{tmp_path}", (network, transform))


def test_a_checkpoint_of_a_timm_network(tmp_path: Path) -> None:
    network, transform = of_timm("test_vit")
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "a.pth"
    )

    assert_same(f"file:{tmp_path / 'a.pth'}?arch=test_vit", (network, transform))


@pytest.mark.parametrize(
    ("name", "head"),
    [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3"), ("swin_t", "head"), ("vit_b_32", "heads.head")],
)
def test_torchvision(name: str, head: str) -> None:
    assert_same(f"random:torchvision:{name}", of_torchvision(name, head))


def test_torchvision_with_further_arguments() -> None:
    assert_same(
        "random:torchvision:resnet18?width_per_group=64&zero_init_residual=true",
        of_torchvision("resnet18", "fc", zero_init_residual=True),
    )
