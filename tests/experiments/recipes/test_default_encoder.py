"""The bundled encoder is small, is that of its card, and separates classes far better than random weights."""

import json
from pathlib import Path

import numpy as np
import pytest

import encoders
import relax
from experiments.data.datasets import cifar10
from experiments.recipes.knn import knn_accuracy, subset
from tests.paths import DATA

FOLDER = Path(encoders.__file__).parent


def test_the_weights_are_at_most_12_megabytes():
    assert (FOLDER / "default.safetensors").stat().st_size <= 12_000_000


def test_the_card_names_the_bundled_weights():
    card = json.loads((FOLDER / "default.json").read_text())

    assert relax.load_encoder("default", device="cpu").checksum == card["checksum"]


@pytest.mark.skipif(
    not (DATA / "cifar10").exists(), reason=f"needs CIFAR-10 in {DATA.name}/cifar10 beside the checkout"
)
def test_its_neighbours_are_of_the_same_class_far_more_often_than_with_random_weights():
    """A twentieth of the data, so the accuracy is a few points below the card's."""
    rng = np.random.default_rng(0)
    bank, test = subset(cifar10(DATA, "train"), 2500, rng), subset(cifar10(DATA, "test"), 500, rng)

    trained, untrained = (
        knn_accuracy(relax.load_encoder(spec, device="cpu"), bank, test) for spec in ("default", "random:default")
    )

    assert trained > 0.5
    assert trained > untrained + 0.2
