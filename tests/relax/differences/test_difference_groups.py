"""Groups are found where encoders differ, and none where they do not: equal, turned, or only other features."""

import numpy as np
import pytest
import torch

from relax.differences.grouping import difference_groups, strength_of
from relax.differences.ranks import rank_table
from relax.differences.redraws import Redraws, redrawn, scores_of, shared_of
from tests.relax.differences import planted


@pytest.fixture(scope="module")
def spaces():
    """Pixels, hues and embeddings with and without colour of 90 pictures."""
    pixels, hues, _ = planted.pictures(90)
    return hues, *(embedded(planted.Projection(sees), pixels) for sees in (planted.colour, planted.grey))


def embedded(encoder, pixels):
    return encoder(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).numpy()


def test_groups_are_the_hues_to_which_one_encoder_is_blind(spaces):
    hues, colour, grey = spaces

    groups, _ = difference_groups(rank_table(colour), rank_table(grey), 6)

    assert sorted(np.unique(hues[members]).tolist() for members in groups) == [[0], [1], [2]]
    assert sum(map(len, groups)) == 90


def test_the_strongest_group_comes_first(spaces):
    _, colour, grey = spaces
    near, far = rank_table(colour), rank_table(grey)

    groups, _ = difference_groups(near, far, 6)

    strengths = [strength_of(near, far, members, 6) for members in groups]
    assert strengths == sorted(strengths, reverse=True)


@pytest.mark.parametrize("turned", [False, True])
def test_equal_encoders_have_no_group_not_even_one_to_judge(spaces, turned):
    _, colour, _ = spaces
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    other = colour.astype(np.float64) @ rotation * 5 if turned else colour

    groups, graph = difference_groups(rank_table(colour.astype(np.float64)), rank_table(other.astype(np.float64)), 6)

    assert groups == []
    assert graph.nnz == 0


def test_the_strength_of_the_whole_is_0(spaces):
    _, colour, grey = spaces

    assert strength_of(rank_table(colour), rank_table(grey), np.arange(90), 6) == 0


def test_a_p_value_counts_the_draws_of_the_noisier_encoder():
    drawn = Redraws(np.zeros((2, 19)), np.array([[0.1] * 19, [0.3] * 2 + [0.0] * 17]), 0.0)

    assert drawn.p_value(0.31) == 1 / 20
    assert drawn.p_value(0.2) == 3 / 20
    assert drawn.p_value(0.05) == 1
    assert drawn.needed == 0.3


def test_other_features_of_one_space_are_rarely_taken_for_a_difference():
    """The law of the test: two encoders of random features of the same pixels differ by noise alone."""
    alarms = 0
    for seed in range(10):
        pixels, _, _ = planted.pictures(70, seed)
        spaces = tuple(
            embedded(planted.Projection(planted.colour, seed=2 * seed + side + 100), pixels) for side in (0, 1)
        )
        drawn = redrawn(spaces, 5, count=3, seed=seed)
        tables = [rank_table(space) for space in spaces]
        strengths = [0.0]
        for near, far in (tables, tables[::-1]):
            groups, _ = difference_groups(near, far, 5, count=3, seed=seed)
            strengths += [strength_of(near, far, members, 5) for members in groups]
        alarms += drawn.p_value(max(strengths)) <= 0.05

    assert alarms <= 2  # expected: at most 0.5; more than 2 have a chance of 1 %


def test_redrawn_features_share_about_as_many_neighbours_as_other_features_of_the_space_do():
    pixels, _, _ = planted.pictures(120, 3)
    spaces = tuple(embedded(planted.Projection(planted.colour, seed=side), pixels) for side in (5, 6))

    drawn = redrawn(spaces, 6, count=2)

    truth = shared_of(rank_table(spaces[0]), rank_table(spaces[1]), 6)
    assert drawn.shared.mean(1).min() - 0.12 < truth < drawn.shared.mean(1).max() + 0.12


def test_scores_from_tables_are_those_of_sights(spaces):
    from relax.differences.affinity import picture_scores
    from relax.differences.ranks import sights

    _, colour, grey = spaces
    near, _ = sights(colour, grey, np.arange(90), 6)

    np.testing.assert_allclose(
        scores_of(rank_table(colour.astype(np.float64)), rank_table(grey.astype(np.float64)), 6), picture_scores(near)
    )
