"""The game of cells is the estimator's own: what it knows of hard cells is exact, and known values are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.studies.peers_shapiq import BANZHAF, CELLS, CellSurrogate, Truth, plain_values, relax_values

WEIGHTS = np.random.default_rng(0).normal(size=CELLS)


def game(coalitions):
    """Single cells, a pair of neighbours, and a pair that lies apart."""
    shown = np.atleast_2d(coalitions)
    return shown @ WEIGHTS + 2 * shown[:, 0] * shown[:, 1] + shown[:, 3] * shown[:, 30]


def banzhaf_by_hand():
    """A cell adds the weight of a pair to the half of all coalitions that hold its partner."""
    values = WEIGHTS.copy()
    values[[0, 1]] += 2 / 2
    values[[3, 30]] += 1 / 2
    return values


def test_the_default_estimator_finds_the_values_of_pairs_exactly():
    """Its design is balanced over any three cells, so even the pair that its features lack averages out."""
    np.testing.assert_allclose(relax_values(game, 256, seed=0), banzhaf_by_hand(), atol=1e-6)


def test_the_plain_average_finds_them_within_its_noise():
    values = plain_values(game, 4096, seed=0)

    noise = 2 * game(np.random.default_rng(1).integers(0, 2, (4096, CELLS))).std() / 4096**0.5
    assert np.square(values - banzhaf_by_hand()).mean() ** 0.5 == pytest.approx(noise, rel=0.4)


def test_the_means_under_the_masks_of_cells_are_those_of_a_balanced_block():
    surrogate = CellSurrogate(seed=3)
    weights = torch.randn(CELLS + len(surrogate.first), generator=torch.Generator().manual_seed(0)).double()
    block = surrogate.grid.block
    values, masks = surrogate.features(0, block) @ weights, surrogate.grid.masks(0, block)[:, 0].double()

    expected = torch.einsum("n,nyx->yx", values, masks) / masks.sum(0)

    torch.testing.assert_close(surrogate.conditional_mean(weights), expected)


def test_what_the_truth_does_not_know_is_subtracted():
    truth = Truth(np.array([[1.0, 3.0], [3.0, 5.0]]))  # values 2 and 4, each off by 1: variance 1 and own error 1

    assert truth.squared_error(np.array([2.0 + 3.0, 4.0 - 1.0])) == (9 + 1) / 2 - 1


def test_an_approximator_of_shapiq_reads_the_same_game():
    pytest.importorskip("shapiq")

    values = BANZHAF["RegressionFBII in pairs"](game, 1024, 0)

    np.testing.assert_allclose(values, banzhaf_by_hand(), atol=1e-6)
