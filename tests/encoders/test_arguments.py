"""Items of a spec reach the network's own constructor and the preprocessing, as the library itself builds it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from encoders import EncoderError, load, network_head
from encoders.arguments import as_value, built_with
from encoders.kinds import ITEMS, KINDS
from encoders.parsing import parse_spec
from tests.encoders.conftest import pixels_from
from tests.paths import ROOT


def seeded(build: Any, *arguments: Any, **keywords: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network: nn.Module = build(*arguments, **keywords)
    return network.eval()


def folder_of(path: Path, name: str = "test_vit", **arguments: Any) -> Path:
    """A small model with trained weights, as timm itself keeps one in a folder."""
    network = seeded(timm.create_model, name, **arguments)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.05)
    save_for_hf(network, str(path), model_args=arguments, safe_serialization=True)
    return path


def assert_equal(spec: str, network: nn.Module) -> None:
    encoder = load(spec, device="cpu", seed=4)
    assert encoder.preprocess.size is not None
    assert encoder.channels is not None
    view = pixels_from(1, 2, encoder.channels, *encoder.preprocess.size)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.embed(view), network(encoder.preprocess.normalise(view)), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("items", ["size=64", "img_size=64", "img_size=(64, 64)", "size=64&img_size=64x64"])
def test_a_size_reaches_network_and_preprocessing(items: str) -> None:
    encoder = load(f"random:timm:test_vit?{items}", device="cpu", seed=4)

    assert encoder.preprocess.size == (64, 64)
    assert encoder.network.pos_embed.shape == (1, 1 + 4 * 4, 64)
    assert_equal(f"random:timm:test_vit?{items}", seeded(timm.create_model, "test_vit", num_classes=0, img_size=64))


def test_dinov2_of_timm_can_be_told_224_px() -> None:
    encoder = load("random:timm:vit_small_patch14_dinov2.lvd142m?size=224&depth=1", device="cpu")

    assert encoder.preprocess.size == (224, 224)
    assert encoder.preprocess.resize == 224  # its own crop shows the whole picture
    assert encoder.network.pos_embed.shape == (1, 1 + 16 * 16, 384)
    assert encoder(pixels_from(1, 1, 3, 100, 150)).shape == (1, 384)


def test_positions_of_pretrained_weights_are_resampled_by_timm(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "net")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, img_size=(96, 64)).eval()

    assert_equal(f"timm:local-dir:{folder}?size=96x64", network)


def test_a_convolutional_network_takes_any_size() -> None:
    network = seeded(timm.create_model, "test_resnet", num_classes=0)

    assert_equal("random:timm:test_resnet?size=64", network)
    assert load("random:timm:test_resnet?size=64", device="cpu").preprocess.size == (64, 64)


def test_other_items_are_arguments_of_timms_constructor() -> None:
    arguments = {"num_heads": 4, "patch_size": 8, "act_layer": "relu", "dynamic_img_size": True, "img_size": 64}
    network = seeded(timm.create_model, "test_vit", num_classes=0, **arguments)

    assert_equal("random:timm:test_vit?num_heads=4&patch_size=8&act_layer=relu&dynamic_img_size=true&size=64", network)


def test_items_of_preprocessing_and_pooling_are_of_every_library() -> None:
    items = "size=64&resize=80&mean=0.1,0.2,0.3&std=0.4&interpolation=nearest&pooling=mean"
    for spec in ("random:timm:test_resnet", "random:torchvision:resnet18"):
        encoder = load(f"{spec}?{items}", device="cpu")

        assert (encoder.preprocess.size, encoder.preprocess.resize) == ((64, 64), 80)
        assert (encoder.preprocess.mean, encoder.preprocess.std) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4))
        assert (encoder.preprocess.interpolation, encoder.pooling) == ("nearest", "mean")


def test_a_folder_of_timm_embeds_as_timm_loads_it_with_its_own_pooling_and_preprocessing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "net", global_pool="avg")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    assert network.global_pool == "avg"

    assert_equal(f"timm:local-dir:{folder}", network)
    random = load(f"random:timm:local-dir:{folder}", device="cpu").network.state_dict()["cls_token"]
    assert not torch.equal(random, network.state_dict()["cls_token"])


def test_a_folder_that_is_none_of_timm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        EncoderError, match=r"must be a folder with timm's config.json .* has none: save the model with"
    ):
        load(f"timm:local-dir:{tmp_path}", device="cpu")
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(EncoderError, match=r"must have the architecture .*; a folder of transformers is hf:"):
        load(f"timm:local-dir:{tmp_path}", device="cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EncoderError, match=r"config.json' must be JSON; got .*: save the model again"):
        load(f"timm:local-dir:{tmp_path}", device="cpu")
    folder_of(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"must have its weights beside config.json; there are none"):
        load(f"timm:local-dir:{tmp_path}", device="cpu")


def test_a_folder_whose_weights_are_not_all_there_is_refused(tmp_path: Path) -> None:
    """Without its classifier, timm leaves the others random."""
    folder = folder_of(tmp_path / "net")
    state = load_file(folder / "model.safetensors")
    del state["blocks.1.attn.qkv.weight"]
    save_file(state, folder / "model.safetensors")

    with pytest.raises(EncoderError, match=r"cannot be built: Error\(s\) in loading state_dict"):
        load(f"timm:local-dir:{folder}", device="cpu")


def test_one_channel_of_pretrained_weights_is_timms_sum_of_the_colours(tmp_path: Path) -> None:
    """So a grey picture is embedded as its three equal channels are, but for the statistics of the colours."""
    folder = folder_of(tmp_path / "net")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, in_chans=1).eval()
    spec = f"timm:local-dir:{folder}"
    colour = load(f"{spec}?mean=0.4,0.5,0.6&std=0.25", device="cpu")
    grey = load(f"{spec}?mean=0.5&std=0.25&in_chans=1", device="cpu")
    same = load(f"{spec}?mean=0.5&std=0.25", device="cpu")
    pixels = pixels_from(1, 2, 1, 160, 160)

    assert_equal(f"{spec}?in_chans=1", network)
    assert (grey.channels, same.channels) == (1, 3)
    torch.testing.assert_close(grey(pixels), same(pixels.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)
    assert load(f"{spec}?in_chans=1", device="cpu").mean == pytest.approx((sum((0.5, 0.5, 0.5)) / 3,))
    assert colour.mean == (0.4, 0.5, 0.6)


def test_the_mean_of_one_channel_is_the_average_of_the_colours() -> None:
    encoder = load("random:torchvision:resnet18?in_chans=1", device="cpu", seed=4)
    network = seeded(torchvision.models.resnet18)

    assert encoder.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert encoder.preprocess.std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))
    torch.testing.assert_close(encoder.network.conv1.weight, network.conv1.weight.sum(1, keepdim=True))
    assert encoder(pixels_from(1, 1, 1, 40, 40)).shape == (1, 512)


@pytest.mark.parametrize("spec", ["random:timm:test_vit", "random:torchvision:resnet18"])
def test_four_channels_need_their_mean_and_std(spec: str) -> None:
    with pytest.raises(
        EncoderError, match="mean and std must be 4 numbers, one for each channel of this network; got 3"
    ):
        load(f"{spec}?in_chans=4", device="cpu")

    encoder = load(f"{spec}?in_chans=4&mean=0.1,0.2,0.3,0.4&std=0.5", device="cpu")

    assert encoder.preprocess.std == (0.5,) * 4
    assert len(encoder(pixels_from(1, 1, 4, 50, 50))[0]) > 0


def test_a_vision_transformer_of_torchvision_is_built_for_the_size() -> None:
    network = seeded(torchvision.models.vit_b_32, image_size=64)
    network.heads = nn.Identity()

    assert_equal("random:torchvision:vit_b_32?size=64", network)


def test_positions_of_pretrained_weights_are_resampled_by_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a download: the weights are drawn here."""
    state = seeded(torchvision.models.vit_b_32).state_dict()
    weights = torchvision.models.ViT_B_32_Weights.DEFAULT
    monkeypatch.setattr(type(weights), "get_state_dict", lambda self, *_, **__: dict(state))
    network = torchvision.models.vit_b_32(image_size=64).eval()
    network.load_state_dict(interpolate_embeddings(64, 32, OrderedDict(state)))
    network.heads = nn.Identity()

    assert_equal("torchvision:vit_b_32?size=64", network)


