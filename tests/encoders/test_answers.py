"""The embedding is the part of a network's answer that the caller named, whatever form the answer has."""

from __future__ import annotations

import pickle
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

import relax
from encoders import EncoderError, load
from encoders.passes import Passes

Pair = namedtuple("Pair", ["features", "scores"])


@dataclass
class Answer:
    features: Tensor
    scores: Tensor


FORMS: dict[str, tuple[Callable[[Tensor, Tensor], Any], Any]] = {
    "key of a dict": (lambda f, s: {"scores": s, "features": f}, "features"),
    "number as key": (lambda f, s: {7: s, 3: f}, 3),
    "place in a tuple": (lambda f, s: (s, f), 1),
    "place from the end": (lambda f, s: [f, s], -2),
    "field of a named tuple": (lambda f, s: Pair(f, s), "features"),
    "place in a named tuple": (lambda f, s: Pair(f, s), 0),
    "field of a dataclass": (lambda f, s: Answer(f, s), "features"),
    "attribute": (lambda f, s: SimpleNamespace(features=f, scores=s), "features"),
    "function": (lambda f, s: {"nested": (s, {"deep": f})}, lambda answer: answer["nested"][1]["deep"]),
    "array in a dict": (lambda f, s: {"scores": s.numpy(), "features": f.numpy()}, "features"),
    "alone in a dict": (lambda f, s: {"features": f, "note": "text"}, None),
    "alone in a tuple": (lambda f, s: (f,), None),
    "an array": (lambda f, s: f.numpy(), None),
    "an array of doubles": (lambda f, s: f.double().numpy(), None),
}


