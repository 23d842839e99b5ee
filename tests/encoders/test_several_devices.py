"""Several devices share every batch of masked views: each sees its part once, and the map is that of one device.

Two copies on the processor stand for two GPUs here; what differs there is only that both work at the same time.
"""

import numpy as np
import pytest
import torch
from torch import nn

import relax
from encoders import EncoderError, load
from relax.estimators.budget import Budget
from relax.scene import Scene
from relax.settings import Hiding


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def image():
    return torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(1))


def test_each_device_sees_an_equal_part_of_every_batch():
    encoder = load(network(), device="cpu,cpu,cpu")
    seen = [[] for _ in encoder.devices]
    for copy, batches in zip((encoder, *encoder.others), seen, strict=True):
        copy.network.register_forward_hook(lambda _, pixels, __, batches=batches: batches.append(len(pixels[0])))

    relax.explain(image(), encoder, masks=30, batch_size=12)

    first, *others = seen
    assert first == [
        1,
        3,
        4,
        4,
        2,
    ]  # the image itself first, then the batch of three that shows whether the encoder is steady
    assert others == [[4, 4, 2], [4, 4, 2]]


def test_the_map_is_that_of_one_device():
    single, double = (relax.explain(image(), network(), masks=200, device=device) for device in ("cpu", "cpu,cpu"))

    np.testing.assert_allclose(double.importance, single.importance, rtol=1e-5, atol=0)
    np.testing.assert_allclose(double.uncertainty, single.uncertainty, rtol=1e-3, atol=1e-12)
    assert double.provenance["precision"]["devices"] == ["cpu", "cpu"]
    assert "devices" not in single.provenance["precision"]


def test_the_automatic_batch_grows_with_the_devices():
    scene = Scene.of(image(), load(network(), device="cpu,cpu"), Hiding())

    sizes = [len(masks) for masks, _ in scene.passes(Budget.of(256, None, "auto"))]

    assert sizes == [128, 128]


def test_nan_from_any_device_is_refused():
    encoder = load(network(), device="cpu,cpu")
    encoder.others[0].network[0].weight.data.fill_(torch.nan)

    with pytest.raises(EncoderError, match="NaN"):
        relax.explain(image(), encoder, masks=20)


def test_the_encoder_moves_to_other_devices_and_back():
    encoder = load(network(), device="cpu")

    two = encoder.to("cpu,cpu")

    assert [str(device) for device in two.devices] == ["cpu", "cpu"]
    assert two.to("cpu,cpu") is two
    assert two.to("cpu").others == ()
    assert two.checksum == encoder.checksum == two.others[0].checksum


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_all_gpus_of_a_machine_without_one_is_refused():
    with pytest.raises(EncoderError, match='"all" means every GPU, and torch finds none here: use "auto"'):
        load("default", device="all")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs here")
def test_two_gpus_give_the_map_of_one():
    single, double = (relax.explain(image(), network(), masks=500, device=device) for device in ("cuda:0", "all"))

    np.testing.assert_allclose(double.importance, single.importance, rtol=1e-4, atol=0)
