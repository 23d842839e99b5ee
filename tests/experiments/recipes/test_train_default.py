"""The recipe of the bundled encoder runs from pictures to weights that load, and continues where it was stopped."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from encoders import Encoder
from experiments.recipes import train_default


@pytest.fixture
def data(tmp_path, noise_picture, write_cifar):
    """Tiny look-alikes of the two data sets: 60 + 20 images of noise in the same archives, 2 photographs."""
    write_cifar(tmp_path, train=6, test=2)
    (tmp_path / "imagenet_sample").mkdir()
    for number in range(2):
        (tmp_path / "imagenet_sample" / f"{number}.jpg").write_bytes(noise_picture(80, 100))
    return tmp_path


def run(monkeypatch, data, out, epochs, *more):
    options = ["--data", data, "--out", out, "--epochs", epochs, "--batch-size", 16, "--workers", 0, *more]
    monkeypatch.setattr(sys, "argv", ["train_default", *map(str, options)])
    train_default.main()


def test_a_stopped_run_goes_on_and_its_weights_load(monkeypatch, data, tmp_path):
    out = tmp_path / "run"

    run(monkeypatch, data, out, 1)
    run(monkeypatch, data, out, 2)

    card = json.loads((out / "default.json").read_text())
    assert [row["epoch"] for row in card["log"]] == [1, 2]
    assert 0 <= card["knn_cifar10_test"]["trained"] <= 1
    assert 0 <= card["knn_cifar10_test"]["random_weights"] <= 1
    network = train_default.backbone()
    network.load_state_dict(load_file(out / "default.safetensors"))
    assert Encoder(network, device="cpu").checksum == card["checksum"]
    assert (out / "default.safetensors").stat().st_size <= 12_000_000


def test_a_run_that_was_stopped_ends_where_one_without_a_stop_does(monkeypatch, data, tmp_path, stopped_after):
    """Stopped after the three steps of the first epoch; no photographs, whose blur has a generator that runs on."""

    def train(folder):
        run(monkeypatch, data, tmp_path / folder, 2, "--photo-repeat", 0)

    train("through")
    stopped_after(train_default, 3, lambda: train("stopped"))
    train("stopped")

    through, stopped = (load_file(tmp_path / name / "default.safetensors") for name in ("through", "stopped"))
    assert all(torch.equal(stopped[name], through[name]) for name in through)
