"""What it costs to remove cells, by judges whose answers are plain."""

import numpy as np
import pytest
import torch
from torch import nn

import relax
from experiments.studies.fine_tuned import CELLS, fidelity, object_and_others, shares_of, trial_of, worse_and_worse
from experiments.studies.fine_tuned_head import Head

SIDE = 8  # pixels of a cell


@pytest.fixture(scope="module")
def trial():
    """A picture whose first 16 of 64 cells are white on black, which is the fill; its embedding are its cells."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(CELLS), nn.Flatten())
    encoder = relax.load_encoder(network, size=CELLS * SIDE, mean=(0, 0, 0), std=(1, 1, 1), device="cpu")
    pixels = np.zeros((CELLS * SIDE, CELLS * SIDE, 3), np.uint8)
    pixels[: 2 * SIDE] = 255
    return trial_of(pixels, encoder)


def white_cells_lost(embeddings, whole):
    """(N,) how many of the white cells are hidden."""
    return (whole - embeddings).double().sum(1).numpy() / 3  # three channels


def test_removing_all_important_cells_costs_what_they_are_worth_beyond_the_others(trial):
    """Explanations of 13, 26, 38 and 51 of 64 cells hold 13, 16, 16 and 16 white ones, the rest 3, 0, 0 and 0."""
    importance = np.zeros(trial.scene.size)
    importance[: 2 * SIDE] = 1
    judges = {"cells": white_cells_lost}

    right = fidelity(trial, importance, judges, np.random.default_rng(0), CELLS**2)
    wrong = fidelity(trial, -importance, judges, np.random.default_rng(0), CELLS**2)

    assert right["cells"] == pytest.approx((10 + 16 + 16 + 16) / 4)
    assert wrong["cells"] == pytest.approx(-(16 + 16 + 16 + 10) / 4)


def test_a_bounded_removal_takes_so_many_cells_of_either_part(trial):
    importance = np.zeros(trial.scene.size)
    importance[: 2 * SIDE] = 1
    lost = []

    def judge(embeddings, whole):
        lost.append(white_cells_lost(embeddings, whole))
        return lost[-1]

    fidelity(trial, importance, {"cells": judge}, np.random.default_rng(0), 2)

    assert lost[0].max() == pytest.approx(2)
    np.testing.assert_allclose(lost[0][:5], 2, atol=1e-6)  # two of the 13 first, all white, in five draws


def test_maps_get_worse_from_the_object_s_outline_to_the_same_cells_elsewhere(trial):
    truth = np.zeros(trial.scene.size, bool)
    truth[:SIDE, : SIDE // 2] = True

    shares = shares_of(trial, truth)
    own, *others = object_and_others(shares, np.random.default_rng(0))
    maps = list(worse_and_worse(trial, shares, np.random.default_rng(0)))

    assert shares.tolist() == [0.5] + [0.0] * 63
    assert own.tolist() == [0]
    assert [len(cells) for cells in others] == [1] * 4
    assert 0 not in np.concatenate(others)
    assert maps[0][0, 0] == 0.5
    assert all(np.isclose(each.sum(), 0.5 * SIDE**2) for each in maps)


def test_a_head_loses_down_to_a_half_on_the_border_between_two_classes():
    """Two classes along two axes: the diagonal is as near to either."""
    points = torch.eye(2).repeat(20, 1)
    head = Head.of(points, np.tile([0, 1], 20), np.arange(40))

    lost = head.lost(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([1.0, 0.0]), label=0)

    first = head.probabilities(torch.tensor([[1.0, 0.0]]))[0, 0]
    assert first > 0.8
    np.testing.assert_allclose(lost, [first - 0.5, 0], atol=1e-3)
