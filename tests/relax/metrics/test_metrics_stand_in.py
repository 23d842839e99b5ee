"""A map stands in for a model that is a sum, accounts for its score by an axiom, and names a planted bias."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from encoders import load
from relax.hiding import Hiding
from relax.metrics import Trial, bias_detection, completeness, proxy_similarity
from relax.references import Question
from relax.scene import Scene

SIZE = 24


class Weighted(nn.Module):
    """(B, 1, h, w) to (B, 2): the weighted sum of the pixels, or its square, and nothing."""

    def __init__(self, *, squared=False):
        super().__init__()
        worth = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(0)) - 0.3
        self.worth, self.squared = nn.Parameter(worth), squared

    def forward(self, pixels):
        total = (pixels * self.worth).sum((1, 2, 3))
        total = total**2 / 100 if self.squared else total
        return torch.stack([total, 0 * total], 1)


def trial_of(network):
    """A picture of ones, hidden by zeros, scored by the first number of the embedding."""
    encoder = load(network.eval(), device="cpu")
    scene = Scene.of(torch.ones(1, 1, SIZE, SIZE), encoder, Hiding(fill=0.0))
    return Trial.of(
        scene, Question.of("dot", torch.tensor([1.0, 0]), None, encoder)
    ), network.worth.detach().double().numpy()


def test_the_weights_of_a_sum_predict_and_account_for_everything():
    trial, worth = trial_of(Weighted())

    assert proxy_similarity(trial, worth) == pytest.approx(1, abs=1e-6)
    assert proxy_similarity(trial, 5 * worth + 2) == pytest.approx(1, abs=1e-6)  # maps have units of their own
    assert completeness(trial, worth) == pytest.approx(0, abs=1e-6)


def test_a_map_of_nothing_or_of_the_opposite_predicts_and_accounts_for_nothing():
    trial, worth = trial_of(Weighted())

    assert proxy_similarity(trial, np.zeros((SIZE, SIZE))) <= 0
    assert proxy_similarity(trial, -worth) <= 0  # the slope may not be negative
    assert completeness(trial, np.zeros((SIZE, SIZE))) == 1
    assert completeness(trial, 3 * worth) == pytest.approx(2, abs=1e-6)


def test_each_costs_the_passes_that_it_states():
    trial, worth = trial_of(Weighted())

    before = trial.passes
    proxy_similarity(trial, worth, samples=10)
    assert trial.passes - before == 10
    completeness(trial, worth)
    assert trial.passes - before == 11


def test_the_map_of_half_of_the_parts_explains_their_share_of_the_variance():
    """What the map leaves out varies as much, so a map of one half predicts half of the variance of the scores."""
    trial, worth = trial_of(Weighted())
    half = np.where(np.arange(SIZE)[None] < SIZE // 2, worth, worth.mean())

    values = [proxy_similarity(trial, half, samples=400, cells=12, seed=seed) for seed in range(3)]

    cells = worth.reshape(12, 2, 12, 2).sum((1, 3))
    known, whole = (np.square(part - part.mean()).sum() for part in (half.reshape(12, 2, 12, 2).sum((1, 3)), cells))
    assert np.mean(values) == pytest.approx(known / whole, abs=0.12)


def test_integrated_gradients_of_captum_are_complete_where_a_gradient_is_not():
    """Of a square of a sum the gradient times the input is twice the difference: completeness 1."""
    network = Weighted(squared=True)
    trial, _ = trial_of(network)
    ones = torch.ones(1, 1, SIZE, SIZE, requires_grad=True)
    map = IntegratedGradients(lambda pixels: network(pixels)[:, 0]).attribute(ones, torch.zeros_like(ones), n_steps=50)
    gradient = torch.autograd.grad(network(ones)[0, 0], ones)[0]

    assert completeness(trial, map[0, 0].detach().numpy()) == pytest.approx(0, abs=1e-3)
    assert completeness(trial, gradient[0, 0].numpy()) == pytest.approx(1, abs=1e-3)


def contrasts(pixels):
    """An encoder of what is not grey."""
    away = (pixels - 0.5).abs().sum((1, 2, 3))
    return torch.stack([torch.ones_like(away), away], 1)


def test_a_planted_mark_is_found_by_a_map_that_names_it():
    scene = Scene.of(torch.full((1, 1, SIZE, SIZE), 0.5), load(contrasts, device="cpu"), Hiding(fill=0.5))
    trial, seen = Trial.of(scene), []

    def named(image):
        seen.append(image)
        return (image - 0.5).abs()[0, 0].numpy()

    assert bias_detection(named, trial) == 1
    assert bias_detection(lambda image: -named(image), trial) == 0
    assert bias_detection(lambda image: np.zeros((SIZE, SIZE)), trial) == 0.5
    assert trial.passes == 1 + 3 * 37
    marked = (seen[0] != 0.5)[0, 0]
    assert marked.sum() == (SIZE // 6) ** 2
    assert set(seen[0][0, 0][marked].tolist()) == {0.0, 1.0}


def test_what_the_embedding_does_not_depend_on_is_no_bias():
    def blind(pixels):
        return torch.stack([pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] + 1], 1)

    trial = Trial.of(Scene.of(torch.full((1, 1, SIZE, SIZE), 0.5), load(blind, device="cpu"), Hiding(fill=0.5)))

    assert np.isnan(bias_detection(lambda image: np.zeros((SIZE, SIZE)), trial, seed=1))
    other, _ = trial_of(Weighted())
    assert np.isnan(bias_detection(lambda image: np.zeros((SIZE, SIZE)), other))  # not of the picture itself


def test_too_few_samples_are_refused():
    trial, worth = trial_of(Weighted())

    with pytest.raises(ValueError, match="samples must be 4 or more, half of which fit and half of which judge; got 3"):
        proxy_similarity(trial, worth, samples=3)
