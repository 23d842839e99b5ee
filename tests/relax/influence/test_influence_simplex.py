"""A mixture is the nearest point of the convex hull: known ones are found, and no other mixture is nearer."""

import numpy as np
import pytest

from relax.influence.simplex import mixture_weights, sparse_mixture

CORNERS = np.array([[0.0, 0], [4, 0], [0, 4]])


def test_the_mean_of_two_has_half_of_each_and_nothing_else():
    vectors = np.random.default_rng(0).normal(size=(9, 12)) + 5  # in general position, far from 0

    weights = mixture_weights(vectors, (vectors[2] + vectors[6]) / 2)

    np.testing.assert_allclose(weights[[2, 6]], 0.5, atol=1e-9)
    assert np.flatnonzero(weights).tolist() == [2, 6]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((1, 2), (1 / 4, 1 / 4, 1 / 2)),  # inside: barycentric coordinates
        ((4, 4), (0, 1 / 2, 1 / 2)),  # beyond the long side, whose middle (2, 2) is nearest
        ((-3, 1), (3 / 4, 0, 1 / 4)),  # beyond the left side, at the height of (0, 1)
        ((9, -1), (0, 1, 0)),  # beyond a corner
    ],
)
def test_the_nearest_point_of_a_triangle_worked_out_by_hand(target, expected):
    np.testing.assert_allclose(mixture_weights(CORNERS, target), expected, atol=1e-9)


def test_no_other_mixture_is_nearer():
    """At the nearest point the way to the target is at no obtuse angle to any vector (the variational inequality)."""
    rng = np.random.default_rng(1)
    vectors, target = rng.normal(size=(40, 15)), rng.normal(size=15)

    weights = mixture_weights(vectors, target)

    nearest = weights @ vectors
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert ((vectors - nearest) @ (target - nearest)).max() < 1e-9


def test_moving_and_scaling_everything_changes_no_weight():
    rng = np.random.default_rng(2)
    vectors, target = rng.normal(size=(8, 5)), rng.normal(size=5)

    moved = mixture_weights(1e4 * vectors - 3e5, 1e4 * target - 3e5)

    np.testing.assert_allclose(moved, mixture_weights(vectors, target), atol=1e-7)


def test_the_largest_parts_alone_are_fitted_again():
    """Without the smallest part, (0, 0), the nearest mixture to (1, 2) lies on the long side, at (1.5, 2.5)."""
    np.testing.assert_allclose(sparse_mixture(CORNERS, (1.1, 2), 2), (0, 3.1 / 8, 4.9 / 8), atol=1e-9)


def test_copies_of_the_target_share_it():
    assert mixture_weights(np.ones((4, 3)), np.ones(3)).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("vectors", "target", "message"),
    [
        (np.zeros((0, 3)), np.zeros(3), r"vectors must be \(N, D\) and target \(D,\); got \(0, 3\) and \(3,\)"),
        (CORNERS, np.zeros(3), r"got \(3, 2\) and \(3,\)"),
        (CORNERS, [np.nan, 0], "must be finite; got NaN"),
    ],
)
def test_what_is_no_set_of_vectors_is_refused(vectors, target, message):
    with pytest.raises(ValueError, match=message):
        mixture_weights(vectors, target)
