"""The backbone inside the checkpoint of any self-supervised run is found, whole, and embeds as it did in the run.

Each layout is a run in small: lightly's own modules around a small network, or the names that the authors' code
saves. The other part of a run (teacher, queue, momentum copy) holds other weights, so taking it would show.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from lightly.models.modules import (
    BYOLPredictionHead,
    BYOLProjectionHead,
    DINOProjectionHead,
    MaskedVisionTransformerDecoderTIMM,
    MaskedVisionTransformerTIMM,
    MoCoProjectionHead,
    SimCLRProjectionHead,
    SimSiamPredictionHead,
    SwaVProjectionHead,
    SwaVPrototypes,
)
from lightly.models.utils import deactivate_requires_grad
from safetensors.torch import save_file
from torch import Tensor, nn

from encoders import EncoderError, EncoderWarning, load
from encoders.checkpoints.layouts import load_weights
from encoders.checkpoints.reading import read_checkpoint

Run = tuple[nn.Module, Any]  # the network that the run evaluates, and what it saves


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def cnn() -> nn.Module:
    """A small timm ResNet, as after some training: nothing is left at its initial value."""
    return trained(timm.create_model("test_resnet", num_classes=0))


def vit(**arguments: Any) -> nn.Module:
    return trained(timm.create_model("test_vit", num_classes=0, **arguments))


def trained(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.1 if "var" in name else torch.randn_like(value) * 0.02)
    return network.eval()


def children(network: nn.Module) -> nn.Sequential:
    """lightly's way to take the head off: the children up to and with the pooling, in a row."""
    return nn.Sequential(*list(network.children())[:-1])


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in network.state_dict().items()}


def module_of(**parts: nn.Module) -> dict[str, Tensor]:
    """The state dict of a lightly module, which keeps its parts under these names."""
    whole = nn.Module()
    for name, part in parts.items():
        whole.add_module(name, part)
    return whole.state_dict()


def lightning(state: dict[str, Tensor]) -> dict[str, Any]:
    """What a pytorch-lightning run saves around a state dict, optimizer and all."""
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {
        "epoch": 3,
        "global_step": 40,
        "pytorch-lightning_version": "2.5",
        "state_dict": state,
        "optimizer_states": [optimizer],
        "hyper_parameters": {"lr": 0.1},
    }


def lightly_simclr() -> Run:
    network = cnn()
    return network, lightning(module_of(backbone=children(network), projection_head=SimCLRProjectionHead(96, 32, 16)))


def lightly_moco() -> Run:
    network, head = cnn(), MoCoProjectionHead(96, 32, 16)
    momentum, momentum_head = children(cnn()), copy.deepcopy(head)
    deactivate_requires_grad(momentum)
    parts = {"projection_head": head, "projection_head_momentum": momentum_head}
    return network, lightning(module_of(backbone_momentum=momentum, backbone=children(network), **parts))


def lightly_byol() -> Run:
    network = cnn()
    parts = {"projection_head": BYOLProjectionHead(96, 32, 16), "prediction_head": BYOLPredictionHead(16, 32, 16)}
    return network, lightning(module_of(backbone_momentum=children(cnn()), backbone=children(network), **parts))


def lightly_simsiam() -> Run:
    network = cnn()
    parts = {"projection_head": SimCLRProjectionHead(96, 32, 16), "prediction_head": SimSiamPredictionHead(16, 8, 16)}
    return network, module_of(backbone=children(network), **parts)


def lightly_swav() -> Run:
    network = cnn()
    parts = {"projection_head": SwaVProjectionHead(96, 32, 16), "prototypes": SwaVPrototypes(16, 30)}
    return network, lightning(module_of(backbone=children(network), **parts))


def lightly_dino() -> Run:
    network = cnn()
    heads = {"student_head": DINOProjectionHead(96, 32, 16, 64), "teacher_head": DINOProjectionHead(96, 32, 16, 64)}
    return network, lightning(module_of(student_backbone=children(cnn()), teacher_backbone=children(network), **heads))


