"""Levels keep what they promise: by the definition of the bounds, and over many draws from a known truth."""

from itertools import product

import numpy as np
import pytest

from relax.enough.risk import level_in_expectation, level_with_confidence, levels_tried, pictures_necessary
from relax.enough.rules import RULES, Ranked, additive, level_needed, sizes_at

TRIED = levels_tried((0, 1))


def test_the_level_is_the_lowest_that_the_bound_allows():
    """n / (n + 1) R(level) + 1 / (n + 1) <= risk, over the levels at which R changes."""
    random = np.random.default_rng(0)
    cases = [(19, 0.05), (20, 0.05), (57, 0.05), (100, 0.1), (9, 0.1)]
    for (count, risk), digits in product(cases, (1, 9)):  # with ties, and without
        needed = np.round(random.random(count), digits)
        allowed = [
            level
            for level in sorted({*needed})
            if count / (count + 1) * np.mean([value > level for value in needed]) + 1 / (count + 1) <= risk + 1e-12
        ]

        assert level_in_expectation(needed, risk) == min(allowed)


def test_over_calibrations_and_new_pictures_the_risk_is_that_of_the_bound():
    """Of n + 1 exchangeable numbers without ties floor(risk (n + 1)) are above the level of the others."""
    random = np.random.default_rng(1)
    draws = random.random((20_000, 31))

    lost = np.mean([row[-1] > level_in_expectation(row[:-1], 0.1) for row in draws])

    assert lost == pytest.approx(3 / 31, abs=0.007)


def test_with_confidence_few_calibrations_are_worse_than_the_risk():
    """A picture is lost at a level with chance 1 - level: the level has to be 0.9 or more in 9 of 10 calibrations."""
    random, levels = np.random.default_rng(2), []
    for _ in range(400):
        needed = random.random(100)
        lost = (needed[:, None] > TRIED).sum(0)
        levels.append(level_with_confidence(lost, TRIED, 100, 0.1, 0.9))

    assert np.mean(np.array(levels) < 0.9) <= 0.1 + 2 * np.sqrt(0.09 / 400)
    assert np.median(levels) < 0.97


def test_too_few_pictures_are_refused_with_the_number_that_is_necessary():
    assert pictures_necessary(0.05, None) == 19
    assert pictures_necessary(0.1, None) == 9
    assert pictures_necessary(0.05, 0.9) == 45  # 0.95^45 = 0.099
    with pytest.raises(ValueError, match=r"pictures must be enough .* for 0.95 of them: 19 or more; got 18"):
        level_in_expectation(np.zeros(18), 0.05)
    with pytest.raises(ValueError, match=r"with a confidence of 0.9: 45 or more; got 44"):
        level_with_confidence(np.zeros(201), TRIED, 44, 0.05, 0.9)
    assert level_in_expectation(np.arange(19.0), 0.05) == 18  # none may be lost


def test_only_all_cells_are_promised_where_every_level_loses_too_many():
    assert level_with_confidence(np.where(TRIED == 1, 0, 100), TRIED, 100, 0.1, 0.9) == 1
    assert level_with_confidence(np.full(201, 100), TRIED, 100, 0.1, 0.9) == np.inf
    assert level_with_confidence(np.zeros(201), TRIED, 100, 0.1, 0.9) == 0
    once = np.where(TRIED == 0.5, 100, 0)  # what comes after the first that is not rejected is not tested
    assert level_with_confidence(once, TRIED, 100, 0.1, 0.9) == pytest.approx(0.505)


def test_a_level_takes_the_first_number_of_cells_above_it():
    levels = np.array([0.1, 0.3, 0.3, 0.7, 0.9])

    assert [sizes_at(levels, level) for level in (-np.inf, 0.0, 0.1, 0.2, 0.3, 0.8, 0.9, np.inf)] == [
        *(0, 0, 1, 1, 3, 4, 4, 4)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_is_kept_at_every_level_from_the_one_it_needs(seed):
    """Also where the similarity falls in between."""
    random = np.random.default_rng(seed)
    levels, scores = np.sort(np.round(random.random(8), 1)), np.append(random.random(7), 1.0)

    needed = level_needed(levels, scores, 0.6)

    kept = {level: scores[sizes_at(levels, level)] >= 0.6 for level in (*levels, *(levels - 1e-9), -1.0, 2.0)}
    assert all(value for level, value in kept.items() if level >= needed)
    lower = [level for level in kept if level < needed]
    assert needed == -np.inf or not kept[max(lower)]  # and just below it is lost


def test_the_prediction_is_exact_where_the_score_is_a_sum_over_cells():
    random = np.random.default_rng(3)
    shares, worth = random.random((60, 9)), random.normal(size=9)

    start, slopes = additive(shares, 0.25 + shares @ worth)

    np.testing.assert_allclose(slopes, worth, atol=0.05)
    assert start == pytest.approx(0.25, abs=0.05)


def test_levels_never_fall_and_end_with_all_of_it():
    ranked = Ranked(np.arange(4), np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.1, 0.5, 0.4, 0.8, 0.7]))

    np.testing.assert_allclose(RULES["predicted"].levels(ranked), [0.1, 0.5, 0.5, 0.8, 0.8])
    np.testing.assert_allclose(RULES["importance"].levels(ranked), [0, 3 / 6, 5 / 6, 1, 1])
    np.testing.assert_allclose(RULES["count"].levels(ranked), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(RULES["steady"].levels(ranked), [0, 0.05, 0.5 / 6, 0.1, 0.1])
    low = Ranked(ranked.order, ranked.importance, ranked.predicted - 1)
    assert (np.diff(RULES["steady"].levels(low)) >= 0).all()
    flat = Ranked(np.arange(4), np.ones(4), np.zeros(5))
    np.testing.assert_allclose(RULES["importance"].levels(flat), [0, 0.25, 0.5, 0.75, 1])
