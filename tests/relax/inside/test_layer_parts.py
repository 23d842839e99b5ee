"""NMF finds planted parts, and PCA the variances that it is told; neither is asked where it makes no sense."""

import numpy as np
import pytest

from relax.inside.factors import factors_of


def planted():
    """(8, 6, 6) activations of two parts: the left third fires channels 0 to 3, the lower half of the rest 4 to 7."""
    left, lower = np.zeros((2, 6, 6), np.float32)
    left[:, :2], lower[3:, 2:] = 3, 1
    first, second = np.array([1, 2, 3, 4, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 4, 3, 2, 1])
    activations = first[:, None, None] * left + second[:, None, None] * lower
    return activations.astype(np.float32), (left, lower), (first, second)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_nmf_finds_the_two_parts_whatever_the_unit(scale):
    activations, maps, directions = planted()

    factors = factors_of(activations * np.float32(scale), "auto", 2)

    assert factors.method == "nmf"
    assert factors.note == ""
    for place in (0, 1):
        direction = directions[place] / np.linalg.norm(directions[place])
        np.testing.assert_allclose(factors.vectors[place], direction, atol=2e-3)
        length = np.linalg.norm(directions[place]) * scale
        np.testing.assert_allclose(factors.maps[place], maps[place] * length, atol=5e-3 * length)
    # Energies: 12 cells x 3^2 x 30, and 12 cells x 1 x 30.
    np.testing.assert_allclose(factors.shares, [0.9, 0.1], atol=2e-3)


def test_pca_gives_components_by_their_variance():
    """Channels (3 a, 4 a) and b, of independent a and b of variance 1: variances 25 and 1 of 26."""
    cells = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
    activations = np.stack([3 * cells[:, 0], 4 * cells[:, 0], cells[:, 1]]).reshape(3, 2, 2)

    factors = factors_of(activations, "auto", 2)

    assert factors.method == "pca"
    np.testing.assert_allclose(factors.shares, [25 / 26, 1 / 26], rtol=1e-5)
    np.testing.assert_allclose(np.abs(factors.vectors[0]), [0.6, 0.8, 0], atol=1e-6)
    np.testing.assert_allclose(np.abs(factors.maps[0]), 5, rtol=1e-5)


def test_nmf_of_values_below_0_says_what_it_cut_off():
    activations = np.array([[[3.0, 4.0]], [[-5.0, 0.0]]], np.float32)  # energies 25 above 0, 25 below

    factors = factors_of(activations, "nmf", 1)

    assert factors.method == "nmf"
    assert factors.note == "values below 0, 50% of the energy, were set to 0"


def test_a_layer_without_places_or_differences_has_no_parts():
    assert factors_of(np.ones((5, 1, 1), np.float32)) is None
    assert factors_of(np.ones((5, 3, 3), np.float32)) is None
    assert factors_of(planted()[0], "none") is None


def test_every_cell_has_its_values_where_only_some_are_fitted():
    """80 x 80 cells are twice as many as a fit sees."""
    ramp = np.linspace(0, 1, 6400, dtype=np.float32).reshape(1, 80, 80)

    factors = factors_of(np.concatenate([ramp, 2 * ramp]), "nmf", 1)

    np.testing.assert_allclose(factors.maps[0], 5**0.5 * ramp[0], atol=2e-3)
