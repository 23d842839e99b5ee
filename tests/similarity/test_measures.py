"""Measures have their textbook values and declared properties, and are defined for zero vectors."""

import math

import pytest
import torch

from similarity import MEASURES, cosine, dot, l2, mean_embedding, measure_named, rbf

Z = torch.tensor([[3.0, 4.0], [4.0, 3.0], [-3.0, -4.0], [0.0, 0.0]])
R = torch.tensor([3.0, 4.0])


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        (cosine, [1, 24 / 25, -1, 0]),
        (l2, [0, -math.sqrt(2), -10, -5]),
        (dot, [25, 24, -25, 0]),
        (rbf, [1, math.exp(-2 / 25), math.exp(-100 / 25), math.exp(-1)]),
    ],
)
def test_values_worked_out_by_hand(measure, values):
    assert measure(Z, R).tolist() == pytest.approx(values, abs=1e-12)


@pytest.mark.parametrize(("measure", "values"), [(cosine, [0, 0]), (l2, [0, -5]), (dot, [0, 0]), (rbf, [1, 0])])
def test_a_zero_reference_is_defined(measure, values):
    zero_and_other = torch.tensor([[0.0, 0.0], [3.0, 4.0]])

    assert measure(zero_and_other, torch.zeros(2)).tolist() == values


@pytest.mark.parametrize("name", MEASURES)
def test_the_reference_itself_is_closest(name):
    vectors = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    vectors = vectors / vectors.norm(dim=1, keepdim=True)

    scores = measure_named(name)(vectors, vectors[7])

    assert scores.argmax() == 7
    assert scores.dtype == torch.float64


# Declared properties: `Measure.limits`, `.stationary`, `.symmetric`

A, B = (torch.randn(200, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (1, 2))


def similarities(name, embeddings, references):
    """(N,) similarity of each embedding to the reference of the same row."""
    return torch.cat([MEASURES[name](z[None], r) for z, r in zip(embeddings, references, strict=True)])


@pytest.mark.parametrize("name", MEASURES)
def test_limits_are_approached_and_never_crossed_and_other_measures_exceed_any_bound(name):
    """For the vectors themselves, their opposites, other vectors, and all of these 10,000 times as long."""
    scores = torch.cat([similarities(name, z * scale, A) for z in (A, -A, B) for scale in (1, 1e4)])

    if MEASURES[name].limits is None:
        assert scores.abs().max() > 1e3
    else:
        low, high = MEASURES[name].limits
        assert low <= scores.min() <= low + 1e-12
        assert high - 1e-12 <= scores.max() <= high


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_stationary_where_no_direction_leads_away_from_the_reference_and_closer(name):
    """By definition of a maximum; its slope, a central difference, is 0 in every direction, at a kink as well."""
    step = 1e-4
    forward, backward = (similarities(name, A + sign * step * B, A) for sign in (1, -1))
    at_reference = similarities(name, A, A)

    is_maximum = bool(torch.maximum(forward, backward).le(at_reference).all())
    slopes = (forward - backward) / (2 * step)

    assert is_maximum == MEASURES[name].stationary
    if is_maximum:
        assert (similarities(name, B, A) <= at_reference).all()
        assert slopes.abs().max() < 1e-3
    else:
        assert slopes.abs().median() > 0.1


@pytest.mark.parametrize("name", MEASURES)
def test_a_symmetric_measure_allows_embedding_and_reference_to_be_swapped(name):
    scores, swapped = similarities(name, A, B), similarities(name, B, A)

    assert torch.allclose(scores, swapped, rtol=1e-12, atol=1e-12) == MEASURES[name].symmetric


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
def test_cosine_does_not_depend_on_length(scale):
    torch.testing.assert_close(cosine(Z * scale, R), cosine(Z, R))
    torch.testing.assert_close(cosine(Z, R * scale), cosine(Z, R))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_beyond_the_range_of_float64_do_not_matter_to_the_cosine(scale):
    """Also where the rows of one table differ by 400 powers of ten."""
    rows = Z.double() * torch.tensor([scale, 1 / scale, 1.0, 1.0], dtype=torch.float64)[:, None]

    torch.testing.assert_close(cosine(rows, R.double()), cosine(Z, R))
    torch.testing.assert_close(cosine(Z.double(), R.double() * scale), cosine(Z, R))


def test_a_vector_along_one_axis_is_like_any_other():
    axes = torch.eye(3) * torch.tensor([1.0, 5.0, 1e-3])

    assert cosine(axes, axes[0]).tolist() == [1, 0, 0]


def test_rounding_does_not_take_a_cosine_beyond_its_ends():
    vectors = torch.randn(5000, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same = torch.stack([cosine(row[None], row * 3)[0] for row in vectors])
    opposite = torch.stack([cosine(row[None], row * -3)[0] for row in vectors])

    assert same.max() == 1
    assert opposite.min() == -1
    torch.testing.assert_close(same, torch.ones(5000, dtype=torch.float64), rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_refused(name, bad):
    broken = Z.clone()
    broken[1, 0] = bad

    with pytest.raises(ValueError, match=r"embeddings must be finite; got [01] NaN and [01] infinite entries"):
        MEASURES[name](broken, R)
    with pytest.raises(ValueError, match="reference must be finite"):
        MEASURES[name](Z, torch.tensor([bad, 0.0]))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        cosine(Z, torch.zeros(3))


def test_an_unknown_measure_lists_the_names():
    with pytest.raises(ValueError, match=f"similarity must be one of {', '.join(MEASURES)}; got 'cosin'"):
        measure_named("cosin")


def test_the_mean_of_a_set_is_its_mean():
    assert mean_embedding(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).tolist() == [2, 4]


@pytest.mark.parametrize("empty", [torch.zeros(0, 4), torch.zeros(4)])
def test_the_mean_of_no_embeddings_is_refused(empty):
    with pytest.raises(ValueError, match="the mean of a set needs embeddings"):
        mean_embedding(empty)


def test_the_mean_of_a_set_with_nan_is_refused():
    with pytest.raises(ValueError, match="reference must be finite; 1 of 2 entries are not"):
        mean_embedding(torch.tensor([[1.0, math.nan]]))
