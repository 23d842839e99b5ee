"""Robustness and sanity: methods whose maps are known answer as they must; Quantus under the same noise."""

import numpy as np
import pytest
import quantus
import torch
from torch import nn

import relax
from encoders import load
from relax.metrics import (
    METRICS,
    Case,
    Trial,
    encoder_randomisation,
    max_sensitivity,
    randomised,
    seed_stability,
    target_randomisation,
)
from relax.metrics.maps import known_in_both, mid_ranks, pearson, spearman
from relax.scene import Scene
from relax.settings import Hiding

CNN, VIT = "random:timm:test_resnet", "random:timm:test_vit"


@pytest.fixture
def image():
    return torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3


def shades(pixels):
    """A map that is a function of the picture."""
    return (pixels[0, 0].double().numpy() * 3) ** 2


def test_ranks_and_correlations_are_those_of_the_definition():
    values = np.array([3.0, 1.0, 3.0, 2.0])

    assert mid_ranks(values).tolist() == [3.5, 1, 3.5, 2]
    assert pearson(values, 10 - 2 * values) == pytest.approx(-1)
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    rng = np.random.default_rng(0)
    first, second = rng.random(50), rng.random(50)
    assert pearson(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1])
    assert np.isnan(pearson(first, np.ones(50)))


def test_a_map_that_ignores_the_picture_is_perfectly_robust(image):
    fixed = np.arange(36.0).reshape(6, 6)

    assert max_sensitivity(lambda pixels: fixed, image) == 0


def test_the_sensitivity_is_the_largest_relative_change(image):
    """Noise drawn again here, one picture after the other."""
    centred = max_sensitivity(shades, image, radius=0.1, samples=4, seed=3)
    raw = max_sensitivity(shades, image, radius=0.1, samples=4, seed=3, centred=False)

    rng = np.random.default_rng((6, 3))
    before = shades(image)
    changes, shapes = [], []
    for _ in range(4):
        noisy = image + torch.from_numpy(rng.uniform(-0.1, 0.1, image.shape)).float()
        change = shades(noisy) - before
        changes.append(np.linalg.norm(change))
        shapes.append(np.linalg.norm(change - change.mean()))
    assert centred == pytest.approx(max(shapes) / np.linalg.norm(before - before.mean()), rel=1e-6)
    assert raw == pytest.approx(max(changes) / np.linalg.norm(before), rel=1e-6)


def test_a_constant_in_the_map_does_not_make_it_look_robust(image):
    plain = max_sensitivity(shades, image)

    assert max_sensitivity(lambda pixels: shades(pixels) + 100, image) == pytest.approx(plain)
    assert max_sensitivity(lambda pixels: shades(pixels) * 1e-6, image) == pytest.approx(plain)
    shifting = max_sensitivity(lambda pixels: shades(image) + float(pixels.sum()), image)  # all pixels alike
    assert shifting == pytest.approx(0, abs=1e-6)
    assert max_sensitivity(lambda pixels: shades(pixels) + 100, image, centred=False) < plain / 10


def test_noise_stays_within_the_pixels_that_there_are():
    seen = []

    max_sensitivity(lambda pixels: seen.append(pixels) or shades(pixels), torch.rand(1, 1, 6, 6).round(), radius=0.3)

    assert all(pixels.min() >= 0 and pixels.max() <= 1 for pixels in seen)
    assert all(0 < (pixels - seen[0]).abs().max() <= 0.3 + 1e-6 for pixels in seen[1:])


def test_the_sensitivity_agrees_with_quantus(image):
    drawn = np.random.default_rng((6, 3))

    def noise(arr, **_):
        return arr + drawn.uniform(-0.1, 0.1, (1, 1, 6, 6)).reshape(arr.shape).astype(np.float32)

    metric = quantus.MaxSensitivity(
        nr_samples=4,
        perturb_func=noise,
        abs=False,
        normalise=False,
        disable_warnings=True,
        display_progressbar=False,
        return_aggregate=False,
    )
    theirs = metric(
        model=nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).eval(),
        x_batch=image.numpy(),
        y_batch=np.array([0]),
        a_batch=shades(image)[None, None],
        explain_func=lambda inputs, **_: shades(torch.from_numpy(np.asarray(inputs)))[None, None],
    )

    ours = max_sensitivity(shades, image, radius=0.1, samples=4, seed=3, centred=False)
    assert ours == pytest.approx(float(theirs[0]), abs=1e-6)


