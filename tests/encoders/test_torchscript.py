"""TorchScript, of which torch supports little but running, loads and is explained as the module it was made from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relax
from encoders import EncoderError, load
from encoders.fast import state_of

PIXELS = torch.rand(3, 3, 20, 24, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Dropout()
            )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels).mean((2, 3))


def script(module: nn.Module) -> nn.Module:
    return torch.jit.script(module)


def frozen(module: nn.Module) -> nn.Module:
    return torch.jit.freeze(script(module.eval()))


FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "script": script,
    "script in train mode": lambda module: script(module.train()),
    "trace": lambda module: torch.jit.trace(module.eval(), PIXELS[:2]),
    "frozen": frozen,
}


@pytest.fixture(autouse=True)
def _without_deprecation() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.jit")


@pytest.mark.parametrize("name", FORMS)
def test_it_loads_from_a_file_and_embeds_as_the_module_does(name: str, tmp_path: Path) -> None:
    torch.jit.save(FORMS[name](Net()), tmp_path / "net.pt")
    with torch.no_grad():
        expected = Net().eval()(PIXELS)

    scripted = torch.jit.load(tmp_path / "net.pt")
    encoder = load(scripted, device="cpu")

    for _ in range(3):  # the compiler of TorchScript changes its mind after the first runs
        torch.testing.assert_close(encoder(PIXELS), expected)
        torch.testing.assert_close(encoder(PIXELS[:1]), expected[:1])
    assert encoder.name == "Net"
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())
    assert all(parameter.requires_grad for parameter in scripted.parameters())


@pytest.mark.parametrize("name", FORMS)
def test_maps_are_those_of_the_module(name: str) -> None:
    for method in ("relax", "saliency", "occlusion"):
        scripted, plain = (
            relax.explain(PIXELS[0], network, method=method, device="cpu", masks=40 if method == "relax" else None)
            for network in (FORMS[name](Net()), Net())
        )
        np.testing.assert_allclose(scripted.importance, plain.importance, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "lafam", "attention", "guided-backprop"])
def test_methods_that_watch_layers_are_refused_in_one_line(method: str) -> None:
    with pytest.raises(relax.baselines.MethodError, match=r"encoder 'Net' (is TorchScript|has none)") as caught:
        relax.explain(PIXELS[0], script(Net()), method=method, device="cpu")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMS)
def test_the_checksum_follows_the_weights(name: str) -> None:
    first, same, other = (load(FORMS[name](Net(seed)), device="cpu").checksum for seed in (0, 0, 1))

    assert first is not None
    assert first == same
    assert first != other
    if name != "frozen":
        assert first == load(Net(), device="cpu").checksum


def test_without_weights_the_code_decides_and_hidden_weights_give_no_checksum() -> None:
    means = [nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten()) for side in (1, 1, 2)]
    first, same, other = (load(script(mean), device="cpu").checksum for mean in means)

    assert first is not None
    assert first == same
    assert first != other
    hidden = torch.jit.optimize_for_inference(script(Net().eval()))
    assert load(hidden, device="cpu").checksum is None
    torch.testing.assert_close(load(hidden, device="cpu")(PIXELS), load(Net(), device="cpu")(PIXELS))


def test_a_part_of_its_answer_can_be_taken() -> None:
    class Pair(Net):
        def forward(self, pixels: Tensor) -> dict[str, Tensor]:
            features = self.body(pixels)
            return {"maps": features, "mean": features.mean((2, 3))}

    encoder = load(script(Pair()), output="mean", device="cpu")

    torch.testing.assert_close(encoder(PIXELS), load(Net(), device="cpu")(PIXELS))
    with pytest.raises(EncoderError, match=r"maps \(3, 4, 16, 20\), mean \(3, 4\); got 'body': take one of these"):
        load(script(Pair()), output="body", device="cpu")(PIXELS)


@pytest.mark.parametrize("channels", [1, 4])
def test_the_number_of_channels_is_that_of_the_first_convolution(channels: int) -> None:
    own = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Conv2d(4, 4, 3, groups=4))

    assert load(script(own), device="cpu").channels == channels
    assert load(torch.jit.trace(own, PIXELS[:, :1].expand(-1, channels, -1, -1)), device="cpu").channels == channels
    assert load(frozen(own), channels=channels, device="cpu").channels == channels


def test_the_fast_form_is_made_once_and_half_precision_runs() -> None:
    encoder = load(script(Net()), device="cpu", precision="fast")

    assert state_of(encoder.network) == state_of(encoder.network)
    assert encoder.form is encoder.form
    assert relax.explain(PIXELS[0], encoder, masks=40).importance.shape == (20, 24)