def lightly_dino_vit() -> Run:
    network = vit()
    heads = {"student_head": DINOProjectionHead(64, 32, 16, 64), "teacher_head": DINOProjectionHead(64, 32, 16, 64)}
    return network, lightning(module_of(student_backbone=vit(), teacher_backbone=network, **heads))


def lightly_mae() -> Run:
    network = vit()
    backbone = MaskedVisionTransformerTIMM(vit=network)
    with torch.no_grad():
        backbone.mask_token.normal_()
    # As wide as the encoder, so that its blocks could be taken for the encoder's.
    decoder = MaskedVisionTransformerDecoderTIMM(num_patches=100, embed_dim=64, depth=1, num_heads=2)
    parts = {"decoder_embed": nn.Linear(64, 64), "decoder": decoder, "prediction_head": nn.Linear(64, 768)}
    return network, lightning(module_of(backbone=backbone, **parts))


def moco() -> Run:
    """facebookresearch/moco: DistributedDataParallel over a model with encoder_q, encoder_k and a queue."""
    network = cnn()
    head = {"module.encoder_q.fc.0.weight": torch.rand(8, 96), "module.encoder_k.fc.0.weight": torch.rand(8, 96)}
    state = prefixed("module.encoder_k.", cnn()) | prefixed("module.encoder_q.", network) | head
    queue = {"module.queue": torch.rand(8, 20), "module.queue_ptr": torch.zeros(1)}
    return network, {"epoch": 200, "arch": "resnet50", "state_dict": state | queue}


def moco_v3() -> Run:
    """facebookresearch/moco-v3: base_encoder, momentum_encoder, predictor; the head is the network's own."""
    network = vit()
    state = prefixed("module.momentum_encoder.", vit()) | prefixed("module.base_encoder.", network)
    heads = {
        "module.base_encoder.head.0.weight": torch.rand(8, 64),
        "module.predictor.0.weight": torch.rand(8, 8),
        "module.momentum_encoder.head.0.weight": torch.rand(8, 64),
    }
    return network, {"epoch": 300, "arch": "vit_base", "state_dict": state | heads}


def simclr() -> Run:
    """sthalles/SimCLR: the projection replaces fc inside the backbone."""
    network = cnn()
    head = {"backbone.fc.0.weight": torch.rand(96, 96), "backbone.fc.2.weight": torch.rand(8, 96)}
    return network, {"epoch": 100, "arch": "resnet18", "state_dict": prefixed("backbone.", network) | head}


def simclr_encoder() -> Run:
    """Spijkervet/SimCLR under DataParallel: encoder and projector."""
    network = cnn()
    return network, prefixed("module.encoder.", network) | {"module.projector.0.weight": torch.rand(96, 96)}


def byol() -> Run:
    """lucidrains/byol-pytorch: online_encoder.net beside target_encoder.net and an online predictor."""
    network = cnn()
    heads = {"online_encoder.projector.0.weight": torch.rand(8, 96), "online_predictor.0.weight": torch.rand(8, 8)}
    return network, prefixed("target_encoder.net.", cnn()) | prefixed("online_encoder.net.", network) | heads


def byol_networks() -> Run:
    """sthalles/PyTorch-BYOL: one state dict per network."""
    network = cnn()
    return network, {
        "target_network_state_dict": prefixed("encoder.", cnn()),
        "online_network_state_dict": prefixed("encoder.", network) | {"projetion.net.0.weight": torch.rand(8, 96)},
    }


def swav() -> Run:
    """facebookresearch/swav: the head lives in the ResNet itself."""
    network = cnn()
    heads = {"module.projection_head.0.weight": torch.rand(32, 96), "module.prototypes.weight": torch.rand(30, 8)}
    return network, prefixed("module.", network) | heads


def dino() -> Run:
    """facebookresearch/dino: student under DistributedDataParallel, teacher not; options as a Namespace."""
    network = vit()
    student = prefixed("module.backbone.", vit()) | {"module.head.last_layer.weight_v": torch.rand(20, 8)}
    teacher = prefixed("backbone.", network) | {
        "head.mlp.0.weight": torch.rand(8, 64),
        "head.last_layer.weight_g": torch.rand(20, 1),
    }
    return network, {
        "student": student,
        "teacher": teacher,
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small"),
        "dino_loss": {"center": torch.zeros(1, 20)},
    }


