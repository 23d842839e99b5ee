"""When memory runs out, the batch is done again in halves: nothing is lost or done twice, and the maps are the same."""

import numpy as np
import pytest
import torch
from torch import nn

import relax
from encoders import EncoderError
from encoders.passes import Passes
from relax.estimators.budget import Budget
from relax.scene import Scene
from relax.settings import Hiding


def image():
    return torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))


def too_much():
    """A real allocation that no machine can grant; the message is torch's own."""
    torch.empty(2**58, dtype=torch.uint8)


def gpu_error():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class Limited:
    """An encoder of row means that runs out of memory above `most` images."""

    def __init__(self, maximum, fail=too_much):
        self.maximum, self.fail, self.tried, self.done = maximum, fail, [], []

    def __call__(self, pixels):
        self.tried.append(len(pixels))
        if len(pixels) > self.maximum:
            self.fail()
        self.done.append(len(pixels))
        return pixels.mean(3).flatten(1)


@pytest.mark.parametrize("fail", [too_much, gpu_error])
@pytest.mark.parametrize("maximum", [1, 5, 33])
def test_the_maps_are_those_of_a_machine_with_enough_memory(maximum, fail):
    plenty, short = Limited(1000), Limited(maximum, fail)
    expected = relax.explain(image(), plenty, masks=200, batch_size=64)

    explanation = relax.explain(image(), short, masks=200, batch_size=64)

    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_allclose(getattr(explanation, name), getattr(expected, name), rtol=1e-5, atol=1e-7)
    assert explanation.provenance["masks"]["count"] == 200
    assert sum(short.done) == 201 + 3  # the image itself, every mask once, and a batch of three
    assert explanation.provenance["cost"] == expected.provenance["cost"]


def test_masks_come_in_order_once_and_batches_stay_small_after_the_first_failure():
    encoder, steps = Limited(20), []
    scene = Scene.of(image(), relax.load_encoder(encoder), Hiding(seed=4))

    masks = torch.cat([batch for batch, _ in scene.passes(Budget(100, None, 64), lambda *step: steps.append(step))])

    assert torch.equal(masks, scene.source.masks(0, 100))
    assert encoder.tried == [1, 3, 64, 32, *[16] * 6, 4]
    assert steps == [(done, 100) for done in (16, 32, 48, 64, 80, 96, 100)]


def test_a_tolerance_stops_at_the_same_mask():
    expected = relax.explain(image(), Limited(1000), tolerance=0.001, estimator="plain", batch_size=64)

    explanation = relax.explain(image(), Limited(10), tolerance=0.001, estimator="plain", batch_size=64)

    assert explanation.provenance["masks"]["count"] == expected.provenance["masks"]["count"] > 500


def test_a_probe_backs_off_too():
    halved, expected = (relax.probe(image(), Limited(maximum), masks=90, batch_size=64) for maximum in (7, 1000))

    torch.testing.assert_close(halved.embeddings, expected.embeddings)


def test_one_image_that_does_not_fit_is_said_in_one_line():
    class Full(Limited):
        """Room for the image itself, and for nothing after it."""

        def __call__(self, pixels):
            self.maximum = 1 if not self.tried else 0
            return super().__call__(pixels)

    with pytest.raises(EncoderError, match=r"^one masked image at a time does not fit into memory \(.*allocate memory"):
        relax.explain(image(), Full(0), masks=10)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def broken():
        raise RuntimeError("sizes do not match")

    encoder = Limited(1, broken)
    with pytest.raises(EncoderError, match=r"failed on pixels of shape .*sizes do not match"):
        relax.explain(image(), encoder, masks=10, batch_size=8)
    assert encoder.tried == [1, 3, 1, 1, 1, 8]  # the batch of three is tried one by one, that of masked views is not


def test_the_trial_of_half_precision_backs_off_too(monkeypatch):
    monkeypatch.setattr(Passes, "_faster", lambda self, views, ways: ways)  # whatever this processor gains

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.limited = nn.Linear(36, 5), Limited(8)
            with torch.no_grad():
                self.layer.weight.copy_(torch.randn(5, 36, generator=torch.Generator().manual_seed(0)))
                self.layer.bias.zero_()

        def forward(self, pixels):
            return self.layer(self.limited(pixels))

    explanation = relax.explain(image(), Module(), masks=200, batch_size=32, precision="fast", estimator="plain")
    expected = relax.explain(image(), Module(), masks=200, batch_size=8, precision="fast", estimator="plain")

    assert explanation.provenance["precision"] == expected.provenance["precision"]
    np.testing.assert_allclose(explanation.importance, expected.importance, rtol=1e-4)