class Network(nn.Module):
    """Two convolutions, whose mean is the features, and scores; answers in any form."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any] | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
            self.body = nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU(inplace=True))
            self.scores = nn.Linear(6, 4)
        self.form = form

    def features(self, pixels: Tensor) -> Tensor:
        return self.body(self.stem(pixels)).mean((2, 3))

    def forward(self, pixels: Tensor) -> Any:
        features = self.features(pixels)
        return self.scores(features) if self.form is None else self.form(features, self.scores(features))


PIXELS = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["module", "function"])
@pytest.mark.parametrize("name", FORMS)
def test_the_named_part_is_the_embedding(name: str, kind: str) -> None:
    form, output = FORMS[name]
    network = Network(form).eval()
    with torch.no_grad():
        expected = network.features(PIXELS)

    encoder = load(network if kind == "module" else lambda pixels: network(pixels), output=output, device="cpu")

    for pixels in (PIXELS, PIXELS[:1]):
        torch.testing.assert_close(encoder(pixels), expected[: len(pixels)])
        assert encoder(pixels).dtype == torch.float32


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("scores", lambda network: network(PIXELS)),
        ("stem", lambda network: network.stem(PIXELS).mean((2, 3))),
        # The next layer overwrites what this one returned.
        ("stem.1", lambda network: network.stem[1](network.stem[0](PIXELS)).mean((2, 3))),
    ],
)
def test_the_name_of_a_layer_takes_what_the_layer_returns(layer: str, expected: Callable[[Network], Tensor]) -> None:
    network = Network().eval()

    with torch.no_grad():
        torch.testing.assert_close(load(network, output=layer, device="cpu")(PIXELS), expected(network))
    assert not any(module._forward_hooks for module in network.modules())


def test_an_entry_goes_before_a_layer_of_its_name() -> None:
    network = Network(lambda features, scores: {"scores": features}).eval()

    with torch.no_grad():
        torch.testing.assert_close(load(network, output="scores", device="cpu")(PIXELS), network.features(PIXELS))


def test_the_layer_before_the_classifier_of_a_timm_network_is_its_embedding() -> None:
    network = timm.create_model("test_resnet").eval()
    bare = timm.create_model("test_resnet", num_classes=0).eval()
    bare.load_state_dict({name: value for name, value in network.state_dict().items() if "fc" not in name})

    with torch.no_grad():
        torch.testing.assert_close(load(network, output="global_pool", device="cpu")(PIXELS), bare(PIXELS))


def test_prefix_tokens_of_the_module_stay_out_of_the_mean_of_the_part() -> None:
    tokens = torch.arange(2 * 4 * 3).view(2, 4, 3).float()
    network = Network(lambda features, scores: {"tokens": tokens, "scores": scores})
    network.num_prefix_tokens = 2

    embedding = load(network, output="tokens", pooling="mean", device="cpu")(PIXELS[:2])

    torch.testing.assert_close(embedding, tokens[:, 2:].mean(1))


@pytest.fixture(scope="module")
def vit() -> ViTModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        return ViTModel(ViTConfig(image_size=12, patch_size=4, **sizes)).eval()


def test_the_model_output_of_transformers_is_understood(vit: ViTModel) -> None:
    with torch.no_grad():
        answer = vit(PIXELS)

    for output, pooling, expected in [
        ("pooler_output", "auto", answer.pooler_output),
        ("last_hidden_state", "cls", answer.last_hidden_state[:, 0]),
        (lambda answer: answer.last_hidden_state[:, 1:].mean(1), "auto", answer.last_hidden_state[:, 1:].mean(1)),
        (1, "auto", answer[1]),
    ]:
        embedding = load(vit, output=output, pooling=pooling, device="cpu")(PIXELS)
        torch.testing.assert_close(embedding, expected)


def test_several_parts_are_refused_with_their_names_and_shapes(vit: ViTModel) -> None:
    with pytest.raises(
        EncoderError,
        match=r"encoder 'ViTModel' returned several tensors, last_hidden_state \(1, 10, 16\), pooler_output \(1, 16\): "
        r"say which is the embedding, as in relax.load_encoder\(module, output='last_hidden_state'\)",
    ):
        load(vit, device="cpu")(PIXELS[:1])


@pytest.mark.parametrize(
    ("answer", "output", "message"),
    [
        (
            {"features": 1, "scores": PIXELS},
            "feature",
            r"features int, scores \(3, 3, 12, 12\); got 'feature': did you mean",
        ),
        ((PIXELS, PIXELS), 2, r"0 \(3, 3, 12, 12\), 1 \(3, 3, 12, 12\); got 2: take one of these"),
        (PIXELS, 0, r"a tensor \(3, 3, 12, 12\); got 0: leave output= out, or name a layer"),
        (PIXELS, "shape", "got 'shape': leave output= out"),
        ({"a": [PIXELS, PIXELS]}, "a", r"returned several tensors, 0 \(3, 3, 12, 12\), 1"),
        ({"a": "text"}, "a", "returned a str; expected a tensor"),
        ([[0.5, 0.25]] * 3, None, "returned a list; expected a tensor"),
        (np.array(["a", "b", "c"]), None, "returned a ndarray; expected a tensor"),
        (PIXELS, True, "output must be the name or number of what encoder .* returns, or a function .*; got bool"),
        (PIXELS, 0.5, "got float"),
    ],
)
def test_what_is_not_there_or_no_tensor_is_refused_in_one_line(answer: object, output: Any, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load(lambda pixels: answer, output=output)(PIXELS)

    assert "\n" not in str(caught.value)


def test_a_layer_that_runs_twice_or_never_is_refused() -> None:
    class Twice(Network):
        def forward(self, pixels: Tensor) -> Tensor:
            return self.body(self.body(self.stem(pixels)))

    with pytest.raises(EncoderError, match="must be a layer that runs once for encoder 'Twice'; 'body' ran 2 times"):
        load(Twice(), output="body", device="cpu")(PIXELS)
    with pytest.raises(EncoderError, match="'scores' ran 0 times"):
        load(Twice(), output="scores", device="cpu")(PIXELS)


@pytest.mark.parametrize("output", ["features", "stem.1"])
def test_the_fast_form_and_half_precision_give_the_same_part(output: str) -> None:
    form = FORMS["key of a dict"][0] if output == "features" else None
    encoder = load(Network(form), output=output, device="cpu")
    expected = encoder(PIXELS[:1])

    assert encoder.form is not None
    torch.testing.assert_close(encoder(PIXELS)[:1], expected, rtol=1e-4, atol=1e-5)
    rounded = Passes(encoder).embed(encoder.prepare(PIXELS))
    torch.testing.assert_close(rounded[:1], expected, rtol=1e-4, atol=1e-5)
    if output == "features":
        assert "1 batch norms folded" in encoder.form.applied


def test_an_answer_of_several_parts_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled network on a GPU writes every answer to the same memory, and only tensors are copied out of it."""
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    encoders = {output: load(Network(FORMS["alone in a dict"][0]), output=output, device="cpu") for output in (None, 0)}

    with pytest.raises(TypeError, match="more than a tensor"):
        encoders[None].form.compile(PIXELS)
    encoders[0].form.compile(PIXELS)

    assert [encoder.form.compiled for encoder in encoders.values()] == [False, True]