def mae() -> Run:
    """facebookresearch/mae: encoder and decoder side by side; options as a Namespace."""
    network = vit()
    decoder = {
        "mask_token": torch.rand(1, 1, 32),
        "decoder_pos_embed": torch.rand(1, 101, 32),
        "decoder_embed.weight": torch.rand(32, 64),
        "decoder_blocks.0.norm1.weight": torch.rand(32),
        "decoder_norm.weight": torch.rand(32),
        "decoder_pred.weight": torch.rand(768, 32),
    }
    return network, {"model": network.state_dict() | decoder, "epoch": 399, "args": argparse.Namespace(blr=1e-3)}


def ijepa() -> Run:
    """facebookresearch/ijepa: the target encoder is the one its authors evaluate."""
    network = vit()
    state = {
        "encoder": prefixed("module.", vit()),
        "predictor": {"module.predictor_embed.weight": torch.rand(8, 64)},
        "target_encoder": prefixed("module.", network),
    }
    return network, state


def plain() -> Run:
    network = cnn()
    return network, network.state_dict() | {"fc.weight": torch.rand(10, 96), "fc.bias": torch.rand(10)}


def compiled() -> Run:
    network = cnn()
    return network, {"model": prefixed("_orig_mod.", network)}


def averaged() -> Run:
    """timm's own training: the raw weights and their moving average."""
    network = cnn()
    return network, {"state_dict": cnn().state_dict(), "state_dict_ema": network.state_dict(), "arch": "test_resnet"}


RUNS: dict[Callable[[], Run], tuple[str, str, str]] = {
    # run: (arch, layout, part)
    lightly_simclr: ("test_resnet", "SimCLR", "state_dict.backbone."),
    lightly_moco: ("test_resnet", "MoCo", "state_dict.backbone."),
    lightly_byol: ("test_resnet", "BYOL", "state_dict.backbone."),
    lightly_simsiam: ("test_resnet", "SimSiam", "backbone."),
    lightly_swav: ("test_resnet", "SwAV", "state_dict.backbone."),
    lightly_dino: ("test_resnet", "DINO", "state_dict.teacher_backbone."),
    lightly_dino_vit: ("test_vit", "DINO", "state_dict.teacher_backbone."),
    lightly_mae: ("test_vit", "MAE", "state_dict.backbone.vit."),
    moco: ("test_resnet", "MoCo", "state_dict.module.encoder_q."),
    moco_v3: ("test_vit", "MoCo v3", "state_dict.module.base_encoder."),
    simclr: ("test_resnet", "SimCLR", "state_dict.backbone."),
    simclr_encoder: ("test_resnet", "SimCLR", "module.encoder."),
    byol: ("test_resnet", "BYOL", "online_encoder.net."),
    byol_networks: ("test_resnet", "BYOL", "online_network_state_dict.encoder."),
    swav: ("test_resnet", "SwAV", "module."),
    dino: ("test_vit", "DINO", "teacher.backbone."),
    mae: ("test_vit", "MAE", "model."),
    ijepa: ("test_vit", "I-JEPA", "target_encoder.module."),
    plain: ("test_resnet", "plain backbone", ""),
    compiled: ("test_resnet", "plain backbone", "model."),
    averaged: ("test_resnet", "plain backbone", "state_dict_ema."),
}


