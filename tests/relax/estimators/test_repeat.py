"""REPEAT votes: a plain frequency and the authors' weighted form, each with its hand-worked values."""

import numpy as np
import pytest

from relax.estimators.repeat import Repeat, vote_uncertainty, votes, weighted_votes

# Means 2.5 and 3: pixels at or above are (3, 4) in the first run, (5, 4) in the second.
MAPS = np.array([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 5.0], [2.0, 4.0]]])


def test_votes_are_the_share_of_runs_above_their_mean():
    assert votes(MAPS).tolist() == [[0, 0.5], [0.5, 1]]


def test_weighted_votes_count_relative_importance():
    """3/4 and 4/4 in the first run, 5/5 and 4/5 in the second."""
    np.testing.assert_allclose(weighted_votes(MAPS), [[0, 0.5], [0.375, 0.9]])


def test_the_uncertainty_of_a_vote_is_largest_at_one_half():
    assert vote_uncertainty(np.array([0, 0.25, 0.5, 1])).tolist() == [0, 0.1875, 0.25, 0]


def test_a_number_is_a_threshold_in_the_maps_own_unit():
    assert votes(MAPS, 4.0).tolist() == [[0, 0.5], [0, 1]]


@pytest.mark.parametrize("threshold", ["otsu", "li", "triangle"])
def test_automatic_thresholds_split_two_clear_groups(threshold):
    rng = np.random.default_rng(0)
    low, high = rng.normal(0.2, 0.01, (3, 10, 12)), rng.normal(0.8, 0.01, (3, 10, 6))

    share = votes(np.concatenate([low, high], axis=2), threshold)

    assert share[:, 12:].mean() == 1
    assert share[:, :12].mean() < 0.5 if threshold == "triangle" else share[:, :12].mean() == 0


def test_pixels_the_encoder_never_saw_have_no_votes():
    maps = MAPS.copy()
    maps[:, 0, 0] = np.nan

    assert np.isnan(votes(maps)).nonzero()[0].tolist() == [0]
    assert votes(maps)[1].tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: votes(MAPS, "median"), "threshold must be a number or one of mean, otsu, triangle, li; got 'median'"),
        (lambda: votes(MAPS[0]), r"votes need maps \(K, H, W\)"),
        (lambda: weighted_votes(-MAPS), "weighted votes need a positive importance"),
    ],
)
def test_impossible_votes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_maps_of_a_repeat_vote_as_the_functions_do():
    repeat = Repeat(MAPS.astype(np.float32), {"seed": 0})

    assert repeat.votes().tolist() == [[0, 0.5], [0.5, 1]]
    assert repeat.votes(4.0).tolist() == [[0, 0.5], [0, 1]]
    np.testing.assert_allclose(repeat.weighted_votes(), [[0, 0.5], [0.375, 0.9]])
    np.testing.assert_allclose(repeat.weighted_votes(4.0), [[0, 0.5], [0, 0.9]])


def test_one_run_is_enough_and_a_small_importance_too():
    assert votes(MAPS[:1]).tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(weighted_votes(MAPS / 100), [[0, 0.5], [0.375, 0.9]])
    with pytest.raises(ValueError, match="weighted votes need a positive importance in every map; the largest is 0"):
        weighted_votes(np.zeros((2, 2, 2)))
