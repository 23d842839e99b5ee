"""A spec is understood or refused in one line with the way out; nothing continues with another network."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from encoders import EncoderError, load
from encoders.kinds import BUNDLED


@pytest.mark.skipif(not BUNDLED.exists(), reason="encoders/default.safetensors is not there yet")
def test_the_default_encoder_is_the_bundled_file_on_the_whole_image_at_96_px() -> None:
    network = timm.create_model("resnet18d", num_classes=0, channels=(32, 64, 128, 256), stem_width=16).eval()
    network.load_state_dict(load_file(BUNDLED))
    pixels = torch.rand(2, 3, 90, 130, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    small = nn.functional.interpolate(pixels, (96, 96), mode="bilinear", antialias=True)

    encoder = load("default", device="cpu")

    with torch.no_grad():
        torch.testing.assert_close(encoder(pixels), network((small - mean) / std))
    assert encoder.seen(90, 130) == (0, 0, 90, 130)
    assert BUNDLED.stat().st_size <= 12e6


def test_the_default_encoder_without_its_weights_is_refused_and_never_random(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("encoders.bundled.BUNDLED", tmp_path / "default.safetensors")

    with pytest.raises(
        EncoderError, match=r"encoder 'default' needs default.safetensors .*: install the package again"
    ):
        load("default")


def test_the_random_default_has_the_bundled_networks_shape() -> None:
    encoder = load("random:default", device="cpu")

    assert encoder(torch.zeros(1, 3, 10, 10)).shape == (1, 256)
    assert encoder.preprocess.size == (96, 96)
    assert encoder.mean == (0.485, 0.456, 0.406)


def test_random_weights_are_those_that_the_library_draws_from_the_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = timm.create_model("test_vit", num_classes=0).state_dict()

    state = load("random:timm:test_vit", device="cpu", seed=7).network.state_dict()

    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),  # fc
        ("alexnet", 4096),  # classifier: the last of three linear layers
        ("squeezenet1_1", 512),  # classifier is a 1 x 1 convolution
        ("mobilenet_v3_small", 1024),
        ("swin_t", 768),  # head
    ],
)
def test_torchvision_networks_lose_their_last_layer_and_keep_the_rest(name: str, width: int) -> None:
    encoder = load(f"random:torchvision:{name}", device="cpu")

    embedding = encoder.embed(torch.zeros(1, 3, *encoder.preprocess.size))

    assert embedding.shape == (1, width)


def test_weights_that_cannot_be_fetched_are_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(
        EncoderError,
        match=r"encoder 'timm:tf_mobilenetv3_small_minimal_100' needs weights that are not on this machine and "
        r"could not be fetched \(.*\): connect once, or use encoder 'default' or file:PATH\?arch=NAME",
    ) as caught:
        load("timm:tf_mobilenetv3_small_minimal_100")

    assert "\n" not in str(caught.value)


def test_torchvision_weights_that_cannot_be_fetched_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy that nobody answers at is as good as no network."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(
        EncoderError, match=r"encoder 'torchvision:mnasnet0_5' needs weights .*\(URLError: .*\): connect once"
    ):
        load("torchvision:mnasnet0_5")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "encoder must be one of default, timm:NAME, .*; got ''"),
        ("resnet50", "encoder must be one of default, timm:NAME, .*; got 'resnet50'"),
        ("default:x", "encoder must be one of"),
        ("random:", "encoder must be one of"),
        ("random:hub:a:b", "encoder must be one of"),
        ("random:file:a.pth?arch=resnet18", "encoder must be one of"),
        ("timm:", "encoder must be one of"),
        ("timm:resnet5o", "encoder 'timm:resnet5o' is not known: did you mean resnet50"),
        ("timm:resnet18.dino", "encoder 'timm:resnet18.dino' is not known: did you mean resnet18"),
        ("timm:qqqqqqqq", "is not known: relax encoders PATTERN lists the names"),
        ("timm:resnet18d_nothing", "is not known"),
        ("torchvision:resnet19", "encoder 'torchvision:resnet19' is not known: did you mean resnet1"),
        ("torchvision:fasterrcnn_resnet50_fpn", "is not known"),
        ("hub:dino", "encoder must be hub:REPO:NAME, as .*; got hub:dino"),
        ("file:run.pth", r"encoder 'file:run.pth' needs the network's name: file:run.pth\?arch=resnet50"),
        (
            "file:run.pth?arch=test_vit&crop=3",
            "has the item 'crop'; known are arch, part, .*size, resize, mean.*: leave it out",
        ),
        ("file:run.pth?arch=nonet", "encoder 'timm:nonet' is not known"),
        (
            "file:run.pth?arch=test_vit&size=big",
            "size and resize must be pixels, as in size=96 or size=96x128; got 'big'",
        ),
        ("file:run.pth?arch=test_vit&pooling=max", "pooling must be one of auto, cls, mean; got 'max'"),
        ("file:no.pth?arch=test_vit", "checkpoint must be a file; got 'no.pth'"),
        (nn.Linear, "got the class Linear, not an object of it"),
        (3, "encoder must be a spec .* a module, a function or an Encoder; got int"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(spec: object, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load(spec)

    assert "\n" not in str(caught.value)


def test_a_network_without_weights_in_timm_is_refused_and_the_ways_out_are_named() -> None:
    name = next(name for name in timm.list_models() if not timm.list_pretrained(f"{name}*"))

    with pytest.raises(
        EncoderError, match=f"has no pretrained weights in timm: .*file:PATH.arch={name}, .*random:timm:{name}"
    ):
        load(f"timm:{name}")


def test_the_items_of_a_file_spec_change_its_preprocessing_and_pooling(tmp_path: Path) -> None:
    path = tmp_path / "a file with spaces.pth"
    torch.save(timm.create_model("test_vit", num_classes=0, img_size=(96, 64)).state_dict(), path)

    items = "size=96x64&resize=100x80&mean=0.1,0.2,0.3&std=0.4,0.5,0.6&interpolation=bilinear&pooling=mean"
    encoder = load(f"file:{path}?arch=test_vit&{items}", device="cpu")

    assert encoder.preprocess.size == (96, 64)
    assert encoder.preprocess.resize == (100, 80)
    assert encoder.preprocess.mean == (0.1, 0.2, 0.3)
    assert encoder.preprocess.std == (0.4, 0.5, 0.6)
    assert encoder.preprocess.interpolation == "bilinear"
    assert encoder.pooling == "mean"
    assert encoder.network.global_pool == "avg"
    assert load(f"file:{path}?arch=test_vit&{items}", device="cpu", pooling="cls").network.global_pool == "token"


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "a.pth")

    with pytest.raises(EncoderError, match=r"mean must be numbers with commas, as in mean=0.5,0.5,0.5; got 'grey'"):
        load(f"file:{tmp_path / 'a.pth'}?arch=test_vit&mean=grey&std=1")
