"""Dropping tiles in the order of a map: the curve is the score of what is left, and a good map beats chance."""

import numpy as np
import pytest

from relax.slides.dropping import both_areas, drop_curve
from relax.slides.explaining import explain_slide, tile_score
from relax.slides.tiles import SlideTiles


@pytest.fixture
def dots():
    """Four tiles on a line, scored by their mean: 1, 2, 3 and 6."""
    features = np.array([[1, 1], [2, 1], [3, 1], [6, 1]], np.float32)
    tiles = SlideTiles("dots", features, np.zeros((4, 2), np.int64), 1, None)
    return tile_score(tiles, np.array([1.0, 0.0]), similarity="dot")[0]


def test_the_curve_is_the_score_of_what_is_left(dots):
    falling = drop_curve(dots, np.array([1.0, 2, 3, 6]), steps=3)
    rising = drop_curve(dots, np.array([1.0, 2, 3, 6]), most_first=False, steps=3)

    assert falling.dropped.tolist() == [0, 0.25, 0.5, 0.75]
    np.testing.assert_allclose(falling.scores, [3, 2, 1.5, 1])
    np.testing.assert_allclose(rising.scores, [3, 11 / 3, 4.5, 6])
    assert falling.area == pytest.approx((2.5 + 1.75 + 1.25) / 3)


def test_a_map_says_better_than_chance_what_the_score_rests_on(small_tiles):
    reference = np.eye(8)[2]
    score, _ = tile_score(small_tiles, reference)
    importance = explain_slide(small_tiles, reference=reference, masks=256).importance

    most, least = both_areas(score, importance)
    chances = [both_areas(score, np.random.default_rng(seed).permutation(30)) for seed in range(10)]

    assert most < min(chance for chance, _ in chances)
    assert least > max(chance for _, chance in chances)


def test_what_is_no_map_is_refused(dots):
    with pytest.raises(ValueError, match="one finite number per tile, here 4"):
        drop_curve(dots, np.ones(3))
    with pytest.raises(ValueError, match="one finite number per tile"):
        drop_curve(dots, np.array([1, np.nan, 2, 3]))
    with pytest.raises(ValueError, match="steps must be 1 or more; got 0"):
        drop_curve(dots, np.ones(4), steps=0)
