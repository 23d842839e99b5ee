"""The standard error is honest: 95 % intervals cover the truth about 95 % of the time.

The small version of experiments/studies/coverage.py: encoders whose importance is known in closed form.
"""

import torch
from torch import nn

import relax
from masking import RandomGrid
from relax.estimators.moments import RelaxMoments


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 estimates from 300 masks each, truth from 120,000 other masks; scores are not linear in the masks."""
    size, count, estimates = (14, 14), 300, 400
    weights = torch.randn(14, 14, generator=torch.Generator().manual_seed(0)) / 14

    def scores_of(masks):
        return torch.tanh((masks[:, 0] * weights).sum((1, 2)) * 2) + masks[:, 0, 3, 3] * masks[:, 0, 9, 9]

    truth = RelaxMoments.empty(size)
    grid = RandomGrid(size, cells=4, seed=999)
    for start in range(0, 120_000, 4000):
        masks = grid.masks(start, start + 4000)
        truth.add(scores_of(masks), masks)

    covered = torch.zeros(size, dtype=torch.float64)
    for seed in range(estimates):
        masks = RandomGrid(size, cells=4, seed=seed).masks(0, count)
        moments = RelaxMoments.empty(size)
        moments.add(scores_of(masks), masks)
        covered += (moments.importance - truth.importance).abs() <= 1.96 * moments.standard_error

    share = covered.mean() / estimates
    assert 0.92 <= share <= 0.97
    # No pixel is far off: 400 trials at 0.95 have a standard deviation of 0.011.
    assert (covered / estimates).min() > 0.95 - 5 * 0.011


def test_the_error_halves_with_four_times_the_masks():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    few, many = (relax.explain(image, network, masks=masks, preset="paper-rise") for masks in (1000, 4000))

    ratio = (few.standard_error / many.standard_error).mean()
    assert 1.9 < ratio < 2.1