def test_gradients_reach_the_pixels_through_the_part() -> None:
    network = Network(FORMS["key of a dict"][0]).eval()
    encoder = load(network, output="features", device="cpu")
    pixels, same = (PIXELS.clone().requires_grad_() for _ in range(2))

    encoder.embed_with_gradients(pixels)[:, 0].sum().backward()
    network.features(same)[:, 0].sum().backward()

    torch.testing.assert_close(pixels.grad, same.grad)


@pytest.mark.parametrize(("output", "name"), [("features", "features"), (0, "0"), (str, "str")])
def test_the_name_of_the_encoder_says_the_part(output: Any, name: str) -> None:
    assert load(Network(), output=output, device="cpu").name == f"Network[{name}]"


def test_a_part_can_be_explained_moved_and_pickled() -> None:
    encoder = load(Network(picklable_form), output="features", device="cpu")
    again = pickle.loads(pickle.dumps(encoder))
    maps = [
        relax.explain(PIXELS[0], each, masks=20).importance for each in (encoder, again, load(bare_features, "cpu"))
    ]

    assert encoder.to("meta").devices == (torch.device("meta"),)
    np.testing.assert_allclose(maps[1], maps[0])
    np.testing.assert_allclose(maps[2], maps[0], rtol=1e-4, atol=1e-6)
    assert relax.explain(PIXELS[0], encoder, method="gradcam").provenance["settings"]["layer"] == "body"


def test_several_devices_give_the_same_part() -> None:
    double = load(Network(picklable_form), output="features", device="cpu,cpu")
    view = double.prepare(PIXELS)

    torch.testing.assert_close(Passes(double).embed(view), load(bare_features)(PIXELS), rtol=1e-4, atol=1e-5)
    assert double.others[0].network.network is not double.network.network


def picklable_form(features: Tensor, scores: Tensor) -> dict[str, Tensor]:
    return {"scores": scores, "features": features}


def bare_features(pixels: Tensor) -> Tensor:
    return Network().eval().features(pixels)


def first(answer: Any) -> Tensor:
    return answer["features"]


def second(answer: Any) -> Tensor:
    return answer["scores"]


def test_the_checksum_tells_parts_apart_and_is_the_same_for_the_same_part() -> None:
    checksums = [
        load(Network(picklable_form), output=x, device="cpu").checksum for x in ("features", "scores", 0, first, second)
    ]

    assert None not in checksums
    assert len({*checksums, load(Network(), device="cpu").checksum}) == 6
    assert load(Network(picklable_form), output="scores", device="cpu").checksum == checksums[1]
    key = "features"
    assert load(Network(picklable_form), output=lambda answer: answer[key], device="cpu").checksum is None
