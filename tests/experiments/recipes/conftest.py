"""Tiny look-alikes of the data, the recipes of the bundled encoder on them, and trainings that are stopped half-way."""

import json
import sys
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from experiments.data.datasets import CIFAR10
from experiments.recipes import train_default


@pytest.fixture
def noise_picture():
    """A function from height and width to a picture of noise, as the bytes of a file."""
    rng = np.random.default_rng(0)

    def picture(height, width):
        stream = BytesIO()
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(stream, format="PNG")
        return stream.getvalue()

    return picture


@pytest.fixture
def write_cifar(noise_picture):
    """A function that writes both archives of CIFAR-10 to a folder, with so many pictures of noise of each class."""

    def write(folder, train, test):
        (folder / "cifar10").mkdir()
        for split, count in (("train", train), ("test", test)):
            with zipfile.ZipFile(folder / "cifar10" / f"{split}.zip", "w") as archive:
                for name in CIFAR10:
                    for number in range(count):
                        archive.writestr(f"{name}/{number:04}.png", noise_picture(32, 32))

    return write


@pytest.fixture
def stopped_after(monkeypatch):
    """Run a recipe until it has taken so many steps, and interrupt it there as Ctrl-C does."""

    def run_and_stop(recipe, steps, run):
        losses, descend = [], recipe.descend

        def interrupted(*arguments):
            if len(losses) == steps:
                raise KeyboardInterrupt
            losses.append(descend(*arguments))
            return losses[-1]

        with monkeypatch.context() as stopping:
            stopping.setattr(recipe, "descend", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run()

    return run_and_stop


@pytest.fixture
def default_data(tmp_path, noise_picture, write_cifar):
    """Tiny look-alikes: 2 classes of 5 photographs, 10 x 2 small pictures, one more photograph."""
    with zipfile.ZipFile(tmp_path / "caltech101.zip", "w") as archive:
        for folder in ("anchor", "crab"):
            for number in range(5):
                archive.writestr(f"{folder}/{number:04}.jpg", noise_picture(40, 50))
    write_cifar(tmp_path, train=2, test=2)
    (tmp_path / "imagenet_sample").mkdir()
    (tmp_path / "imagenet_sample" / "0.jpg").write_bytes(noise_picture(40, 60))
    return tmp_path


@pytest.fixture
def train(monkeypatch, default_data, tmp_path):
    """Run a recipe of the bundled encoder with small pictures and few neighbours, and return what it wrote."""
    written = {}

    def run(folder, epochs, *more, recipe=train_default):
        options = ["--data", default_data, "--out", tmp_path / folder, "--epochs", epochs, "--batch-size", 4, *more]
        monkeypatch.setattr(sys, "argv", [recipe.__name__, *map(str, options)])
        recipe.main()
        return written

    monkeypatch.setattr(
        train_default,
        "write_results",
        lambda name, rows, summary: written.update({name: rows, "settings": json.dumps(summary)}),
    )
    monkeypatch.setattr(train_default, "STORED", 40)
    monkeypatch.setattr(train_default, "TRAIN_SIZE", 32)
    monkeypatch.setattr(train_default, "SMALL", 4)
    monkeypatch.setattr(train_default, "caltech_knn", lambda encoder, splits: {"caltech": 0.5})
    return run
