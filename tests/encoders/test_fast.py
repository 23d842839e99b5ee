"""The fast form of a network gives the network's own numbers, or is not used; the network itself never changes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import skimage.data
import timm
import torch
import torchvision
from torch import Tensor, nn

import encoders.fast
import encoders.passes
import relax
from encoders import Encoder, EncoderError, load
from encoders.devices import half_type
from encoders.fast import Way
from encoders.passes import TRIAL, Passes, agreement
from encoders.preprocess import Preprocess
from masking import blend

CPU = torch.device("cpu")
needs_half = pytest.mark.skipif(half_type(CPU) is None, reason="this processor has no half precision")


@pytest.fixture(autouse=True)
def half_precision_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is faster depends on the processor; these tests are about what follows."""
    monkeypatch.setattr(Passes, "_faster", lambda self, views, ways: ways)


def pixels(count: int = 3, size: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def trained(network: nn.Module) -> nn.Module:
    """Batch norms as after training: with none of their numbers at 0 or 1, where folding would be nothing."""
    generator = torch.Generator().manual_seed(1)
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.bias, -0.5)):
                values.data = torch.rand(values.shape, generator=generator) + low
            for name, low in (("running_mean", -0.5), ("running_var", 0.5)):
                module._buffers[name] = torch.rand(module.num_features, generator=generator) + low
    return network


def seeded(make: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return trained(make())  # type: ignore[operator]


NORMALISED = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
NETWORKS = {
    "torchvision resnet18": (lambda: torchvision.models.resnet18(), 20),
    "torchvision mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(), 52),
    "timm resnet18": (lambda: timm.create_model("resnet18", num_classes=0), 20),
    "timm resnet26d": (lambda: timm.create_model("resnet26d", num_classes=0), 31),
}


DERIVED = {  # whose layers are timm's own, derived from torch's
    "timm tf_efficientnet_lite0": (lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0), 49),
}


