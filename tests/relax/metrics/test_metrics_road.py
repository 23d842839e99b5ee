"""ROAD paints holes over by the paper's linear system, as pytorch-grad-cam does, and is halved between two orders."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

from encoders import load
from relax.metrics import METRICS, Case, Trial, road
from relax.metrics.imputation import imputed
from relax.scene import Scene
from relax.settings import Hiding
from tests.relax.baselines.small import Linear, drawn

SHAPE = (3, 12, 10)


def test_one_hidden_pixel_is_the_weighted_mean_of_its_neighbours():
    view = drawn(*SHAPE).numpy()
    visible = np.ones(SHAPE[1:], dtype=bool)
    visible[0, 4] = visible[6, 6] = False  # at the rim five neighbours are left, inside there are eight

    painted = imputed(view, visible, np.random.default_rng(0), noise=0)

    beside = view[:, 5, 6] + view[:, 7, 6] + view[:, 6, 5] + view[:, 6, 7]
    across = view[:, 5, 5] + view[:, 5, 7] + view[:, 7, 5] + view[:, 7, 7]
    np.testing.assert_allclose(painted[:, 6, 6], beside / 6 + across / 12, rtol=1e-6)
    beside, across = view[:, 0, 3] + view[:, 0, 5] + view[:, 1, 4], view[:, 1, 3] + view[:, 1, 5]
    np.testing.assert_allclose(painted[:, 0, 4], (beside / 6 + across / 12) / (3 / 6 + 2 / 12), rtol=1e-6)
    np.testing.assert_array_equal(painted[:, visible], view[:, visible])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_many_hidden_pixels_are_painted_over_as_by_pytorch_grad_cam(share):
    view, visible = drawn(*SHAPE), np.random.default_rng(1).random(SHAPE[1:]) > share

    painted = imputed(view.numpy(), visible, np.random.default_rng(0), noise=0)

    # It leaves the mean of neighbours out of the pixels at a rim; its generator is torch's global one, here unused.
    expected = NoisyLinearImputer(noise=0)(view.clone(), torch.from_numpy(visible).float())
    np.testing.assert_allclose(painted, expected.numpy(), atol=1e-5)


def test_the_noise_has_its_size_its_own_generator_and_stays_in_the_pixels_range():
    view, visible = np.full((3, 60, 60), 0.5, dtype=np.float32), np.zeros((60, 60), dtype=bool)
    visible[0, 0] = True

    first, again = (imputed(view, visible, np.random.default_rng(7)) for _ in range(2))

    np.testing.assert_array_equal(first, again)
    assert np.std(first - 0.5) == pytest.approx(0.01, rel=0.05)
    bright = imputed(np.ones_like(view), visible, np.random.default_rng(7))
    assert bright.max() <= 1
    with pytest.raises(ValueError, match="visible must show at least one pixel"):
        imputed(view, np.zeros_like(visible), np.random.default_rng(0))


def test_road_is_half_the_difference_between_losing_the_least_and_losing_the_most_important():
    encoder = load(Linear(SHAPE), device="cpu")
    trial = Trial.of(Scene.of(drawn(*SHAPE, seed=5), encoder, Hiding()))
    importance = np.random.default_rng(2).normal(size=SHAPE[1:])

    value = road(trial, importance, shares=(0.25,), seed=3)

    view, order = trial.scene.view[0].numpy(), np.argsort(-importance, axis=None)
    random = np.random.default_rng((9, 3))
    scores = []
    for hidden in (order[-30:], order[:30]):  # a quarter of 120 pixels
        visible = np.ones(SHAPE[1:], dtype=bool)
        visible.ravel()[hidden] = False
        embedding = encoder(torch.from_numpy(imputed(view, visible, random))[None])[0]
        scores.append(float(torch.cosine_similarity(embedding.double(), trial.image_embedding.double(), 0)))
    assert value == pytest.approx((scores[0] - scores[1]) / 2, abs=1e-6)
    assert trial.passes == 3
    assert METRICS["road"](Case(importance, trial=trial, seed=3)) == road(trial, importance, seed=3)
    assert METRICS["road"].passes == 8
    with pytest.raises(ValueError, match=r"shares must be one or more shares of the pixels, each in \(0, 1\)"):
        road(trial, importance, shares=(1.0,))