def test_a_classifier_is_built_with_the_same_arguments() -> None:
    network = seeded(timm.create_model, "test_vit", num_heads=4, img_size=64, in_chans=1)

    encoder, head = network_head("random:timm:test_vit?num_heads=4&size=64&in_chans=1", device="cpu", seed=4)

    view = pixels_from(1, 2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(head.logits(encoder.embed(view)), network(encoder.preprocess.normalise(view)))
    assert encoder.channels == 1


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            "num_haeds=4",
            "has the item 'num_haeds'; known are size, .* of the network's constructor: did you mean num_heads",
        ),
        ("num_heads=5", "cannot be built with num_heads=5"),
        (
            "act_layer=gelux",
            r"cannot be built with act_layer='gelux' \(KeyError 'gelux'\): give another value, or leave it out",
        ),
        ("size=0", "size and resize must be pixels, as in size=96 or size=96x128; got '0'"),
        ("checkpoint_path=x.pth", "has the item 'checkpoint_path'"),
        ("num_classes=3", "has the item 'num_classes'"),
        ("size=64&img_size=32", r"size and img_size must be the same; got \(64, 64\) and \(32, 32\): keep one"),
        ("output_stride=8", "has the item 'output_stride'.*: this network does not take it"),
        ("in_chans=x", "in_chans must be a number of channels, at least 1; got 'x'"),
        ("in_chans=0", "in_chans must be a number of channels, at least 1; got 0"),
        (
            "size=65",
            "size must be a multiple of the patch, 16 x 16 px, for 'random:timm:test_vit.size=65'; got 65 x 65",
        ),
        ("size=64&zzz=1", "has the item 'zzz'.*: leave it out"),
    ],
)
def test_what_a_network_does_not_take_is_refused(items: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load(f"random:timm:test_vit?{items}", device="cpu")

    assert "\n" not in str(caught.value)


def test_pretrained_weights_do_not_change_what_is_said_of_a_value(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be built with act_layer='gelux'"):
        load(f"timm:local-dir:{folder_of(tmp_path)}?act_layer=gelux", device="cpu")


class Swallows(nn.Module):
    """Takes any keyword, as several constructors of timm, and leaves it."""

    def __init__(self, width: int = 3, **others: object) -> None:
        super().__init__()
        self.width = width


def test_what_a_constructor_would_swallow_is_refused() -> None:
    spec = parse_spec("random:timm:test_vit?width=4&zzz=1")

    assert built_with(spec, Swallows, {"width": 4}).width == 4
    with pytest.raises(EncoderError, match="has the item 'zzz'"):
        built_with(spec, Swallows, {"width": 4, "zzz": 1})


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("depth=8", r"has no weights for blocks.6.attn.proj.bias, .* under these arguments: leave them out"),
        ("depth=1", r"leaves out blocks.1.attn.proj.bias"),
        ("reg_tokens=2", "has no weights for reg_token "),
        ("global_pool=avg", "has no weights for fc_norm.bias, fc_norm.weight"),
        ("patch_size=8", "has weights of patch 16, the network 8: leave patch_size out"),
    ],
)
def test_pretrained_weights_do_not_become_random_in_silence(items: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=message):
        load(f"timm:local-dir:{folder_of(tmp_path / 'net')}?{items}", device="cpu")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-5", 1e-5),
        ("true", True),
        ("None", None),
        ("(1, 2)", (1, 2)),
        ("gelu", "gelu"),
        ("__import__('os')",) * 2,
    ],
)
def test_a_value_is_a_literal_and_never_run(text: str, value: object) -> None:
    assert as_value(text) == value


def test_every_item_is_explained_and_named_in_the_readme() -> None:
    """`relax encoders` prints the explanations."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {item for kind in KINDS for item in kind.items} <= ITEMS.keys()
    assert [item for item in ITEMS if f"`{item}`" not in text] == []


def test_every_architecture_that_a_file_may_name_takes_its_items(tmp_path: Path) -> None:
    state: dict[str, Tensor] = load("random:default", device="cpu").network.state_dict()
    torch.save(state, tmp_path / "run.pth")

    encoder = load(f"file:{tmp_path / 'run.pth'}?arch=default&output_stride=16", device="cpu")

    assert encoder.network.forward_features(torch.zeros(1, 3, 64, 64)).shape[-1] == 4
    with pytest.raises(EncoderError, match=r"has the item 'num_heads'.*: this network does not take it"):
        load(f"file:{tmp_path / 'run.pth'}?arch=default&num_heads=3", device="cpu")
