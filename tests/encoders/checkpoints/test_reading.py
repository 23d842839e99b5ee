"""Checkpoints are read as tensors only: code in a file never runs, and a bad file is one clear line."""

from __future__ import annotations

import argparse
import collections
import io
import os
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from encoders import EncoderError
from encoders.checkpoints.layouts import load_weights
from encoders.checkpoints.reading import read_checkpoint
from tests.paths import DATA

WEIGHT = torch.arange(6.0).view(2, 3)


class CallsOnLoading:
    """What an attacker puts into a pickle: unpickling it calls a function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run-by-checkpoint",)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".th", ".bin", ".pth.tar"])
def test_every_name_of_a_torch_file_is_read(suffix: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {"fc.weight": WEIGHT}, "epoch": 3}, tmp_path / f"run{suffix}")

    tensors = read_checkpoint(tmp_path / f"run{suffix}")

    assert list(tensors) == ["state_dict.fc.weight"]
    assert torch.equal(tensors["state_dict.fc.weight"], WEIGHT)


def test_the_old_file_format_of_torch_is_read(tmp_path: Path) -> None:
    torch.save({"fc.weight": WEIGHT}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    assert torch.equal(read_checkpoint(tmp_path / "old.pth")["fc.weight"], WEIGHT)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"fc.weight": WEIGHT}, tmp_path / "net.safetensors")

    assert torch.equal(read_checkpoint(tmp_path / "net.safetensors")["fc.weight"], WEIGHT)


def test_options_kept_as_a_namespace_are_let_in_and_ignored(tmp_path: Path) -> None:
    torch.save({"model": {"w": WEIGHT}, "args": argparse.Namespace(lr=0.1, out="x")}, tmp_path / "mae.pth")

    assert list(read_checkpoint(tmp_path / "mae.pth")) == ["model.w"]


def test_an_optimizer_beside_the_network_is_left_out(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {"state_dict": collections.OrderedDict(layer.state_dict()), "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "run.pth")

    assert list(read_checkpoint(tmp_path / "run.pth")) == ["state_dict.weight", "state_dict.bias"]


@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_that_could_run_code_is_refused_and_nothing_runs(
    new_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": {"w": WEIGHT}, "callback": CallsOnLoading()}
    torch.save(content, "evil.pth", _use_new_zipfile_serialization=new_format)

    with pytest.raises(EncoderError) as caught:
        read_checkpoint("evil.pth")

    assert not Path("run-by-checkpoint").exists()
    assert "\n" not in str(caught.value)
    if new_format:  # torch cannot list what an old file holds
        assert str(caught.value).startswith(
            f"checkpoint 'evil.pth' must hold tensors only; it holds {os.name}.mkdir, which"
        )
        assert str(caught.value).endswith("load it yourself once and save its state_dict() alone")


def test_the_name_of_an_object_is_told_without_its_control_characters(tmp_path: Path) -> None:
    torch.save({"w": CallsOnLoading()}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(tmp_path / "odd.pth", "w") as odd:
        for name in whole.namelist():
            odd.writestr(name, whole.read(name).replace(b"mkdir", b"m\x1b[2J"))

    with pytest.raises(EncoderError, match="must hold tensors only") as caught:
        read_checkpoint(tmp_path / "odd.pth")

    assert f"it holds {os.name}.m?[2J, which" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_whole_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2), tmp_path / "module.pth")

    with pytest.raises(
        EncoderError, match=r"must hold tensors only; it holds torch.nn.modules.linear.Linear.*state_dict"
    ):
        read_checkpoint(tmp_path / "module.pth")


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_torchscript_is_refused_with_the_way_out_and_no_other_word(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(3, 2)), tmp_path / "net.pt")
    recwarn.clear()

    with pytest.raises(EncoderError, match=r"'net.pt' must hold a state dict; it is TorchScript.*: if you trust it"):
        read_checkpoint(tmp_path / "net.pt")
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


def broken(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("name", ["a.pth", "a.ckpt", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 and no more", bytes(range(256)) * 9])
def test_a_damaged_file_is_one_clear_line(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(
        EncoderError, match=f"checkpoint '{name}' cannot be read .*: download or copy it again"
    ) as caught:
        read_checkpoint(broken(tmp_path, name, content))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_truncated_file_is_one_clear_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save_file({"w": WEIGHT}, path) if name.endswith("safetensors") else torch.save({"w": WEIGHT}, path)

    with pytest.raises(EncoderError, match="cannot be read"):
        read_checkpoint(broken(tmp_path, name, path.read_bytes()[:-9]))


def test_no_file_a_folder_and_a_foreign_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"checkpoint must be a file; got '.*no\.pth', which is not there"):
        read_checkpoint(tmp_path / "no.pth")
    with pytest.raises(EncoderError, match=r"checkpoint must be a file; .* which is a folder: name the file in it"):
        read_checkpoint(tmp_path)
    with pytest.raises(EncoderError, match=r"checkpoint must end in one of .safetensors, .pth, .*; got 'a.onnx'"):
        read_checkpoint(broken(tmp_path, "a.onnx", b"x"))


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "log": [1.0, 2.0]}, tmp_path / "log.pth")

    with pytest.raises(EncoderError, match=r"checkpoint 'log.pth' must hold a state dict; got no tensors"):
        read_checkpoint(tmp_path / "log.pth")


class CifarResNet(nn.Module):
    """ResNet-20 for 32 px as He et al. (CVPR 2016, section 4.2) describe it, shortcuts of option A."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[CifarBlock(16, 16) for _ in range(3)])
        self.layer2 = nn.Sequential(CifarBlock(16, 32), *[CifarBlock(32, 32) for _ in range(2)])
        self.layer3 = nn.Sequential(CifarBlock(32, 64), *[CifarBlock(64, 64) for _ in range(2)])
        self.linear = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(pixels))))))
        return self.linear(maps.mean((2, 3)))


