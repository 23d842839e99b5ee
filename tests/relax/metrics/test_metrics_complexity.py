"""Complexity: the ends of each scale, hand values, and Quantus on random maps."""

import numpy as np
import pytest
import quantus

from relax.metrics import effective_complexity, entropy, sparseness

RAW = {"base": "zero"}


def test_one_pixel_is_as_simple_as_can_be():
    importance = np.zeros((10, 10))
    importance[3, 4] = 7

    assert entropy(importance) == 0
    assert sparseness(importance) == pytest.approx(0.99)  # (n - 1) / n
    assert effective_complexity(importance) == 0.01


def test_the_same_everywhere_is_as_complex_as_can_be():
    importance = np.full((10, 10), 0.9)

    assert entropy(importance, **RAW) == pytest.approx(np.log(100))
    assert sparseness(importance, **RAW) == pytest.approx(0)
    assert effective_complexity(importance, **RAW) == 1


@pytest.mark.parametrize("metric", [entropy, sparseness, effective_complexity])
def test_a_constant_map_has_nothing_above_its_lowest_value(metric):
    assert np.isnan(metric(np.full((4, 4), 0.9)))


def test_values_worked_out_by_hand():
    importance = np.array([[1.0, 1.0, 2.0, 4.0]])

    assert entropy(importance, **RAW) == pytest.approx(1.75 * np.log(2))  # shares 1/8 1/8 1/4 1/2
    assert sparseness(importance, **RAW) == pytest.approx((-3 * 1 - 1 * 1 + 1 * 2 + 3 * 4) / (4 * 8))
    assert effective_complexity(importance, above=0.25, **RAW) == 0.5  # more than 1: two of four


@pytest.mark.parametrize("metric", [entropy, sparseness, effective_complexity])
def test_a_constant_added_to_a_map_changes_nothing_above_the_lowest_value(metric):
    importance = np.random.default_rng(0).random((8, 9))

    assert metric(importance + 50) == pytest.approx(metric(importance))
    assert metric(importance) == pytest.approx(metric(importance - importance.min(), **RAW))


@pytest.mark.parametrize("metric", [entropy, sparseness, effective_complexity])
def test_pixels_that_are_not_known_are_left_out(metric):
    importance = np.random.default_rng(0).random((8, 9))
    wide = np.full((8, 12), np.nan)
    wide[:, 3:] = importance

    assert metric(wide) == pytest.approx(metric(importance))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_quantus(seed):
    importance = np.random.default_rng(seed).random((10, 12)) ** 4
    plain = {"abs": False, "normalise": False, "disable_warnings": True, "display_progressbar": False}

    def theirs(metric):
        batch = importance[None, None].copy()
        return float(metric(model=None, x_batch=batch.copy(), y_batch=np.zeros(1, int), a_batch=batch)[0])

    assert entropy(importance, **RAW) == pytest.approx(theirs(quantus.Complexity(**plain)), abs=1e-6)
    assert sparseness(importance, **RAW) == pytest.approx(theirs(quantus.Sparseness(**plain)), abs=1e-6)
    level = 0.3
    count = theirs(quantus.EffectiveComplexity(eps=level * importance.max(), **plain))
    assert effective_complexity(importance, above=level, **RAW) * importance.size == pytest.approx(count, abs=1e-6)


def test_shares_of_negative_importance_are_refused():
    with pytest.raises(ValueError, match=r'base="zero" needs importance of 0 or more, the lowest is -1'):
        entropy(np.array([[-1.0, 2.0]]), **RAW)
    with pytest.raises(ValueError, match=r"above is a share of the highest relevance, in \[0, 1\); got 1"):
        effective_complexity(np.array([[1.0, 2.0]]), above=1)


def test_any_pixel_above_the_lowest_may_count_as_used():
    assert effective_complexity(np.array([[0.0, 0.01, 1.0, 0.2]]), above=0) == 0.75
    assert effective_complexity(np.array([[0.0, 0.01, 1.0, 0.2]])) == 0.5
    assert sparseness(np.array([[0.25, 0.75]]), base="zero") == pytest.approx(0.25)  # also of a sum of 1
