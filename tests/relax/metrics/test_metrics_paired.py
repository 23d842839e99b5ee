"""Which method is ahead is told from pictures on which all have values, by one score, and never from a handful."""

import numpy as np
import pytest

from relax.metrics import METRICS, Evaluation, Outcome, bootstrap_interval, standings
from relax.metrics.curves import bands
from relax.metrics.paired import swap_test

ITSELF, OF_CAT = "cosine to the image itself", "probability of class 'cat'"


def evaluation_of(table, metrics=("auc",), scores=None):
    """From {method: {metric: one value per picture}}."""
    pictures = len(next(iter(next(iter(table.values())).values())))
    outcomes = [
        Outcome(f"{picture}.png", method, {metric: values[picture] for metric, values in of_method.items()})
        for picture in range(pictures)
        for method, of_method in table.items()
    ]
    return Evaluation(tuple(outcomes), tuple(METRICS[name] for name in metrics), {"scores": scores or {}})


def test_mean_ranks_are_worked_out_by_hand():
    """Two pictures, two metrics, of which the second is better lower; a tie shares the mean of its ranks."""
    table = {
        "a": {"auc": (0.9, 0.5), "entropy": (1.0, 3.0)},  # ranks 1, 1.5 and 1, 3
        "b": {"auc": (0.5, 0.5), "entropy": (2.0, 1.0)},  # 2, 1.5 and 2, 1
        "c": {"auc": (0.1, 0.1), "entropy": (3.0, 2.0)},  # 3, 3 and 3, 2
    }

    localisation, complexity = standings(evaluation_of(table, ("auc", "entropy")))

    assert (localisation.family, complexity.family) == ("localisation", "complexity")
    assert localisation.means == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert complexity.means == {"b": 1.5, "a": 2.0, "c": 2.5}
    assert list(complexity.means) == ["b", "a", "c"]
    assert complexity.intervals["a"] == bootstrap_interval([1.0, 3.0])
    assert complexity.pictures == 2


def test_a_clear_lead_is_told_from_enough_pictures_only():
    table = {"a": {"auc": np.full(20, 0.9)}, "b": {"auc": np.linspace(0.1, 0.5, 20)}}

    (many,) = standings(evaluation_of(table))
    (few,) = standings(evaluation_of({name: {"auc": values["auc"][:5]} for name, values in table.items()}))

    assert many.sentence() == "Localisation: a is ahead of b on 20 pictures."
    assert few.sentence() == "Localisation: 5 pictures cannot tell which of a and b is ahead: fewer than 6 never do."
    assert few.level == {"a": True, "b": True}


def test_what_is_level_with_the_best_is_said_and_chance_is_no_lead():
    random = np.random.default_rng(0)
    table = {name: {"auc": random.random(20)} for name in "ab"} | {"c": {"auc": np.full(20, -1.0)}}

    (standing,) = standings(evaluation_of(table))
    (alike,) = standings(evaluation_of({name: table[name] for name in "ab"}))

    best, other, worst = standing.ranks
    assert worst == "c"
    assert standing.sentence() == (
        f"Localisation: {best} is ahead of c on 20 pictures; it cannot be told from {other}."
    )
    assert "20 pictures cannot tell which of " in alike.sentence()


def test_equal_methods_are_called_ahead_no_more_often_than_promised():
    """Four methods of pure noise on 12 pictures: any lead is false; the promise is once in 20 evaluations, about."""
    random, false = np.random.default_rng(3), 0
    for _ in range(100):
        (standing,) = standings(evaluation_of({name: {"auc": random.random(12)} for name in "abcd"}))
        false += not all(standing.level.values())
    assert false <= 5


def test_the_swap_test_counts_all_swaps():
    """Of the 8 swaps of (1, 2, 3), whose sum is 6, two have a sum as far from 0; of (1, -1, 3) six: 5, 3, 3."""
    assert swap_test(np.array([1.0, 2, 3])) == 2 / 8
    assert swap_test(np.array([1.0, -1, 3])) == 6 / 8
    assert swap_test(np.zeros(3)) == 1
    assert swap_test(np.full(40, 0.5)) == 1 / 20_000  # of those drawn, only the differences as they are


def test_methods_are_ranked_among_those_judged_by_the_same_score():
    values = {"insertion": np.linspace(0, 1, 8), "auc": np.linspace(0, 1, 8)}
    table = {"relax": values, "rise": {"insertion": np.full(8, 0.1), "auc": np.full(8, 0.1)}, "lime": values}
    scores = {"relax": ITSELF, "rise": OF_CAT, "lime": OF_CAT}

    by_score = standings(evaluation_of(table, ("auc", "insertion"), scores))

    assert [(standing.family, standing.score, sorted(standing.ranks)) for standing in by_score] == [
        ("localisation", "", ["lime", "relax", "rise"]),
        ("faithfulness", OF_CAT, ["lime", "rise"]),  # alone, relax has no rank
    ]
    assert by_score[1].sentence().startswith(f"Faithfulness ({OF_CAT}): ")


def test_a_picture_on_which_a_method_has_no_value_is_left_out_for_all():
    table = {"a": {"auc": (0.9, np.nan, 0.9)}, "b": {"auc": (0.1, 0.9, 0.1)}}

    (standing,) = standings(evaluation_of(table))

    assert standing.pictures == 2
    assert standing.means == {"a": 1.0, "b": 2.0}
    assert standings(evaluation_of({"a": {"auc": (np.nan,)}, "b": {"auc": (0.1,)}})) == []


def test_the_band_of_a_curve_is_its_mean_and_the_interval_of_every_point():
    outcomes = [
        Outcome("1.png", "a", {}, curves={"insertion": (0.0, 0.5, 1.0)}),
        Outcome("2.png", "a", {}, curves={"insertion": (0.2, 0.7, 1.0)}),
        Outcome("3.png", "a", {}, curves={"insertion": (0.0, 1.0)}),  # of a picture with fewer pixels than steps
    ]

    band = bands(outcomes, {("insertion", "a"): ITSELF})["insertion", ITSELF]["a"]

    np.testing.assert_allclose(band.shares, [0, 0.5, 1])
    np.testing.assert_allclose(band.mean, [0.1, 0.6, 1.0])
    assert (band.low[1], band.high[1]) == pytest.approx((0.5, 0.7))
    assert (band.low[2], band.high[2]) == (1, 1)