class CifarBlock(nn.Module):
    def __init__(self, width: int, wider: int) -> None:
        super().__init__()
        self.stride = wider // width
        self.conv1, self.bn1 = nn.Conv2d(width, wider, 3, self.stride, 1, bias=False), nn.BatchNorm2d(wider)
        self.conv2, self.bn2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider)

    def forward(self, maps: Tensor) -> Tensor:
        added = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        short = maps[:, :, :: self.stride, :: self.stride]
        padding = (added.shape[1] - short.shape[1]) // 2
        return F.relu(added + F.pad(short, (0, 0, 0, 0, padding, padding)))


@pytest.mark.skipif(
    not (DATA / "cifar10_resnets").is_dir(), reason="needs shared/data/cifar10_resnets beside the checkout"
)
def test_a_published_checkpoint_loads_whole_and_classifies(tmp_path: Path) -> None:
    """Published with 91.7 % on CIFAR-10's test images; these were saved again as JPEG of quality 75, hence the 75 %."""
    network = CifarResNet()
    tensors = read_checkpoint(DATA / "cifar10_resnets" / "resnet20-12fca82f.th")
    pixels, truth = cifar_test_images(every=20)

    report = load_weights(network, tensors, path="resnet20.th", arch="resnet20")

    assert (report.part, report.layout) == ("state_dict.module.", "plain backbone")
    assert report.missing == report.unexpected == report.mismatched == report.set_aside == ()
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        predicted = network.eval()((pixels - mean) / std).argmax(1)
    assert float((predicted == truth).float().mean()) > 0.75  # chance is 10 %


def cifar_test_images(every: int) -> tuple[Tensor, Tensor]:
    """(N, 3, 32, 32) in [0, 1] and class numbers; CIFAR-10 numbers its classes in alphabetical order."""
    with zipfile.ZipFile(DATA / "cifar10" / "test.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::every]
        pictures = np.stack([np.array(Image.open(io.BytesIO(archive.read(name)))) for name in names])
    classes = sorted({name.split("/")[0] for name in names})
    truth = torch.tensor([classes.index(name.split("/")[0]) for name in names])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255, truth


def test_a_packed_file_that_unfolds_is_refused_by_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    monkeypatch.setenv("RELAX_MAX_FILE_BYTES", "1e5")

    assert read_checkpoint(tmp_path / "plain.pth")["weight"].shape == (100_000,)  # no more than it has on the disk
    with pytest.raises(
        EncoderError, match=r"'packed\.pth' would take 0 MB of memory to read.*RELAX_MAX_FILE_BYTES=1e9"
    ):
        read_checkpoint(tmp_path / "packed.pth")


def test_one_number_stretched_to_a_large_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "wide.pth")

    with pytest.raises(EncoderError, match=r"'wide\.pth' would take 4,000\.0 GB"):
        read_checkpoint(tmp_path / "wide.pth")


def test_a_dictionary_in_itself_is_refused(tmp_path: Path) -> None:
    endless: dict[str, Any] = {"weight": torch.zeros(2)}
    endless["again"] = endless
    torch.save(endless, tmp_path / "endless.pth")

    with pytest.raises(EncoderError, match=r"'endless\.pth' cannot be read \(.*recursion"):
        read_checkpoint(tmp_path / "endless.pth")


@pytest.mark.parametrize("new", [True, False])
def test_whatever_bytes_are_changed_the_error_is_one_line(tmp_path: Path, new: bool) -> None:
    """Both formats of torch.save; some changes are without effect, or only change a weight."""
    torch.save({"weight": torch.arange(8.0)}, tmp_path / "good.pth", _use_new_zipfile_serialization=new)
    good, random = (tmp_path / "good.pth").read_bytes(), Random(0)
    refused = []
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(random.choice([1, 3])):
            damaged[random.randrange(len(good))] = random.randrange(256)
        (tmp_path / "damaged.pth").write_bytes(damaged)
        try:
            read_checkpoint(tmp_path / "damaged.pth")
        except EncoderError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not [reason for reason in refused if "\n" in reason]