@pytest.mark.parametrize("name", [*NETWORKS, *DERIVED])
def test_every_batch_norm_behind_a_convolution_is_folded_and_the_numbers_stay(name: str) -> None:
    make, norms = {**NETWORKS, **DERIVED}[name]
    network = seeded(make)
    encoder = load(network, device="cpu")
    with torch.inference_mode():
        expected = network(pixels())

    embedding = encoder.embed(pixels())

    assert float((embedding - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    assert encoder.form is not None
    assert encoder.form.applied == (f"{norms} batch norms folded", "channels last")


def test_the_bundled_network_is_folded_too() -> None:
    encoder = load("default", device="cpu")
    view = pixels(4, 96)

    embedding = encoder.embed(view)

    with torch.inference_mode():
        expected = encoder.network(encoder.preprocess.normalise(view))
    assert float((embedding - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    assert encoder.form is not None
    assert encoder.form.applied == ("22 batch norms folded", "channels last")


class Tangled(nn.Module):
    """Convolutions that must not be folded: one used beside its norm, one used twice, and norms used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.beside, self.twice, self.plain = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, pixels: Tensor) -> Tensor:
        raw = self.beside(pixels)
        pixels = self.norms[0](raw) + raw
        pixels = self.norms[1](self.twice(pixels)) + self.twice(2 * pixels)
        return self.norms[2](self.norms[2](self.plain(pixels))).mean((2, 3))


def test_what_cannot_be_folded_is_left_alone() -> None:
    network = seeded(Tangled)
    with torch.inference_mode():
        expected = network(pixels())

    torch.testing.assert_close(load(network, device="cpu").embed(pixels()), expected, rtol=1e-5, atol=1e-6)


def test_a_network_that_cannot_be_copied_or_watched_is_run_as_it_is() -> None:
    class Counts(nn.Sequential):
        def __deepcopy__(self, _: object) -> nn.Module:
            raise TypeError("no")

    network = seeded(lambda: Counts(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)))
    encoder = Encoder(network, device="cpu")

    embedding = encoder.embed(pixels())

    with torch.inference_mode():
        assert torch.equal(embedding, network(pixels()).mean((2, 3)))
    assert encoder.form is not None
    assert encoder.form.applied == ()


def test_the_network_its_checksum_and_the_callers_module_stay_as_they_were() -> None:
    module = seeded(NETWORKS["timm resnet18"][0])
    before = copy.deepcopy(module.state_dict())
    encoder = load(module, device="cpu", precision="fast")
    checksum, names = encoder.checksum, [name for name, _ in encoder.network.named_modules()]

    relax.explain(pixels(1)[0], encoder, masks=40)

    for state in (module.state_dict(), encoder.network.state_dict()):
        assert all(torch.equal(state[name], before[name]) for name in before)
    assert [name for name, _ in encoder.network.named_modules()] == names
    assert Encoder(encoder.network, device="cpu").checksum == checksum
    assert any(isinstance(module, nn.BatchNorm2d) for module in encoder.network.modules())
    assert encoder.network.conv1.weight.is_contiguous()


def test_a_single_image_and_gradients_go_through_the_network_itself() -> None:
    encoder = load(seeded(NETWORKS["timm resnet18"][0]), device="cpu", precision="fast")
    encoder.started(pixels(), Way.HALF)  # there is a fast form now
    with torch.inference_mode():
        expected = encoder.network(pixels(1))

    assert torch.equal(encoder.embed(pixels(1)), expected)
    leaf = pixels(1).requires_grad_()
    with torch.enable_grad():
        embedding = encoder.embed_with_gradients(leaf)
        embedding.sum().backward()
    assert torch.equal(embedding.detach(), expected)
    assert leaf.grad is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NETWORKS)
def test_blends_of_prepared_images_are_embedded_as_the_blends_of_their_pixels(name: str, dtype: torch.dtype) -> None:
    encoder = Encoder(seeded(NETWORKS[name][0]).to(dtype), preprocess=NORMALISED, device="cpu")
    image, fill, masks = pixels(1), pixels(1, seed=1), pixels(3, seed=2)[:, :1]
    passes = Passes(encoder)

    embedding = passes.embed(blend(passes.prepare(image), masks, passes.prepare(fill)))

    rounding = 16 * torch.finfo(dtype).eps if dtype is torch.bfloat16 else 1e-4
    torch.testing.assert_close(embedding, encoder.embed(blend(image, masks, fill)), rtol=rounding, atol=rounding)


def test_the_network_need_not_lay_out_blends_of_prepared_images() -> None:
    passes = Passes(load(seeded(NETWORKS["timm resnet18"][0]), device="cpu"))
    masks = pixels(3, seed=2)[:, :1]

    blended = blend(
        passes.prepare(pixels(1)), masks, passes.prepare(torch.full((1, 3, 1, 1), 0.5).expand(1, 3, 64, 64))
    )

    assert blended.is_contiguous(memory_format=torch.channels_last)


def test_hooks_on_the_network_are_called_and_new_weights_are_seen() -> None:
    encoder = load(seeded(NETWORKS["timm resnet18"][0]), device="cpu")
    before, seen = encoder.embed(pixels()), []
    handle = encoder.network.layer4.register_forward_hook(lambda *_: seen.append(1))

    encoder.embed(pixels())
    handle.remove()
    assert seen == [1]

    with torch.no_grad():
        encoder.network.bn1.weight.mul_(2)
    after = encoder.embed(pixels())
    with torch.inference_mode():
        torch.testing.assert_close(after, encoder.network(pixels()), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, rtol=1e-3)

    encoder.network.layer4 = nn.Identity()
    assert encoder.embed(pixels()).shape == (3, 256)


def test_an_encoder_that_ran_fast_can_be_pickled_copied_and_given_another_precision() -> None:
    encoder = load(seeded(NETWORKS["timm resnet18"][0]), device="cpu", precision="auto")
    expected = encoder.embed(pixels())

    for other in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), encoder.to("cpu")):
        assert other.precision == "auto"
        assert torch.equal(other.embed(pixels()), expected)
    exact = load(encoder, precision="exact")
    assert (exact.precision, encoder.precision) == ("exact", "auto")
    assert exact.network is encoder.network
    assert exact.form is encoder.form
    assert load(encoder).precision == "auto"


def test_an_unknown_precision_is_named_before_anything_is_loaded() -> None:
    with pytest.raises(EncoderError, match="precision must be one of exact, auto, fast; got 'half'"):
        load("timm:no_such_network", precision="half")


def test_agreement_is_the_correlation_of_the_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, generator=generator)
    noisy = scores + 0.3 * torch.randn(50, generator=generator)

    expected = np.corrcoef(scores.double().numpy(), noisy.double().numpy())[0, 1]
    assert agreement(noisy, scores) == pytest.approx(expected, abs=1e-12)
    assert agreement(3 * scores + 1, scores) == pytest.approx(1)
    assert agreement(-scores, scores) == pytest.approx(-1)
    assert agreement(torch.ones(50), scores) == 0  # rounding left nothing


VIEWERS = {
    "bundled": lambda: "default",
    "resnet18": NETWORKS["torchvision resnet18"][0],
    "vit": lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=0),
}


@needs_half
@pytest.mark.parametrize("name", VIEWERS)
def test_the_map_at_auto_agrees_with_the_exact_one(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = load(VIEWERS[name](), device="cpu")
    cat = torch.from_numpy(skimage.data.chelsea()).permute(2, 0, 1)[None].float() / 255
    image = nn.functional.interpolate(cat, (64, 64), mode="bilinear", antialias=True)[0]

    exact, auto = (relax.explain(image, encoder, masks=128, precision=wish) for wish in ("exact", "auto"))

    assert np.corrcoef(exact.importance.ravel(), auto.importance.ravel())[0, 1] >= 0.999
    record = auto.provenance["precision"]
    assert record["dtype"] == "bfloat16"
    assert record["agreement"] >= 0.9995
    assert "autocast" in record["applied"]
    assert exact.provenance["precision"]["dtype"] == "float32"
    assert exact.provenance["precision"]["agreement"] is None


class Narrow(nn.Module):
    """Embeddings whose differences lie where bfloat16 has few digits left."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(4, 3) / 5)
            self.layer.bias.copy_(torch.arange(1.0, 5.0))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layer(pixels.mean((2, 3)))


@needs_half
def test_auto_refuses_to_round_what_would_not_agree_and_fast_says_how_badly() -> None:
    encoder, image = load(seeded(Narrow), device="cpu"), pixels(1, 16)[0]

    exact, auto, fast = (relax.explain(image, encoder, masks=200, precision=wish) for wish in ("exact", "auto", "fast"))

    assert np.array_equal(auto.importance, exact.importance)
    record = auto.provenance["precision"]
    assert record["dtype"] == "float32"
    assert record["agreement"] < 0.9995
    assert "not rounded: agreement below 0.9995" in record["applied"]
    assert fast.provenance["precision"]["dtype"] == "bfloat16"
    assert fast.provenance["precision"]["agreement"] == record["agreement"]
    assert not np.array_equal(fast.importance, exact.importance)


@needs_half
def test_the_agreement_is_judged_by_the_scores_of_the_question() -> None:
    """The same masked views, compared with the image and with a vector at a right angle to all that they show."""
    encoder, image = load("default", device="cpu", precision="auto"), pixels(1, seed=3)[0]
    spread = relax.probe(image, encoder, masks=130, precision="exact").embeddings
    dullest = torch.linalg.svd(spread.double() - spread.double().mean(0))[2][-1].float()

    itself, other = (
        relax.explain(image, encoder, masks=130, reference=reference, similarity="dot") for reference in (None, dullest)
    )

    assert itself.provenance["precision"]["dtype"] == "bfloat16"
    assert other.provenance["precision"]["dtype"] == "float32"
    assert other.provenance["precision"]["agreement"] < 0.9


@needs_half
def test_few_masks_are_not_worth_a_trial() -> None:
    encoder = load("default", device="cpu")

    record = relax.explain(pixels(1)[0], encoder, masks=127, precision="auto").provenance["precision"]

    assert (record["dtype"], record["agreement"]) == ("float32", None)


def test_a_device_without_half_precision_stays_exact_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders.fast, "half_type", lambda device: None)

    record = relax.explain(pixels(1)[0], "default", masks=130, precision="fast").provenance["precision"]

    assert record["dtype"] == "float32"
    assert "no half precision here" in record["applied"]


@needs_half
@pytest.mark.parametrize("precision", ["auto", "fast"])
def test_half_precision_that_is_slower_here_is_not_used(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Passes, "_seconds", lambda self, views, way: 0.8 if way == Way.EXACT else 1.0)

    record = relax.explain(pixels(1)[0], "default", masks=130, precision=precision).provenance["precision"]

    assert (record["dtype"], record["agreement"]) == ("float32", None)
    assert "not rounded: 0.80 x as fast" in record["applied"]


def test_ways_are_ordered_by_times_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this test: an exact pass takes 3 seconds."""
    monkeypatch.undo()
    lasts = {Way.EXACT: 3.0, Way.HALF: 2.0, Way.CONVERTED: 4.0, Way.CONVERTED_HALF: 1.0}
    encoder, clock = load("default", device="cpu"), [0.0]
    taken: list[Way] = []

    def lasting(views: Tensor, way: Way) -> Tensor:
        taken.append(way)
        clock[0] += lasts[way]
        return views

    monkeypatch.setattr(encoders.passes.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(encoder, "started", lasting)

    for passes in (Passes(encoder), Passes(encoder)):
        assert passes._faster(pixels(4), list(Way)[1:]) == [Way.CONVERTED_HALF, Way.HALF]
    assert taken == [way for way in lasts for _ in range(3)]


def first(embeddings: Tensor) -> Tensor:
    return embeddings[:, 0]


class Overflows(Narrow):
    """Returns infinity for bright pixels in half precision."""

    def forward(self, pixels: Tensor) -> Tensor:
        too_large = torch.is_autocast_enabled("cpu") and bool(pixels.mean() > 0.9)
        return super().forward(pixels) * (torch.inf if too_large else 1)


@needs_half
def test_a_batch_beyond_half_precision_is_done_exactly() -> None:
    encoder = load(seeded(Overflows), device="cpu", precision="fast")
    passes = Passes(encoder)
    passes.settle(pixels(TRIAL, 8), first, coming=1000, batch=16)
    assert passes.way == Way.HALF
    bright = 0.95 + pixels(5, 8) / 100

    assert torch.equal(passes.embed(bright), encoder.embed(bright))
    assert "batches beyond half precision done exactly" in passes.record()["applied"]
    with pytest.raises(EncoderError, match="must return finite embeddings"):
        passes.embed(bright * torch.nan)


@needs_half
def test_compiling_waits_until_it_repays_and_then_serves_batches_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def compiler(network: nn.Module, **_: object) -> object:
        def run(given: Tensor) -> Tensor:
            calls.append(len(given))
            return network(given)  # type: ignore[no-any-return]

        return run

    monkeypatch.setattr(torch, "compile", compiler)
    encoder = load(seeded(Narrow), device="cpu", precision="fast")
    passes = Passes(encoder)
    passes.settle(pixels(TRIAL, 8), first, coming=1000, batch=16)
    assert calls == []  # a second of work does not repay a minute of compiling

    monkeypatch.setattr(encoders.passes, "COMPILE_SECONDS", 0.0)
    passes.settle(pixels(TRIAL, 8), first, coming=1000, batch=48)
    whole, part = pixels(48, 8), pixels(7, 8)
    embeddings = [passes.embed(whole), passes.embed(part)]

    assert calls == [48, 48]
    assert "compiled" in passes.record()["applied"]
    assert torch.equal(embeddings[0][:7], embeddings[1])


@needs_half
def test_a_compiler_that_fails_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def compiler(*_: object, **__: object) -> object:
        tried.append(1)
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(encoders.passes, "COMPILE_SECONDS", 0.0)
    encoder = load(seeded(Narrow), device="cpu", precision="fast")

    for seed in range(2):
        explained = relax.explain(pixels(1, 16, seed)[0], encoder, masks=60)
        assert explained.provenance["precision"]["dtype"] == "bfloat16"

    assert tried == [1]
