"""How alike two maps are: by the definitions, whatever their units and sizes, and on average over pictures."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from relax.metrics.summary import bootstrap_interval
from relax.questions.likeness import Likeness, averaged, likenesses, mean_likenesses


def smooth(seed, shape=(40, 60)):
    return gaussian_filter(np.random.default_rng(seed).random(shape), 4)


def alike(first, second):
    (pair,) = likenesses({"a": first, "b": second})
    return pair.rank_correlation, pair.ssim


def ssim_by_definition(first, second):
    """Wang et al. 2004, equation 13, with an 11 px Gaussian window of 1.5 px, mirrored at the border."""
    first, second = ((values - values.min()) / np.ptp(values) for values in (first, second))

    def mean(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    a, b = mean(first), mean(second)
    spread_a, spread_b = mean(first**2) - a**2, mean(second**2) - b**2
    together = mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    local = (2 * a * b + c1) * (2 * together + c2) / ((a**2 + b**2 + c1) * (spread_a + spread_b + c2))
    return local.mean()


def test_both_numbers_are_those_of_their_definitions():
    first, second = smooth(0), smooth(1)

    rank, ssim = alike(first, second)

    assert rank == pytest.approx(spearmanr(first.ravel(), second.ravel()).statistic, abs=1e-9)
    assert ssim == pytest.approx(ssim_by_definition(first, second), abs=1e-9)


def test_a_map_is_alike_to_itself_in_any_unit_and_unlike_its_negative():
    values = smooth(0)

    assert alike(values, 3 + 1000 * values) == (pytest.approx(1), pytest.approx(1))
    rank, ssim = alike(values, -values)
    assert rank == pytest.approx(-1)
    assert ssim < 0


def test_the_size_of_the_photograph_does_not_matter():
    first, second = smooth(0, (32, 128)), smooth(1, (32, 128))
    large = [np.kron(values, np.ones((6, 6))) for values in (first, second)]

    assert alike(*large) == pytest.approx(alike(first, second), abs=1e-9)


def test_pixels_that_one_map_lacks_are_left_out():
    first, second = smooth(0), smooth(1)
    first[:, :20] = np.nan

    rank, ssim = alike(first, second)

    assert rank == pytest.approx(spearmanr(first[:, 20:].ravel(), second[:, 20:].ravel()).statistic, abs=1e-9)
    assert ssim == pytest.approx(alike(first[:, 20:], second[:, 20:])[1], abs=0.05)


def test_averaging_is_over_the_known_pixels_of_an_area():
    values = np.array([[1.0, 3.0, np.nan, np.nan], [5.0, np.nan, np.nan, np.nan]])

    np.testing.assert_array_equal(averaged(values, longest=2), [[3.0, np.nan]])
    np.testing.assert_array_equal(averaged(values), values)


@pytest.mark.parametrize("other", [np.full((40, 60), 0.5), np.full((40, 60), np.nan)])
def test_a_constant_or_unknown_map_is_like_no_other(other):
    assert all(math.isnan(value) for value in alike(smooth(0), other))


def test_small_maps_have_ranks_and_no_windows():
    rank, ssim = alike(smooth(0, (10, 30)), smooth(1, (10, 30)))

    assert -1 <= rank <= 1
    assert math.isnan(ssim)


def test_every_two_maps_are_compared_once():
    pairs = likenesses({name: smooth(seed) for seed, name in enumerate("abc")})

    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_maps_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"maps to compare must have one size; got \(3, 4\) and \(40, 60\)"):
        likenesses({"a": smooth(0), "b": np.zeros((3, 4))})


def test_means_are_over_the_pictures_with_a_value_with_their_bootstrap_interval():
    ranks = [0.1, 0.4, math.nan, 0.7]
    rows = [Likeness("a", "b", rank, 0.5) for rank in ranks] + [Likeness("a", "c", math.nan, math.nan)]

    first, second, *undefined = mean_likenesses(rows)

    assert (first.first, first.second, first.measure, first.images) == ("a", "b", "rank_correlation", 3)
    assert first.mean == pytest.approx(0.4)
    assert (first.low, first.high) == bootstrap_interval([0.1, 0.4, 0.7])
    assert (second.measure, second.mean, second.low, second.high, second.images) == ("ssim", 0.5, 0.5, 0.5, 4)
    assert all(math.isnan(mean.mean) and mean.images == 0 for mean in undefined)