def test_stability_is_the_mean_correlation_of_all_pairs():
    rng = np.random.default_rng(0)
    maps = [rng.random((4, 5)) for _ in range(3)]
    pairs = [np.corrcoef(maps[i].ravel(), maps[j].ravel())[0, 1] for i, j in [(0, 1), (0, 2), (1, 2)]]

    assert seed_stability(maps) == pytest.approx(np.mean(pairs))
    assert seed_stability([maps[0], maps[0] * 2 + 1]) == pytest.approx(1)
    with pytest.raises(ValueError, match="maps must be two or more to compare; got 1"):
        seed_stability(maps[:1])


@pytest.mark.parametrize("spec", [CNN, VIT])
def test_layers_become_random_from_the_top_down_until_all_are(spec):
    encoder = load(spec, device="cpu", seed=1)
    before = {name: value.clone() for name, value in encoder.network.named_parameters()}
    order = list(before)
    state = torch.random.get_rng_state()

    changed = []
    for layer, share, other in randomised(encoder, stages=3, seed=0):
        now = dict(other.network.named_parameters())
        changed.append({name for name in order if not torch.equal(now[name], before[name])})
        assert (layer, share) is not None
        assert other.preprocess == encoder.preprocess

    assert torch.equal(state, torch.random.get_rng_state())
    assert changed[0] < changed[1] < changed[2]
    constant = {name for name in order if before[name].std(correction=0) == 0}  # norms stay at 1 and 0
    assert set(order) - changed[2] <= constant
    assert order[0] not in changed[0]  # the bottom is the last to change
    top = [name for name in order if name not in constant][-1]
    assert top in changed[0]
    for name, value in encoder.network.named_parameters():
        assert torch.equal(value, before[name]), f"{name} of the encoder itself"


def test_random_weights_follow_the_seed():
    encoder = load(CNN, device="cpu")
    pixels = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))

    def last(seed):
        return list(other(pixels).clone() for _, _, other in randomised(encoder, stages=2, seed=seed))[-1]

    assert torch.equal(last(0), last(0))
    assert torch.equal(last(0), [other(pixels) for _, _, other in randomised(encoder, stages=2)][-1])
    assert not torch.equal(last(0), last(1))


def test_a_map_that_ignores_the_encoder_fails_the_sanity_check():
    encoder = load(CNN, device="cpu")
    fixed = np.arange(36.0).reshape(6, 6)

    stages = encoder_randomisation(lambda changed: fixed, encoder, fixed, stages=2)

    assert [stage.correlation for stage in stages] == pytest.approx([1, 1])
    assert stages[-1].share == 1


def test_each_stage_is_compared_with_the_map_of_the_trained_network():
    encoder = load(CNN, device="cpu")
    rng = np.random.default_rng(0)
    maps = [rng.random((6, 6)) for _ in range(3)]
    coming = iter(maps[1:])

    stages = encoder_randomisation(lambda changed: next(coming), encoder, maps[0], stages=2)

    assert [stage.correlation for stage in stages] == pytest.approx(
        [spearman(maps[0].ravel(), other.ravel()) for other in maps[1:]]
    )


def test_a_function_has_no_weights_to_make_random():
    with pytest.raises(ValueError, match="is a function, whose weights cannot be made random"):
        list(randomised(load(lambda pixels: pixels.flatten(1), device="cpu")))


