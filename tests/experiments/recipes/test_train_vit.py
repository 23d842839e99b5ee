"""The small transformer learns from the bundled encoder and loads again; a run is neither repeated nor lost."""

import numpy as np
import pytest
import torch

import relax
from experiments.recipes import train_vit


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    """And batches of 20 of them and 4 photographs: two steps an epoch."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (46, 32, 32, 3), dtype=np.uint8), np.arange(46) % 10
    monkeypatch.setattr(train_vit, "BATCH", 24)
    monkeypatch.setattr(train_vit, "PHOTOS", 4)
    monkeypatch.setattr(train_vit, "cifar10", lambda data, split: pictures)
    photographs = [rng.integers(0, 256, (57, 90, 3), dtype=np.uint8)] * 3
    monkeypatch.setattr(train_vit, "photographs", lambda data: photographs)


def test_it_is_trained_judged_beside_its_teacher_and_loads_again(run_experiment, tmp_path):
    options = ("--data", "nowhere", "--out", tmp_path / "vit", "--epochs", 2, "--bank", 30)

    rows, summary = run_experiment(train_vit, "train_vit", *options)

    assert [row["encoder"] for row in rows] == ["random", "vit", "default"]
    first, second = (epoch["loss"] for epoch in summary["log"])
    assert second < first
    encoder = train_vit.vit_encoder(tmp_path / "vit")
    assert encoder.checksum == summary["checksum"] != relax.load_encoder("default", "cpu").checksum
    assert encoder(torch.rand(2, 3, 50, 70)).shape == (2, train_vit.DIM)
    _, repeated = run_experiment(train_vit, "train_vit", *options)
    assert repeated["log"] == summary["log"]
    assert repeated["checksum"] == summary["checksum"]


def test_a_run_that_was_stopped_ends_where_one_without_a_stop_does(run_experiment, tmp_path, stopped_after):
    """Stopped after the two steps of the first epoch."""

    def train(folder):
        options = ("--data", "nowhere", "--out", tmp_path / folder, "--epochs", 2, "--bank", 30)
        return run_experiment(train_vit, "train_vit", *options)[1]

    through = train("through")
    stopped_after(train_vit, 2, lambda: train("stopped"))
    stopped = train("stopped")

    assert stopped["checksum"] == through["checksum"]
    assert [row["loss"] for row in stopped["log"]] == [row["loss"] for row in through["log"]]


def test_views_are_of_pictures_and_of_photographs_smaller_than_a_view():
    views = train_vit.Views(train_vit.cifar10(None, "train")[0], train_vit.photographs(None))

    batch = views.batch(torch.arange(5), torch.Generator().manual_seed(0))

    assert batch.shape == (5 + train_vit.PHOTOS, 3, 96, 96)
    assert 0 <= batch.min() < batch.max() <= 1
