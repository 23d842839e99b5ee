"""The overlay has the colours of the importance, an opacity that follows the map by a stated rule, and an outline."""

import matplotlib
import numpy as np
import pytest

import relax
from relax.plotting.overlay import outlines
from tests.relax.plotting.explanations import explanation, with_importance


def disc(size=100, radius=20.0):
    """A bump with the value 1 - distance from the centre, in pixels, over `size`."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return 1 - np.hypot(y, x) / size


def test_nothing_is_opaque_below_the_median_and_alpha_is_reached_at_the_80th_percentile():
    """Of 0, 1, ... 10 the median is 5 and the 80th percentile 8: a third and two thirds lie between."""
    given = with_importance([np.arange(11)])

    layer = relax.overlay(given, alpha=0.6, outline=False)

    assert (layer.dtype, layer.shape) == (np.uint8, (1, 11, 4))
    assert layer[0, :, 3].tolist() == [0, 0, 0, 0, 0, 0, 51, 102, 153, 153, 153]


def test_the_colours_span_the_map_and_are_those_of_viridis():
    given = with_importance([[0.2, 0.4], [0.6, 1.2]])

    layer = relax.overlay(given, outline=False)

    expected = matplotlib.colormaps["viridis"]([[0.0, 0.2], [0.4, 1.0]], bytes=True)[..., :3]
    np.testing.assert_array_equal(layer[..., :3], expected)


def test_given_colours_and_limits_are_used():
    given = with_importance([[0.2, 0.4], [0.6, 1.2]])

    layer = relax.overlay(given, cmap="cividis", limits=(0.2, 0.6), outline=False)

    expected = matplotlib.colormaps["cividis"]([[0.0, 0.5], [1.0, 1.1]], bytes=True)[..., :3]
    np.testing.assert_array_equal(layer[..., :3], expected)


def test_colours_that_diverge_are_centred_on_zero_and_opaque_on_both_sides():
    given = with_importance([[-4, -1, 0, 0, 0, 0, 0, 0, 0, 0, 2]])

    layer = relax.overlay(given, cmap="RdBu_r", alpha=1.0, outline=False)[0]

    assert layer[[0, 1, 2, 10], 3].tolist() == [255, 255, 0, 255]
    expected = matplotlib.colormaps["RdBu_r"]([0.0, 0.375, 0.75], bytes=True)[:, :3]
    np.testing.assert_array_equal(layer[[0, 1, 10], :3], expected)


def test_pixels_never_seen_are_transparent_and_do_not_count():
    values = np.full((2, 11), np.nan)
    values[1] = np.arange(11)

    layer = relax.overlay(with_importance(values), alpha=0.6, outline=False)

    assert (layer[0, :, 3] == 0).all()
    assert layer[1, :, 3].tolist() == [0, 0, 0, 0, 0, 0, 51, 102, 153, 153, 153]


@pytest.mark.parametrize("value", [0.0, -2.5, 0.7, np.nan])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (20, 30)])
def test_a_constant_map_is_entirely_transparent(value, shape):
    layer = relax.overlay(with_importance(np.full(shape, value)))

    assert layer.shape == (*shape, 4)
    assert (layer[..., 3] == 0).all()


def test_where_many_pixels_share_the_lowest_value_only_those_above_it_are_shown():
    values = np.zeros((40, 40))
    values[10:20, 10:20] = 1.0  # 6 % of the pixels: the 80th percentile is the lowest value

    layer = relax.overlay(with_importance(values), alpha=0.5, outline=False)

    assert (layer[10:20, 10:20, 3] == 128).all()
    assert (layer[..., 3] > 0).sum() == 100
    (line,) = outlines(values)
    assert line.min() == pytest.approx(9.0, abs=1)
    assert line.max() == pytest.approx(19.0, abs=1)


def test_the_outline_surrounds_the_top_20_percent():
    """A fifth of 100 x 100 pixels is a disc with a radius of sqrt(2000 / pi) = 25.2."""
    (line,) = outlines(disc())

    distance = np.hypot(*(line - 49.5).T)
    assert distance == pytest.approx(np.sqrt(2000 / np.pi), abs=0.3)


def test_the_outline_is_opaque_white_on_black_at_the_border_and_nowhere_else():
    given = with_importance(disc())

    plain, layer = relax.overlay(given, outline=False), relax.overlay(given)

    y, x = np.mgrid[:100, :100] - 49.5
    distance = np.hypot(y, x)
    changed = (plain != layer).any(-1)
    assert changed.any()
    assert (abs(distance[changed] - 25.2) < 3).all()
    on = abs(distance - 25.2) < 0.3
    assert (layer[on, 3] > 220).all()
    assert layer[on, :3].mean() > 180
    assert layer[changed][:, :3].min() < 60


def test_specks_have_no_outline():
    noise = np.random.default_rng(0).random((200, 200))
    values = np.zeros((200, 200))
    values[50:53, 50:53] = 1  # 9 pixels of 40,000

    assert outlines(noise) == []
    assert outlines(values) == []


def test_the_explanation_is_left_as_it_is():
    given = explanation(unseen=np.s_[0])
    copy = given.importance.copy()

    relax.overlay(given)

    np.testing.assert_array_equal(given.importance, copy)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"alpha": 1.5}, "alpha is an opacity, between 0 and 1; got 1.5"),
        ({"alpha": "half"}, "alpha is an opacity, between 0 and 1; got 'half'"),
        ({"cmap": "virids"}, "cmap must be the name of a colour map of matplotlib, .*; got 'virids': did you mean"),
        ({"limits": (1, 0)}, r"limits of importance must be two numbers \(low, high\)"),
    ],
)
def test_impossible_values_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        relax.overlay(explanation(), **keywords)


def test_what_is_no_explanation_is_refused():
    with pytest.raises(ValueError, match=r"explanation must be what relax\.explain gives; got "):
        relax.overlay(np.zeros((3, 3)))
