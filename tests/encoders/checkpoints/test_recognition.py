"""A checkpoint is read into the network that it was trained as, where it gives that away, and into no other one.

Each true network is built and run by its library, its weights are written under the names of the authors' code, and
read by a spec that names the usual network only. Where a wrong network would be close, the test shows that it is not.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from lightly.models import ResNetGenerator
from torch import Tensor, nn

from encoders import Encoder, EncoderError, EncoderWarning, load
from tests.encoders.conftest import pixels_from

SMALL = "vit_small_patch16_224&depth=2&size=64"  # ViT-S, but for its depth and size
USUAL = {"depth": 2, "img_size": 64, "num_classes": 0}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trained(network: nn.Module) -> nn.Module:
    """With weights as large as after training, so that heads, positions and norms all matter."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.1 if "var" in name else torch.randn_like(value) * 0.05)
    return network.eval()


def small(**arguments: Any) -> nn.Module:
    return trained(timm.create_model("vit_small_patch16_224", **{**USUAL, **arguments}))


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in network.state_dict().items()}


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "run.pth")
    return folder / "run.pth"


def embedded(encoder: Encoder, network: nn.Module) -> tuple[Tensor, Tensor]:
    """Two pictures embedded by the encoder, and by the network itself."""
    assert encoder.preprocess.size is not None
    assert encoder.channels is not None
    view = pixels_from(1, 2, encoder.channels, *encoder.preprocess.size)
    with torch.no_grad():
        return encoder.embed(view), network(encoder.preprocess.normalise(view))


def cosine(first: Tensor, second: Tensor) -> float:
    return float(torch.cosine_similarity(first.flatten(1), second.flatten(1)).min())