def test_maps_for_other_references_are_compared():
    rng = np.random.default_rng(0)
    maps = {name: rng.random((6, 6)) for name in "abc"}

    correlation = target_randomisation(maps.__getitem__, maps["a"], ["b", "c"])

    expected = [spearman(maps["a"].ravel(), maps[name].ravel()) for name in "bc"]
    assert correlation == pytest.approx(np.mean(expected))
    assert target_randomisation(lambda _: maps["a"], maps["a"], ["b"]) == pytest.approx(1)
    with pytest.raises(ValueError, match="others must hold one or more other references"):
        target_randomisation(maps.__getitem__, maps["a"], [])


def test_each_metric_explains_as_often_as_it_says_with_one_thing_changed():
    encoder = load(CNN, device="cpu")
    pixels = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    trial = Trial.of(Scene.of(pixels, encoder, Hiding()))
    rng = np.random.default_rng(0)
    expected = {
        "max-sensitivity": "image",
        "seed-stability": "seed",
        "encoder-randomisation": "encoder",
        "target-randomisation": "reference",
    }
    named = {name for name, metric in METRICS.items() if metric.needs in ("again", "others")}
    assert set(expected) == named - {"bias-detection"}  # which explains only where its mark is a bias
    for name, argument in expected.items():
        calls = []

        def again(calls=calls, **changed):
            calls.append(changed)
            return rng.random((160, 160))

        METRICS[name](Case(rng.random((160, 160)), trial=trial, again=again, others=("b", "c"), seed=4))

        assert len(calls) == METRICS[name].explanations, name
        assert all(list(call) == [argument] for call in calls)
        values = [call[argument] for call in calls]
        assert len({id(value) if argument == "encoder" else str(value) for value in values}) == len(calls)
        if name == "seed-stability":
            assert values == [5, 6]


def test_relax_depends_on_the_encoder_and_on_the_reference_and_the_centre_does_not():
    """The real thing: the control that looks at nothing is caught."""
    encoder = load("default", device="cpu")
    rng = np.random.default_rng(0)
    picture = rng.random((64, 64, 3), dtype=np.float32)
    picture[20:44, 20:44] = (1, 0.2, 0)
    correlations = {}
    for method in ("relax", "centre"):
        keywords = {"masks": 100} if method == "relax" else {}
        importance = relax.explain(picture, encoder, method=method, **keywords).importance
        stages = encoder_randomisation(
            lambda changed, method=method, keywords=keywords: (
                relax.explain(picture, changed, method=method, **keywords).importance
            ),
            encoder,
            importance,
            stages=1,
        )
        correlations[method] = stages[-1].correlation

    assert correlations["centre"] == pytest.approx(1)
    assert correlations["relax"] < 0.9


def test_correlations_of_tiny_and_of_two_values_and_their_ends():
    rng = np.random.default_rng(0)
    values, other = rng.random(9), rng.random(9)

    assert pearson(values * 1e-9, other * 1e-9) == pytest.approx(pearson(values, other))
    assert pearson(np.array([1.0, 2.0]), np.array([5.0, 3.0])) == pytest.approx(-1)
    assert np.isnan(pearson(values[:1], other[:1]))
    with np.errstate(all="raise"):
        assert np.isnan(pearson(values, np.ones(9)))
    many = [rng.random(7) for _ in range(2000)]
    assert max(pearson(row, row * 3) for row in many) == 1
    assert min(pearson(row, row * -3) for row in many) == -1


def test_pixels_that_one_map_does_not_know_are_left_out_of_both():
    first, second = known_in_both(np.array([[1.0, np.nan, 3.0]]), np.array([[np.nan, 5.0, 6.0]]))

    assert (first.tolist(), second.tolist()) == ([3], [6])
    with pytest.raises(ValueError, match=r"maps to compare must have one size; got \(1, 2\) and \(2, 1\)"):
        known_in_both(np.ones((1, 2)), np.ones((2, 1)))


def test_the_seed_is_0_unless_given_and_reaches_what_is_drawn(image):
    encoder = load(CNN, device="cpu", seed=1)

    def weights(**seed):
        maps = []
        encoder_randomisation(
            lambda other: maps.append(next(other.network.parameters()).detach().numpy().copy()) or np.ones((2, 2)),
            encoder,
            np.ones((2, 2)),
            stages=1,
            **seed,
        )
        return maps[0]

    assert (
        max_sensitivity(shades, image)
        == max_sensitivity(shades, image, seed=0)
        != max_sensitivity(shades, image, seed=1)
    )
    np.testing.assert_array_equal(weights(), weights(seed=0))
    assert not np.array_equal(weights(), weights(seed=1))