def saved(content: Any, folder: Path, name: str = "run.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_the_loaded_encoder_embeds_as_the_network_did_in_its_run(run: Callable[[], Run], tmp_path: Path) -> None:
    network, content = run()
    arch, layout, part = RUNS[run]
    view = torch.rand(2, 3, 160, 160)

    encoder = load(f"file:{saved(content, tmp_path)}?arch={arch}", device="cpu")

    with torch.no_grad():
        expected = network(encoder.preprocess.normalise(view))
    torch.testing.assert_close(encoder.embed(view), expected, rtol=1e-5, atol=1e-6)
    assert encoder.report is not None
    assert (encoder.report.layout, encoder.report.part) == (layout, part)
    assert set(encoder.report.matched) == set(network.state_dict())
    assert encoder.report.missing == encoder.report.unexpected == encoder.report.mismatched == ()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_everything_in_the_file_is_accounted_for(run: Callable[[], Run], tmp_path: Path) -> None:
    _, content = run()
    path = saved(content, tmp_path)
    report = load(f"file:{path}?arch={RUNS[run][0]}", device="cpu").report

    assert report is not None
    assert len(report.matched) + len(report.unexpected) + len(report.set_aside) == len(read_checkpoint(path))


def test_a_torchvision_resnet_in_a_row_as_lightlys_tutorials_save_it(tmp_path: Path) -> None:
    network = trained(torchvision.models.resnet18())
    backbone = children(network)
    path = saved(
        lightning(module_of(backbone=backbone, projection_head=SimCLRProjectionHead(512, 64, 16))), tmp_path, "a.ckpt"
    )
    view = torch.rand(1, 3, 64, 64)

    encoder = load(f"file:{path}?arch=torchvision:resnet18&size=64", device="cpu")

    with torch.no_grad():
        expected = backbone(encoder.preprocess.normalise(view)).flatten(1)
    torch.testing.assert_close(encoder.embed(view), expected, rtol=1e-5, atol=1e-5)
    assert encoder.preprocess.size == (64, 64)
    assert encoder.preprocess.resize == 73  # 256 / 224 of 64: the crop shows the same share as at the usual size


def test_the_other_part_can_be_chosen(tmp_path: Path) -> None:
    _, content = dino()
    student = vit()
    student.load_state_dict(
        {n.removeprefix("module.backbone."): v for n, v in content["student"].items() if "head" not in n}
    )
    view = torch.rand(1, 3, 160, 160)

    encoder = load(f"file:{saved(content, tmp_path)}?arch=test_vit&part=student", device="cpu")

    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(view), student(encoder.preprocess.normalise(view)))
    assert encoder.report.part == "student.module.backbone."


def test_a_part_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"part must be in the names of checkpoint .*; got 'theacher'"):
        load(f"file:{saved(dino()[1], tmp_path)}?arch=test_vit&part=theacher")


def test_safetensors_load_as_well(tmp_path: Path) -> None:
    network = cnn()
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    view = torch.rand(1, 3, 160, 160)

    encoder = load(f"file:{tmp_path / 'net.safetensors'}?arch=test_resnet", device="cpu")

    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(view), network(encoder.preprocess.normalise(view)))


def test_position_embeddings_of_another_image_size_are_resampled_by_timm_and_that_is_said(tmp_path: Path) -> None:
    network = vit(img_size=96)
    path = saved(network.state_dict(), tmp_path)

    with pytest.warns(EncoderWarning, match=r"trained at another image size: timm resampled pos_embed; .*&size="):
        encoder = load(f"file:{path}?arch=test_vit", device="cpu")

    assert encoder.report.resampled == ("pos_embed",)
    assert encoder.network.pos_embed.shape == (1, 1 + 10 * 10, 64)


def test_the_checkpoints_own_image_size_can_be_given_and_nothing_is_resampled(tmp_path: Path, recwarn: Any) -> None:
    network = vit(img_size=96)
    view = torch.rand(1, 3, 96, 96)

    encoder = load(f"file:{saved(network.state_dict(), tmp_path)}?arch=test_vit&size=96", device="cpu")

    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(view), network(encoder.preprocess.normalise(view)))
    assert encoder.report.resampled == ()
    assert not [warning for warning in recwarn if issubclass(warning.category, EncoderWarning)]


def test_one_missing_weight_is_a_warning_and_in_the_report(tmp_path: Path) -> None:
    state = cnn().state_dict()
    del state["layer4.0.bn2.bias"]

    with pytest.warns(EncoderWarning, match=r"weights missing \(layer4.0.bn2.bias\): the missing ones are random"):
        encoder = load(f"file:{saved(state, tmp_path)}?arch=test_resnet")

    assert encoder.report.missing == ("layer4.0.bn2.bias",)