def positions_of_moco_v3(side: int, width: int) -> Tensor:
    """Formula of its `vits.py`, number by number: sines and cosines of the row, then of the column; class 0."""
    rows = [[0.0] * width]
    for row in range(side):
        for column in range(side):
            angles = [place / 10_000 ** (4 * k / width) for place in (row, column) for k in range(width // 4)]
            first, second = torch.tensor(angles[: width // 4]), torch.tensor(angles[width // 4 :])
            rows.append(torch.cat([first.sin(), first.cos(), second.sin(), second.cos()]).tolist())
    return torch.tensor(rows)[None]


def test_vit_small_of_moco_v3_has_its_twelve_heads(tmp_path: Path) -> None:
    network = small(num_heads=12)
    state = prefixed("module.momentum_encoder.", small()) | prefixed("module.base_encoder.", network)
    path = saved({"arch": "vit_small", "state_dict": state}, tmp_path)

    encoder = load(f"file:{path}?arch={SMALL}", device="cpu")

    embedding, expected = embedded(encoder, network)
    six = small()
    six.load_state_dict(network.state_dict())
    assert cosine(embedding, expected) >= 0.9999
    assert cosine(embedded(encoder, six)[1], expected) < 0.9  # the same weights with the usual number of heads
    assert encoder.report.settings["heads"] == 12
    assert "heads 12" in str(encoder.report)


def test_moco_v3_is_known_by_its_fixed_positions_where_its_names_are_gone(tmp_path: Path) -> None:
    """As in a file of its linear classification, which is a plain ViT."""
    network = small(num_heads=12)
    with torch.no_grad():
        network.pos_embed.copy_(positions_of_moco_v3(4, 384))
    path = saved({"state_dict": prefixed("module.", network)}, tmp_path)

    encoder = load(f"file:{path}?arch={SMALL}", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    network.pos_embed.data[:, 1:] = network.pos_embed.data[:, 1:].view(1, 4, 4, 384).transpose(1, 2).flatten(1, 2)
    assert (
        load(f"file:{saved(network.state_dict(), tmp_path)}?arch={SMALL}", device="cpu").report.settings["heads"] == 6
    )


def test_heads_and_activation_can_be_said_and_go_before_what_is_recognised(tmp_path: Path) -> None:
    network = small(num_heads=4, act_layer="relu")
    path = saved({"state_dict": prefixed("module.base_encoder.", network)}, tmp_path)

    encoder = load(f"file:{path}?arch={SMALL}&num_heads=4&act_layer=relu", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert (encoder.report.settings["heads"], encoder.report.settings["activation"]) == (4, "ReLU")


def test_the_output_stride_of_a_convolutional_network_can_be_said(tmp_path: Path) -> None:
    network = trained(timm.create_model("resnet18", num_classes=0, output_stride=8))
    path = saved(network.state_dict(), tmp_path)

    encoder = load(f"file:{path}?arch=resnet18&size=64&output_stride=8", device="cpu")

    embedding, expected = embedded(encoder, network)
    assert cosine(embedding, expected) >= 0.9999
    assert (
        cosine(load(f"file:{path}?arch=resnet18&size=64", device="cpu").embed(pixels_from(1, 2, 3, 64, 64)), expected)
        < 0.99
    )


@pytest.mark.parametrize("patch", [8, 32])
def test_weights_of_another_patch_are_refused(patch: int, tmp_path: Path) -> None:
    """timm would resample them."""
    network = small()
    path = saved(network.state_dict(), tmp_path)
    arch = f"vit_small_patch{patch}_224&depth=2&size=64"

    with pytest.raises(EncoderError, match=f"the weights have patch 16, the network {patch}: .* give patch_size=16"):
        load(f"file:{path}?arch={arch}", device="cpu")
    assert cosine(*embedded(load(f"file:{path}?arch={arch}&patch_size=16", device="cpu"), network)) >= 0.9999


@pytest.mark.parametrize("anew", [False, True], ids=["goes on", "counts anew"])
def test_blocks_in_chunks_of_dinov2_are_read(anew: bool, tmp_path: Path) -> None:
    """facebookresearch/dinov2 goes on counting in a chunk, so that names tell the block; others count anew."""
    network, student = small(depth=5), small(depth=5)

    def chunked(name: str) -> str:
        words = name.split(".")
        if words[0] != "blocks":
            return name
        chunk, place = divmod(int(words[1]), 2)
        return ".".join(["blocks", str(chunk), str(place) if anew else words[1], *words[2:]])

    state = {"student.backbone." + chunked(name): value for name, value in student.state_dict().items()}
    state |= {"teacher.backbone." + chunked(name): value for name, value in network.state_dict().items()}
    state |= {"teacher.backbone.mask_token": torch.zeros(1, 384), "teacher.dino_head.mlp.0.weight": torch.rand(8, 384)}
    path = saved({"model": state, "iteration": 3}, tmp_path)

    encoder = load(f"file:{path}?arch={SMALL.replace('depth=2', 'depth=5')}", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert (encoder.report.part, encoder.report.missing) == ("model.teacher.backbone.", ())


def test_networks_with_stages_of_blocks_keep_their_numbers(tmp_path: Path) -> None:
    network = trained(timm.create_model("test_efficientnet", num_classes=0))

    encoder = load(f"file:{saved(network.state_dict(), tmp_path)}?arch=test_efficientnet", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999


def test_a_norm_behind_the_pooling_means_the_mean_of_the_patch_tokens(tmp_path: Path) -> None:
    """Masked autoencoders fine-tuned: x[:, 1:].mean(1), then fc_norm (facebookresearch/mae, models_vit.py)."""
    body = small()
    norm = trained(nn.LayerNorm(384, eps=1e-6))
    state = {name: value for name, value in body.state_dict().items() if not name.startswith("norm.")}
    state |= prefixed("fc_norm.", norm) | {"head.weight": torch.rand(10, 384), "head.bias": torch.rand(10)}
    path = saved({"model": state}, tmp_path)
    body.norm = nn.Identity()

    encoder = load(f"file:{path}?arch={SMALL}", device="cpu")

    view = pixels_from(1, 2, 3, 64, 64)
    with torch.no_grad():
        expected = norm(body.forward_features(encoder.preprocess.normalise(view))[:, 1:].mean(1))
    assert cosine(encoder.embed(view), expected) >= 0.9999
    assert encoder.report.settings["pooling"] == "avg"


@pytest.mark.parametrize(("theirs", "own"), [(3, 2), (2, 3)])
def test_a_block_more_or_less_is_an_error(theirs: int, own: int, tmp_path: Path) -> None:
    path = saved(small(depth=theirs).state_dict(), tmp_path)

    with pytest.raises(EncoderError, match=rf"depth {theirs} against {own} \(blocks\)"):
        load(f"file:{path}?arch=vit_small_patch16_224&depth={own}&size=64", device="cpu")


def test_thirteen_blocks_are_not_twelve(tmp_path: Path) -> None:
    """One block of twelve is few enough weights for a warning."""
    path = saved(timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=13, img_size=32).state_dict(), tmp_path)

    with pytest.raises(EncoderError, match="depth 13 against 12"):
        load(f"file:{path}?arch=vit_tiny_patch16_224&size=32", device="cpu")


def test_a_resnet_with_other_stages_is_an_error(tmp_path: Path) -> None:
    path = saved(timm.create_model("resnet34", num_classes=0).state_dict(), tmp_path)

    with pytest.raises(EncoderError, match=r"depth 3 against 2 \(layer1\).*depth 6 against 2 \(layer3\)"):
        load(f"file:{path}?arch=resnet18", device="cpu")


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("arch", ["timm:resnet18", "torchvision:resnet18", "timm:test_vit"])
def test_the_channels_of_a_checkpoint_are_recognised(arch: str, channels: int, tmp_path: Path) -> None:
    library, _, name = arch.partition(":")
    if library == "timm":
        network = timm.create_model(name, in_chans=channels, num_classes=0)
    else:
        network = torchvision.models.resnet18()
        network.conv1, network.fc = nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.Identity()
    path = saved(trained(network).state_dict(), tmp_path)
    numbers = ",".join(["0.5"] * channels)

    encoder = load(f"file:{path}?arch={arch}&mean={numbers}&std=0.25", device="cpu")

    assert (encoder.channels, encoder.mean) == (channels, (0.5,) * channels)
    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert encoder.report.settings["channels"] == channels


def test_mean_and_std_of_other_channels_are_said_or_asked_for(tmp_path: Path) -> None:
    grey = saved(timm.create_model("test_vit", in_chans=1, num_classes=0).state_dict(), tmp_path)
    with pytest.warns(EncoderWarning, match="has one channel, and the average of colour's mean and std: give its own"):
        encoder = load(f"file:{grey}?arch=test_vit", device="cpu")
    assert encoder.mean == pytest.approx((0.5,))

    four = saved(timm.create_model("test_vit", in_chans=4, num_classes=0).state_dict(), tmp_path)
    with pytest.raises(
        EncoderError, match="mean and std must be 4 numbers, one for each channel of this network; got 3"
    ):
        load(f"file:{four}?arch=test_vit", device="cpu")


def cifar_resnet(padding: int = 1, stride: int = 1, pool: bool = False) -> nn.Module:
    network = torchvision.models.resnet18()
    network.conv1, network.fc = nn.Conv2d(3, 64, 3, stride, padding, bias=False), nn.Identity()
    if not pool:
        network.maxpool = nn.Identity()
    return trained(network)


@pytest.mark.parametrize("arch", ["resnet18", "torchvision:resnet18"])
def test_a_stem_for_small_pictures_is_built(arch: str, tmp_path: Path) -> None:
    """SimCLR's ResNet for CIFAR: 3 x 3, stride 1, no max pooling."""
    network = cifar_resnet()
    path = saved(prefixed("backbone.", network) | {"projection_head.0.weight": torch.rand(8, 512)}, tmp_path)

    encoder = load(f"file:{path}?arch={arch}&size=32", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert encoder.report.settings["stem"] == "3 x 3, stride 1, padding 1"


def test_the_resnet_of_lightly_for_cifar_is_read(tmp_path: Path) -> None:
    """In a row, its children have no activation and no pooling between them; the shortcuts have another name."""
    whole = trained(ResNetGenerator("resnet-18"))
    backbone = nn.Sequential(*list(whole.children())[:-1], nn.AdaptiveAvgPool2d(1))
    path = saved({"state_dict": prefixed("backbone.", backbone)}, tmp_path)

    encoder = load(f"file:{path}?arch=resnet18&size=32", device="cpu")

    embedding, expected = embedded(encoder, backbone)
    assert cosine(embedding, expected) >= 0.9999
    assert encoder.report.missing == encoder.report.unexpected == ()
    assert encoder.report.settings["stem"] == "3 x 3, stride 1, padding 1, no activation"


def test_the_padding_of_solo_learn_is_two(tmp_path: Path) -> None:
    network = cifar_resnet(padding=2)
    heads = {"classifier.weight": torch.rand(10, 512), "projector.0.weight": torch.rand(8, 512)}
    path = saved({"state_dict": prefixed("backbone.", network) | heads}, tmp_path)

    encoder = load(f"file:{path}?arch=resnet18&size=32", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert (encoder.report.layout, encoder.report.settings["stem"]) == ("solo-learn", "3 x 3, stride 1, padding 2")


def test_stride_padding_and_pooling_of_the_stem_can_be_said(tmp_path: Path) -> None:
    network = cifar_resnet(padding=0, stride=2, pool=True)
    path = saved(network.state_dict(), tmp_path)

    encoder = load(f"file:{path}?arch=resnet18&size=64&stem_stride=2&stem_padding=0&stem_pool=true", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert encoder.report.settings["stem"] == "3 x 3, stride 2, padding 0, max pooling"


def test_a_small_stem_asks_for_the_size_and_its_items_for_a_small_stem(tmp_path: Path) -> None:
    path = saved(cifar_resnet().state_dict(), tmp_path)
    with pytest.warns(EncoderWarning, match="has a 3 x 3 stem, that of small pictures: give their size, as size=32"):
        load(f"file:{path}?arch=resnet18", device="cpu")
    with pytest.raises(EncoderError, match=r"stem_stride and stem_padding must be pixels and .* got wide, 1, False"):
        load(f"file:{path}?arch=resnet18&stem_stride=wide", device="cpu")

    large = saved(timm.create_model("resnet18", num_classes=0).state_dict(), tmp_path)
    with pytest.raises(
        EncoderError, match="stem_padding is for a 3 x 3 stem in place of 7 x 7, which this checkpoint has"
    ):
        load(f"file:{large}?arch=resnet18&stem_padding=1", device="cpu")


@pytest.mark.parametrize(
    ("theirs", "arch", "name"),
    [
        ("deit_tiny_distilled_patch16_224", "deit_tiny_patch16_224", "dist_token"),
        ("deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "dist_token"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224&reg_tokens=2", "reg_token"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224&init_values=1e-5", "ls1.gamma"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224&global_pool=avg", "fc_norm.weight"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224&pre_norm=true", "norm_pre.weight"),
    ],
)
def test_tokens_scales_and_norms_that_one_side_lacks_are_an_error(
    theirs: str, arch: str, name: str, tmp_path: Path
) -> None:
    """One of them is few enough weights for a warning."""
    path = saved(timm.create_model(theirs, num_classes=0, img_size=32).state_dict(), tmp_path)

    with pytest.raises(EncoderError, match=f"(missing|unexpected|another shape).*{name}.*: name the network"):
        load(f"file:{path}?arch={arch}&size=32", device="cpu")


def test_registers_of_dinov2_are_read_where_the_network_has_them_and_refused_where_not(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Its class token has a position, timm's has it added."""
    network = small(reg_tokens=4, no_embed_class=True)
    state = network.state_dict()
    first = torch.randn(1, 1, 384)
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.cat([first, state["pos_embed"]], 1)
    state["cls_token"] = state["cls_token"] - first
    path = saved(state | {"mask_token": torch.zeros(1, 384)}, tmp_path)

    encoder = load(f"file:{path}?arch={SMALL}&reg_tokens=4&no_embed_class=true", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999
    assert not recwarn
    with pytest.raises(EncoderError, match="unexpected"):
        load(f"file:{path}?arch={SMALL}", device="cpu")


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
def test_what_torch_wraps_around_single_blocks_is_taken_off(wrapper: str, tmp_path: Path) -> None:
    network = small()
    state = {name.replace("blocks.1.", f"blocks.1.{wrapper}"): value for name, value in network.state_dict().items()}

    encoder = load(f"file:{saved(state, tmp_path)}?arch={SMALL}", device="cpu")

    assert cosine(*embedded(encoder, network)) >= 0.9999


def test_weights_in_half_precision_are_read_into_float32(tmp_path: Path) -> None:
    network = small().half().float()
    path = saved(copy.deepcopy(network).half().state_dict(), tmp_path)

    encoder = load(f"file:{path}?arch={SMALL}", device="cpu")

    torch.testing.assert_close(*embedded(encoder, network), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ema_model.", "model_ema.module.", "state_dict_ema."])
def test_averaged_weights_go_before_the_last_ones(name: str, tmp_path: Path) -> None:
    network = small()
    path = saved(prefixed("a.", small()) | prefixed(name, network), tmp_path)

    assert cosine(*embedded(load(f"file:{path}?arch={SMALL}", device="cpu"), network)) >= 0.9999
