"""Means over pictures: the bootstrap covers as it says, ranks follow the direction, missing values are counted."""

import numpy as np
import pytest

from relax.metrics import METRICS, bootstrap_interval, default_metrics, metrics_named, summarise


def test_the_interval_is_that_of_the_means_of_all_possible_draws():
    """Of two pictures with 0 and 1: the mean is 0 or 1 in a quarter of the draws each, so both ends are reached."""
    assert bootstrap_interval([0.0, 1.0]) == (0, 1)
    assert bootstrap_interval([0.0, 1.0], confidence=0.4) == (0.5, 0.5)
    assert bootstrap_interval([3.0, 3.0, 3.0]) == (3, 3)


def test_a_large_interval_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(5, 2, 400)

    low, high = bootstrap_interval(values, seed=1)

    error = values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert bootstrap_interval(values, seed=1) == (low, high)
    assert bootstrap_interval(values, seed=2) != (low, high)


def test_many_pictures_are_drawn_in_parts_that_differ(monkeypatch):
    monkeypatch.setattr("relax.metrics.summary.AT_ONCE", 300)
    values = np.random.default_rng(0).normal(5, 2, 100)

    low, high = bootstrap_interval(values)

    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)


def test_one_picture_says_nothing_of_others():
    assert np.isnan(bootstrap_interval([0.5])).all()
    assert np.isnan(bootstrap_interval([])).all()
    with pytest.raises(ValueError, match="values must be finite numbers"):
        bootstrap_interval([0.5, np.nan])
    with pytest.raises(ValueError, match=r"confidence must be in \(0, 1\) and resamples 1 or more; got 95 and 2000"):
        bootstrap_interval([0.5, 0.6], confidence=95)


def test_ranks_follow_the_direction_and_ties_share_the_better_one():
    rows = [("a", "up", 0.2), ("b", "up", 0.9), ("c", "up", 0.2 - 1e-12), ("a", "down", 0.2), ("b", "down", 0.9)]

    means = summarise(rows, {"up": "higher", "down": "lower"})

    ranks = {(mean.metric, mean.method): mean.rank for mean in means}
    assert ranks == {("up", "a"): 2, ("up", "b"): 1, ("up", "c"): 2, ("down", "a"): 1, ("down", "b"): 2}


def test_pictures_without_a_value_are_counted_apart():
    rows = [("a", "up", 0.25), ("a", "up", float("nan")), ("a", "up", 0.75), ("b", "up", float("nan"))]

    first, second = summarise(rows, {"up": "higher"}, {"a": 31.0})

    assert (first.mean, first.images, first.undefined, first.rank, first.passes) == (0.5, 2, 1, 1, 31)
    assert (first.low, first.high) == (0.25, 0.75)
    assert (second.images, second.undefined, second.rank) == (0, 1, 0)
    assert np.isnan([second.mean, second.low, second.high, second.passes]).all()


def test_metrics_are_found_by_name_and_by_family():
    assert [metric.name for metric in metrics_named(["deletion", "complexity", "deletion"])] == [
        "deletion",
        "entropy",
        "sparseness",
        "effective-complexity",
    ]
    with pytest.raises(ValueError, match=r"called 'iou': relax metrics lists them; localisation, .* families"):
        metrics_named(["iou"])
    with pytest.raises(ValueError, match="metrics must be one or more names; got none"):
        metrics_named([])


def test_by_default_nothing_explains_again():
    assert {metric.family for metric in default_metrics({"map"})} == {"complexity"}
    everything = default_metrics({"map", "truth", "trial", "itself", "contrast", "again", "error", "others"})
    left_out = {metric.name for metric in METRICS.values() if metric.explanations or metric.family == "stand-in"}
    left_out |= {"enough", "needed"}  # which say nearly what insertion and deletion say
    assert left_out == set(METRICS) - {metric.name for metric in everything}


def test_the_bootstrap_takes_any_number_of_draws_and_its_seed_is_0_unless_given():
    values = np.random.default_rng(1).random(30)

    assert bootstrap_interval(values) == bootstrap_interval(values, seed=0) != bootstrap_interval(values, seed=1)
    low, high = bootstrap_interval(values, resamples=1)
    assert low == high
    assert bootstrap_interval([0, 1]) == (0, 1)  # whole numbers are numbers
    for settings in ({"confidence": 0}, {"confidence": 1}, {"resamples": 0}):
        with pytest.raises(ValueError, match="confidence must be in"):
            bootstrap_interval(values, **settings)
    rows = [("a", "up", value) for value in values]
    assert summarise(rows, {"up": "higher"}) == summarise(rows, {"up": "higher"}, seed=0)
    assert (summarise(rows, {"up": "higher"})[0].low, summarise(rows, {"up": "higher"})[0].high) == bootstrap_interval(
        values
    )


@pytest.mark.parametrize("scale", [1e-3, 1, 1e6])
def test_means_are_equal_within_a_billionth_of_one_or_of_their_size(scale):
    gap = 1e-9 * max(1, scale)
    for apart, ranks in ((0.9, [1, 1]), (1.1, [2, 1])):
        rows = [("a", "up", scale), ("b", "up", scale + apart * gap)]

        assert [mean.rank for mean in summarise(rows, {"up": "higher"})] == ranks
