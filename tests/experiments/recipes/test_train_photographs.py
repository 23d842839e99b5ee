"""The recipe goes on from given weights to weights that load, and says how good both are on held-out photographs."""

import json
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from experiments.recipes import train_photographs
from experiments.recipes.train_default import backbone


@pytest.fixture
def data(tmp_path, noise_picture, write_cifar):
    """Tiny look-alikes: 2 classes of 5 photographs, 10 x 2 small pictures, one more photograph."""
    with zipfile.ZipFile(tmp_path / "caltech101.zip", "w") as archive:
        for folder in ("anchor", "crab"):
            for number in range(5):
                archive.writestr(f"{folder}/{number:04}.jpg", noise_picture(40, 50))
    write_cifar(tmp_path, train=2, test=2)
    (tmp_path / "imagenet_sample").mkdir()
    (tmp_path / "imagenet_sample" / "0.jpg").write_bytes(noise_picture(40, 60))
    return tmp_path


def test_it_starts_from_the_given_weights_and_judges_both(monkeypatch, data, tmp_path):
    written = {}
    monkeypatch.setattr(
        train_photographs,
        "write_results",
        lambda name, rows, summary: written.update({name: rows, "settings": json.dumps(summary)}),
    )
    monkeypatch.setattr(train_photographs, "TRAIN_SIZE", 32)
    monkeypatch.setattr(train_photographs, "caltech_knn", lambda encoder, splits: {"caltech": 0.5})
    options = [
        "--data",
        data,
        "--out",
        tmp_path / "run",
        "--epochs",
        1,
        "--batch-size",
        4,
        "--small",
        2,
        "--workers",
        0,
        "--lr",
        1e-4,
    ]
    monkeypatch.setattr(sys, "argv", ["train_photographs", *map(str, options)])

    train_photographs.main()

    rows = written["train_photographs"]
    assert json.loads(written["settings"])["epochs"] == 1
    assert [(row["weights"], row["size"]) for row in rows] == [
        ("start", 64), ("trained", 96), ("trained", 112), ("trained", 128)
    ]  # fmt: skip
    assert all(row["caltech"] == 0.5 and 0 <= row["cifar10"] <= 1 for row in rows)
    trained, start = load_file(tmp_path / "run" / "default.safetensors"), load_file(train_photographs.START)
    network = backbone()
    network.load_state_dict(trained)
    changes = [
        float((trained[name] - start[name]).norm() / start[name].norm())
        for name in start
        if "conv" in name and "weight" in name
    ]
    assert 0 < max(changes) < 0.1  # a few small steps from where it started
    assert torch.isfinite(trained["conv1.0.weight"]).all()


def test_neighbours_vote_for_the_class_of_a_held_out_picture(data):
    """Embedded by their class, all held-out pictures are recognised; embedded alike, the first class gets all votes."""
    labels = iter([0] * 4 + [1] * 4 + [0, 1])

    accuracy = train_photographs.caltech_knn(
        lambda pixels: torch.nn.functional.one_hot(torch.tensor([next(labels)]), 2).float(),
        train_photographs.caltech_splits(data),
        k=3,
    )

    assert (accuracy["caltech"], accuracy["caltech_by_class"]) == (1.0, 1.0)