def test_stages_name_their_lowest_layer_and_their_share():
    """Four layers in a row: after two stages half of them are random, the upper two."""
    network = nn.Sequential(nn.Flatten(), *(nn.Linear(4, 4) for _ in range(4)))
    encoder = load(network, device="cpu")
    fixed = np.arange(4.0).reshape(2, 2)

    stages = encoder_randomisation(lambda changed: fixed, encoder, fixed, stages=2)
    every = [share for _, share, _ in randomised(encoder, stages=99)]

    assert [(stage.layer, stage.share) for stage in stages] == [("3", 0.5), ("1", 1.0)]
    assert every == [0.25, 0.5, 0.75, 1]
    assert [other.name for _, _, other in randomised(encoder, stages=1)] == [f"{encoder.name}, random from 1 up"]
    with pytest.raises(ValueError, match="stages must be 1 or more; got 0"):
        next(randomised(encoder, stages=0))
    with pytest.raises(ValueError, match="has no weights to make random"):
        next(randomised(load(nn.Flatten(), device="cpu")))


def test_weights_without_a_layer_are_drawn_with_their_own_mean_and_spread():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(5 + 0.1 * torch.randn(10_000, generator=torch.Generator().manual_seed(0)))

        def forward(self, pixels):
            return pixels.flatten(1) + self.token[:4]

    encoder = load(Token(), device="cpu")

    ((_, _, changed),) = randomised(encoder, stages=1)

    token = changed.network.token.detach()
    assert not torch.equal(token, encoder.network.token)
    assert float(token.mean()) == pytest.approx(5, abs=0.005)
    assert float(token.std()) == pytest.approx(0.1, abs=0.005)
    assert changed.device == encoder.device


@pytest.mark.parametrize(("radius", "samples"), [(0, 5), (1.5, 5), (0.05, 0)])
def test_noise_that_cannot_be_is_refused(image, radius, samples):
    with pytest.raises(
        ValueError, match=rf"radius must be in \(0, 1\] and samples 1 or more; got {radius} and {samples}"
    ):
        max_sensitivity(shades, image, radius=radius, samples=samples)


def test_the_widest_noise_and_one_sample_are_enough(image):
    assert max_sensitivity(shades, image, radius=1, samples=1) > 0
    assert np.isnan(max_sensitivity(lambda pixels: np.ones((6, 6)), image))
    flat_first = iter([np.ones((6, 6)), shades(image), shades(image)])
    assert np.isnan(max_sensitivity(lambda pixels: next(flat_first), image, samples=2))  # a change of nothing


def test_layers_are_drawn_as_they_draw_themselves():
    """A linear layer of 100 inputs: uniform up to 1 / sqrt(100), far from the values 3 it has here."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(100, 50))
    nn.init.constant_(network[1].weight, 3.0)

    ((_, _, changed),) = randomised(load(network, device="cpu"), stages=1)

    weights = changed.network[1].weight.detach()
    assert 0.09 < float(weights.abs().max()) <= 0.1
    assert float(weights.std()) == pytest.approx(0.1 / 3**0.5, rel=0.03)
    assert weights.requires_grad is False
    changed.network[1].weight.requires_grad_(True)  # no inference tensor: methods by gradients may still ask it
    changed.network(torch.rand(1, 100)).sum().backward()


def test_the_copy_is_used_as_the_encoder_is():
    encoder = load(VIT, device="cpu", pooling="mean")

    *_, (layer, share, other) = randomised(encoder, stages=2)

    for name in ("preprocess", "device", "pooling", "channels"):
        assert getattr(other, name) == getattr(encoder, name), name
    assert share == 1
    assert other.name == f"{encoder.name}, random from {layer or 'the bottom'} up"
