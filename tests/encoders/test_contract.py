"""Every encoder, whatever it was loaded from, keeps the same contract and changes nothing of the caller's."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from encoders import Encoder, EncoderError, load
from encoders.kinds import BUNDLED
from tests.onnx_graphs import Graph


def small_module() -> nn.Module:
    """Batch norm tells eval from train mode, dropout tells draws, the mean is the pooling."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1))


def colour_mean(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3))


def small_graph() -> str:
    """Three pictures a run, so that batches are cut and filled up."""
    return f"onnx:{Graph(batch=3).saved(Path(FOLDER.name) / 'graph.onnx')}?mean=0.5&std=0.25"


FOLDER = TemporaryDirectory()
SPECS = {
    "default": "default",
    "random:default": "random:default",
    "timm vit": "random:timm:test_vit",
    "timm vit, mean": "random:timm:test_vit",
    "timm cnn": "random:timm:test_resnet",
    "torchvision cnn": "random:torchvision:resnet18",
    "module": small_module,
    "function": lambda: colour_mean,
    "onnx": small_graph,
}


@pytest.fixture(scope="module", params=SPECS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "default" and not BUNDLED.exists():
        pytest.skip("encoders/default.safetensors is not there yet")
    spec = SPECS[request.param]
    pooling = "mean" if "mean" in request.param else "auto"
    return load(spec if isinstance(spec, str) else spec(), device="cpu", pooling=pooling)


def test_pixels_of_any_size_become_one_finite_float32_vector_each(encoder: Encoder, pixels: Tensor) -> None:
    for images in (pixels, pixels[:1, :, :33, :31]):
        embedding = encoder(images)

        assert embedding.ndim == 2
        assert len(embedding) == len(images)
        assert embedding.dtype == torch.float32
        assert embedding.device == encoder.device
        assert torch.isfinite(embedding).all()


def test_calling_is_embedding_the_view(encoder: Encoder, pixels: Tensor) -> None:
    view = encoder.view(pixels)

    assert float(view.min()) >= 0
    assert float(view.max()) <= 1
    torch.testing.assert_close(encoder.embed(view), encoder(pixels), rtol=0, atol=0)


def test_the_result_does_not_depend_on_how_the_batch_is_cut(encoder: Encoder, pixels: Tensor) -> None:
    view = encoder.view(pixels)
    whole = encoder.embed(view)

    for batch in (1, 2, 3):
        cut = torch.cat([encoder.embed(part) for part in view.split(batch)])
        # Other batch sizes may add in another order; 1e-5 of the embedding's own size is rounding.
        torch.testing.assert_close(cut, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


def test_different_pictures_get_different_vectors(encoder: Encoder, pixels: Tensor) -> None:
    embedding = encoder(pixels)

    assert float((embedding[0] - embedding[1]).abs().max()) > 1e-6


def test_the_network_is_frozen(encoder: Encoder) -> None:
    if not isinstance(encoder.network, nn.Module):
        pytest.skip("a function has no weights to freeze")

    assert not any(module.training for module in encoder.network.modules())
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())
    assert not any(tensor.is_inference() for tensor in encoder.network.state_dict().values())


def test_embedding_leaves_no_trace_in_the_network(encoder: Encoder, pixels: Tensor) -> None:
    if not isinstance(encoder.network, nn.Module):
        pytest.skip("a function has no weights to change")
    before = {name: value.clone() for name, value in encoder.network.state_dict().items()}

    encoder(pixels)

    after = encoder.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_embeddings_carry_no_gradient_even_when_pixels_require_it(encoder: Encoder, pixels: Tensor) -> None:
    assert not encoder(pixels.clone().requires_grad_()).requires_grad


def test_gradients_can_still_be_had_from_the_public_network(encoder: Encoder, pixels: Tensor) -> None:
    """Gradient methods go past `embed`: view, normalise, network."""
    if encoder.opaque:
        pytest.skip(f"{encoder.opaque} has no gradients")
    encoder(pixels)  # what was cached in inference mode must not stand in the way
    view = encoder.view(pixels).clone().requires_grad_()

    embedding = encoder.network(encoder.preprocess.normalise(view))
    # Not the plain sum: after a layer norm it is constant.
    (embedding * torch.linspace(0, 1, embedding.shape[1])).sum().backward()

    assert view.grad is not None
    assert float(view.grad.abs().max()) > 0


@pytest.mark.parametrize("name", SPECS)
def test_loading_and_embedding_draw_nothing_from_the_callers_generators(name: str, pixels: Tensor) -> None:
    if name == "default" and not BUNDLED.exists():
        pytest.skip("encoders/default.safetensors is not there yet")
    spec = SPECS[name] if isinstance(SPECS[name], str) else SPECS[name]()
    torch.manual_seed(11)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    load(spec, device="cpu", seed=5)(pixels)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_a_module_given_by_the_user_is_left_exactly_as_it_was(pixels: Tensor) -> None:
    module = small_module().train()
    module(pixels).sum().backward()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in module.parameters()]

    encoder = load(module, device="cpu")
    encoder(pixels)

    assert encoder.network is not module
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())
    assert all(torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients, strict=True))
    assert all(parameter.grad is None for parameter in encoder.network.parameters())


def test_the_users_later_training_does_not_reach_the_encoder(pixels: Tensor) -> None:
    module = small_module()
    encoder = load(module, device="cpu")
    before = encoder(pixels)

    with torch.no_grad():
        module[0].weight.zero_()

    torch.testing.assert_close(encoder(pixels), before, rtol=0, atol=0)


def test_an_encoder_loaded_in_inference_mode_can_still_give_gradients(pixels: Tensor) -> None:
    with torch.inference_mode():
        encoder = load(small_module(), device="cpu")

    view = pixels.clone().requires_grad_()
    encoder.network(view).sum().backward()

    assert view.grad is not None


def test_a_plain_module_gets_the_pixels_as_they_are(pixels: Tensor) -> None:
    module = small_module().eval()

    with torch.no_grad():
        expected = module(pixels).flatten(1)

    torch.testing.assert_close(load(module, device="cpu")(pixels), expected)


def test_an_encoder_passes_through() -> None:
    encoder = load(small_module(), device="cpu")

    assert load(encoder) is encoder
    assert load(encoder, device="cpu") is encoder


def test_the_pooling_of_an_encoder_is_not_changed_in_silence() -> None:
    encoder = load(small_module(), device="cpu", pooling="mean")

    assert load(encoder, pooling="mean") is encoder
    with pytest.raises(
        EncoderError, match="pooling of an Encoder cannot be changed, here 'mean'; got 'cls': load its spec"
    ):
        load(encoder, pooling="cls")