def test_a_missing_layer_is_refused(tmp_path: Path) -> None:
    state = {name: value for name, value in cnn().state_dict().items() if not name.startswith("layer3.")}

    with pytest.raises(
        EncoderError, match=r"as arch=test_resnet .*\d+ of \d+ weights missing \(layer3.0.conv1.weight, .*, \.\.\.\)"
    ):
        load(f"file:{saved(state, tmp_path)}?arch=test_resnet")


def test_a_checkpoint_of_another_network_is_refused_and_not_left_random(tmp_path: Path) -> None:
    path = saved(vit().state_dict(), tmp_path)

    with pytest.raises(EncoderError, match=r"weights missing .*: name the network it was trained with"):
        load(f"file:{path}?arch=test_resnet")


def test_weights_of_which_no_shape_fits_are_told_by_their_names(tmp_path: Path) -> None:
    state = {
        f"teacher.backbone.{name}": torch.zeros(*value.shape, 2)
        for name, value in cnn().state_dict().items()
        if value.ndim
    }

    with pytest.raises(EncoderError, match=r"part 'teacher.backbone.'\): \d+ of \d+ weights of another shape \(conv1"):
        load(f"file:{saved(state, tmp_path)}?arch=test_resnet")


def test_shapes_of_a_wider_network_are_refused(tmp_path: Path) -> None:
    state = cnn().state_dict()
    state["layer4.0.conv1.weight"] = torch.zeros(7, 7, 3, 3)

    with pytest.raises(
        EncoderError, match=r"1 of \d+ weights of another shape \(layer4.0.conv1.weight: \(7, 7, 3, 3\), "
    ):
        load(f"file:{saved(state, tmp_path)}?arch=test_resnet")


def test_a_torchvision_vit_of_another_image_size_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """torchvision does not resample position embeddings when it loads."""

    def small(size: int) -> nn.Module:
        return torchvision.models.VisionTransformer(size, 16, 1, 2, 32, 32, num_classes=4)

    with pytest.raises(
        EncoderError, match=r"encoder.pos_embedding: \(1, 5, 32\), \(1, 17, 32\)\).* size= for another image size"
    ):
        load_weights(small(64), small(32).state_dict(), path="run.pth", arch="torchvision:vit")


def test_many_unexpected_weights_are_refused_and_a_few_are_a_warning(tmp_path: Path) -> None:
    state = cnn().state_dict()
    extra = {f"layer4.0.adapter{number}.weight": torch.zeros(1) for number in range(12)}

    with pytest.raises(EncoderError, match=r"12 of \d+ weights unexpected \(layer4.0.adapter0.weight"):
        load(f"file:{saved(state | extra, tmp_path)}?arch=test_resnet")
    with pytest.warns(EncoderWarning, match=r"1 of \d+ weights unexpected .*: they are left out"):
        encoder = load(f"file:{saved(state | {'layer4.0.x.weight': torch.zeros(1)}, tmp_path)}?arch=test_resnet")

    assert encoder.report.unexpected == ("layer4.0.x.weight",)


def test_batch_counters_that_old_files_lack_are_not_missed(tmp_path: Path, recwarn: Any) -> None:
    state = {name: value for name, value in cnn().state_dict().items() if "num_batches_tracked" not in name}

    encoder = load(f"file:{saved(state, tmp_path)}?arch=test_resnet")

    assert encoder.report.missing == ()
    assert not [warning for warning in recwarn if issubclass(warning.category, EncoderWarning)]


def test_the_report_prints_as_one_line_with_its_counts(tmp_path: Path) -> None:
    report = load(f"file:{saved(plain()[1], tmp_path)}?arch=test_resnet").report

    loaded = f"plain backbone, part '': {len(cnn().state_dict())} weights loaded, 2 set aside"
    settings = "channels 3, stem 3 x 3, stride 2, padding 1, max pooling, activation ReLU, pooling avg"
    assert str(report) == f"{loaded}; {settings}"
