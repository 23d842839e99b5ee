"""The table of metrics needs no torch, names what is there, and each direction is the one in which a good map lies."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import relax.metrics
from encoders import load
from relax.hiding import Hiding
from relax.metrics import FAMILIES, METRICS, NEEDS, Case, Trial
from relax.references import Question
from relax.scene import Scene
from tests.paths import ROOT

SIZE = 16
OBJECT = np.zeros((SIZE, SIZE), dtype=bool)
OBJECT[4:12, 4:12] = True


def test_the_table_is_there_without_torch():
    names = "METRICS, NEEDS, FAMILIES"
    code = f"import sys; from relax.metrics import {names}; assert not {{'torch', 'skimage'}} & {{*sys.modules}}"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert run.returncode == 0, run.stderr


def test_every_public_name_is_there_and_an_unknown_one_lists_them():
    assert all(getattr(relax.metrics, name) is not None for name in relax.metrics.__all__)
    assert {"METRICS", "auc", "Trial", "randomised", "summarise"} <= set(dir(relax.metrics))
    with pytest.raises(AttributeError, match=r"module 'relax.metrics' has no attribute 'iou'; it has .*auc"):
        _ = relax.metrics.iou


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.direction in ("higher", "lower")
        assert metric.family in FAMILIES
        assert metric.needs in NEEDS
        assert metric.source
        assert (metric.passes > 0) == (metric.needs in ("trial", "itself", "contrast"))
        assert (metric.explanations > 0) == (metric.needs in ("again", "error", "others"))


class Sums(nn.Module):
    """(B, 1, 16, 16) to (B, 2): a weighted sum of the pixels, which the object dominates, and the sum of the others.

    A dozen pixels in the top row count against the object: no more than one of 20 steps holds.
    """

    def __init__(self):
        super().__init__()
        worth = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(0)) + 0.5
        worth[torch.from_numpy(~OBJECT)] = 0
        worth[0, :12] = -0.2
        self.weights = nn.Parameter(torch.stack([worth, 0.1 * torch.from_numpy(~OBJECT)]))

    def forward(self, pixels):
        return (pixels * self.weights).sum((2, 3))


def contrasts(pixels):
    """(B, 1, h, w) to (B, 2): 1, and how far the pixels are from grey: an encoder that a mark on grey biases."""
    away = (pixels - 0.5).abs().sum((1, 2, 3))
    return torch.stack([torch.ones_like(away), away], 1)


def good_and_bad_case(metric):
    """A map that is right by construction and its opposite; for metrics of a method, one that is right and one not."""
    encoder = load(Sums().eval(), device="cpu")
    scene = Scene.of(torch.ones(1, 1, SIZE, SIZE), encoder, Hiding(fill=0.0))
    first, second = torch.eye(2)
    right = encoder.network.weights[0].detach().double().numpy()
    if metric.needs == "map":
        return Case(OBJECT.astype(float)), Case(np.random.default_rng(0).random((SIZE, SIZE)))
    if metric.needs == "truth":
        wide, truth = np.kron(right, np.ones((8, 8))), np.kron(OBJECT, np.ones((8, 8))).astype(bool)  # beyond 15 px
        return Case(wide, truth=truth), Case(wide.max() - wide, truth=truth)
    if metric.needs == "trial":
        if metric.name.startswith("mirrored"):  # of one colour, a picture is whole with any part of it shown
            scene = Scene.of(torch.from_numpy(OBJECT).float()[None, None], encoder, Hiding())
        trial = Trial.of(scene, Question.of("dot", first, None, encoder))
        return Case(right, trial=trial), Case(-right, trial=trial)
    if metric.needs == "itself":
        return Case(right, trial=Trial.of(scene)), Case(-right, trial=Trial.of(scene))
    if metric.needs == "contrast":
        trial = Trial.of(scene, Question.of("dot", first, second, encoder))
        nearer = right - encoder.network.weights[1].detach().double().numpy()
        return Case(nearer, contrast=trial), Case(-nearer, contrast=trial)
    rng = np.random.default_rng(1)
    if metric.name == "bias-detection":
        grey = Trial.of(Scene.of(torch.full((1, 1, 24, 24), 0.5), load(contrasts, device="cpu"), Hiding(fill=0.5)))
        named, hidden = ((lambda *, image, sign=sign: sign * (image - 0.5).abs()[0, 0].numpy()) for sign in (1, -1))
        return Case(np.zeros((24, 24)), trial=grey, again=named), Case(np.zeros((24, 24)), trial=grey, again=hidden)
    if metric.needs == "error":
        errors = (np.full_like(right, size) for size in (0.1, 0.01))
        again = lambda **_: right + 0.1 * rng.normal(size=right.shape)  # noqa: E731
        honest, small = (Case(right, trial=Trial.of(scene), again=again, standard_error=error) for error in errors)
        return honest, small
    fixed = Case(right, trial=Trial.of(scene), again=lambda **_: right, others=("a", "b"))
    whims = Case(right, trial=Trial.of(scene), again=lambda **_: rng.random((SIZE, SIZE)), others=("a", "b"))
    # The same map whatever is asked is as robust as can be, and has nothing to do with encoder or reference.
    return (fixed, whims) if metric.family == "robustness" else (whims, fixed)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_good_map_is_better_than_a_bad_one_in_the_direction_that_the_metric_states(metric):
    good, bad = (metric(case) for case in good_and_bad_case(metric))

    assert good > bad if metric.direction == "higher" else good < bad


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_refuses_a_case_without_what_it_needs(metric):
    everything, _ = good_and_bad_case(metric)

    assert metric.needs in everything.has
    if metric.needs != "map":
        with pytest.raises(ValueError, match=f"metric {metric.name} needs {NEEDS[metric.needs]}, which this map"):
            metric(Case(everything.importance))
