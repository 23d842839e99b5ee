"""Groups, intervals and correlations are those worked out by hand."""

import numpy as np
import pytest

from experiments.summaries import grouped, map_correlation, median_and_range, middle_95, with_interval


def test_rows_are_grouped_in_the_order_in_which_their_values_appear():
    rows = [{"a": 2, "b": "x"}, {"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    assert list(grouped(rows, "a").items()) == [((2,), [rows[0], rows[2]]), ((1,), [rows[1]])]
    assert len(grouped(rows, "a", "b")) == 3


def test_an_interval_leaves_out_what_is_not_finite():
    """Of 0 and 1, a resample has the mean 0 or 1 a quarter of the time each, so the interval is all of it."""
    assert with_interval("auc", [0.0, np.nan, 1.0]) == {"auc": 0.5, "auc_low": 0.0, "auc_high": 1.0}


def test_the_middle_leaves_a_fortieth_on_each_side():
    assert middle_95(np.arange(1001.0)) == (25, 975)


def test_maps_are_compared_where_both_have_values():
    """Of (1, 2, -, 3) and (2, 4, 9, -) only two pixels count, which always lie on a line."""
    first, second = np.array([[1, 2, np.nan, 3]], np.float32), np.array([[2, 4, 9, np.nan]], np.float32)

    assert map_correlation(first, second) == pytest.approx(1)
    assert map_correlation(first, -second) == pytest.approx(-1)


def test_median_and_range_of_an_even_number():
    assert median_and_range([4, 1, 2, 10]) == {"median": 3, "min": 1, "max": 10}
