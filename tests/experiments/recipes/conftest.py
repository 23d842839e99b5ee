"""Tiny look-alikes of the data, and trainings that are stopped in the middle of an epoch."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from experiments.data.datasets import CIFAR10


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
