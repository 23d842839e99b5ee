"""A network in OpenVINO gives its own numbers, and is chosen for masked views only where it is faster and agrees."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import encoders.passes
import relax
from encoders import Encoder, converted, load
from encoders.converted import Converted
from encoders.devices import half_type
from encoders.fast import Way
from encoders.passes import Passes

# Not importorskip, which would import it with its reports.
pytestmark = pytest.mark.skipif(not converted.available(), reason="the extra [openvino] is not installed")
needs_half = pytest.mark.skipif(half_type(torch.device("cpu")) is None, reason="this processor has no half precision")


class Small(nn.Sequential):
    """Two convolutions whose embeddings tell pictures apart."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = super().forward(pixels)
        return features.mean((2, 3))


class Branches(Small):
    """Does with dark batches what tracing a bright one does not see."""

    def forward(self, pixels: Tensor) -> Tensor:
        features = super().forward(pixels)
        return features if pixels.mean() > 0.5 else features.square()


class Detours(Small):
    """Leaves torch, which tracing takes for a constant."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.from_numpy(super().forward(pixels).detach().numpy().copy())


def pixels(count: int = 3, size: int = 24, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks here are far too small to repay it, and which way is fastest depends on the processor."""
    order = [Way.CONVERTED_HALF, Way.CONVERTED, Way.HALF]
    monkeypatch.setattr(encoders.passes, "CONVERT_SECONDS", 0.0)
    monkeypatch.setattr(Passes, "_faster", lambda self, views, ways: sorted(ways, key=order.index))


def precision_of(network: nn.Module, precision: str) -> tuple[dict[str, object], np.ndarray]:
    explanation = relax.explain(pixels(1)[0], load(network, device="cpu"), cells=3, masks=160, precision=precision)
    return explanation.provenance["precision"], explanation.importance


def test_its_numbers_are_the_networks_for_batches_of_any_number() -> None:
    network = Small().eval()
    with torch.inference_mode():
        expected = network(pixels(7))
        other = Converted(network, pixels(2, seed=1))

        for count in (7, 1, 4):
            torch.testing.assert_close(
                other.run(pixels(7)[:count], torch.float32), expected[:count], rtol=1e-5, atol=1e-6
            )


@needs_half
def test_in_bfloat16_they_are_rounded() -> None:
    network = Small().eval()
    with torch.inference_mode():
        rounded, expected = Converted(network, pixels(2)).run(pixels(), torch.bfloat16), network(pixels())

    error = float((rounded - expected).abs().max() / expected.abs().max())
    assert 1e-5 < error < 2**-6  # bfloat16 has 8 binary digits


def test_answers_are_the_callers_own() -> None:
    other = Converted(Small().eval(), pixels(2))
    first = other.run(pixels(), torch.float32)
    kept = first.clone()

    other.run(1 - pixels(), torch.float32)

    assert torch.equal(first, kept)


def test_openvino_reports_to_nobody() -> None:
    Converted(Small().eval(), pixels(2))

    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]


@needs_half
def test_auto_takes_the_fastest_way_that_agrees(always_worth_it: None) -> None:
    exact, auto = (precision_of(Small().eval(), wish) for wish in ("exact", "auto"))

    record = auto[0]
    assert record["applied"] == ["1 batch norms folded", "channels last", "OpenVINO, bfloat16"]
    assert record["dtype"] == "bfloat16"
    assert float(str(record["agreement"])) >= 0.9995
    assert np.corrcoef(exact[1].ravel(), auto[1].ravel())[0, 1] >= 0.999
    assert "OpenVINO" not in str(exact[0])


@needs_half
def test_where_rounding_does_not_agree_it_is_float32(always_worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders.passes, "AGREEMENT", 1 - 1e-6)  # which 8 binary digits do not reach, and 24 do

    (_, exact), (record, importance) = (precision_of(Small().eval(), wish) for wish in ("exact", "auto"))

    assert record["applied"][2:] == ["OpenVINO", "not in OpenVINO, bfloat16: agreement below 0.999999"]  # type: ignore[index]
    assert record["dtype"] == "float32"
    assert float(str(record["agreement"])) == 1
    np.testing.assert_allclose(importance, exact, rtol=0, atol=1e-5)


def test_what_tracing_does_not_see_is_seen_by_the_scores(always_worth_it: None) -> None:
    """It is traced and compared on bright pixels, and the masked views are dark."""
    encoder = load(Branches().eval(), device="cpu", precision="auto")
    passes = Passes(encoder)
    encoder.convert(pixels(2) / 4 + 0.75)
    assert encoder.form is not None
    assert Way.CONVERTED in encoder.form.ways

    passes.settle(pixels(32) / 4, lambda embeddings: embeddings[:, 0], coming=1000, batch=16)

    assert passes.way not in (Way.CONVERTED, Way.CONVERTED_HALF)
    assert "not in OpenVINO: agreement below 0.9995" in passes.record()["applied"]


@pytest.mark.parametrize("precision", ["auto", "fast"])
def test_what_cannot_be_traced_is_not_converted_and_says_so(always_worth_it: None, precision: str) -> None:
    record, _ = precision_of(Detours().eval(), precision)

    assert [note for note in record["applied"] if note.startswith("not in OpenVINO: ")]  # type: ignore[attr-defined]
    assert not {str(way) for way in Way if "OpenVINO" in way} & set(record["applied"])  # type: ignore[call-overload]


def test_few_passes_do_not_repay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders.passes, "CONVERT_SECONDS", 1e9)
    encoder = load(Small().eval(), device="cpu")

    relax.explain(pixels(1)[0], encoder, cells=3, masks=160, precision="auto")

    assert encoder.form is not None
    assert encoder.form._converted is None


def test_without_the_extra_nothing_is_said_of_it(always_worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted, "available", lambda: False)

    assert "OpenVINO" not in str(precision_of(Small().eval(), "auto")[0])


def test_networks_of_other_numbers_stay_in_torch() -> None:
    encoder = Encoder(Small().eval().double(), device="cpu")

    encoder.convert(pixels(2))

    assert encoder.form is not None
    assert Way.CONVERTED not in encoder.form.ways


SIGNALLED = """
import os, signal, torch
from torch import nn
from encoders.converted import Converted

def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()

pictures = torch.rand(2, 3, 8, 8)
pair = [Converted(network(), pictures) for _ in range(2)]
for converted in pair:
    converted.run(pictures, torch.float32)
del converted
while pair:
    del pair[0]
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="of signals as Linux and macOS have them")
def test_ctrl_c_is_heeded_after_networks_were_converted_and_are_gone() -> None:
    """In a process of its own: where the stack for its signals is gone, it dies of a segmentation fault."""
    child = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=120)

    assert (child.returncode, child.stdout) == (0, "stopped\n"), child.stderr
