"""A planted mark is found at its place; where there is none, nothing is called significant more often than promised."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp

from encoders import Encoder, Preprocess
from relax.auditing.pictures import cell_masks, in_view
from relax.auditing.positions import compare_positions, mirror_of, mirrored_axes, standardised
from relax.auditing.shortcuts import CellEvidence, find_shortcuts, hiding_effects, recurrences
from relax.io.small import shrunk


def noise(count, side=7, seed=0, mark=None, strength=8.0):
    """Maps of an encoder that prefers some places: the same bias in pictures and mirror images, heavy tails."""
    rng = np.random.default_rng(seed)
    bias = 2 * rng.normal(size=(side, side))
    plain, mirrored = (bias + rng.standard_t(4, (count, side, side)) for _ in range(2))
    if mark is not None:
        for picture in range(0, count, 2):  # half of the pictures have the mark
            marked = np.zeros((side, side))
            marked[mark] = strength
            plain[picture] += marked
            mirrored[picture] += np.flip(marked, mirrored_axes(mirror_of(picture)))
    return plain, mirrored


def cosine(first, second):
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_t_is_that_of_a_paired_t_test():
    plain, mirrored = noise(12)

    result = compare_positions(plain, mirrored, flips=9)

    np.testing.assert_allclose(result.t, ttest_1samp(plain - mirrored, 0).statistic, rtol=1e-9)
    np.testing.assert_allclose(result.mean, plain.mean(0))
    np.testing.assert_allclose(result.difference, (plain - mirrored).mean(0))


def test_p_is_the_share_of_all_signs_with_a_largest_t_as_large():
    """With 8 pictures and 4 places all 256 signs can be tried."""
    plain, mirrored = noise(8, side=2, seed=3)
    differences = plain - mirrored

    result = compare_positions(plain, mirrored, flips=20_000)

    flipped = (differences * np.reshape(signs, (8, 1, 1)) for signs in product([-1, 1], repeat=8))
    largest = np.array([ttest_1samp(values, 0).statistic.max() for values in flipped])
    expected = (largest[:, None, None] >= result.t - 1e-9).mean(0)
    np.testing.assert_allclose(result.p, expected, atol=0.015)


def test_without_a_mark_one_family_in_twenty_has_a_false_positive():
    """The encoder's preference, the same in every picture and far larger than the noise of a mean, is not found."""
    false = sum(compare_positions(*noise(16, seed=seed), seed=seed, flips=399).p.min() <= 0.05 for seed in range(200))

    assert 1 <= false <= 20  # 10 expected, 3.1 standard deviations each way


@pytest.mark.parametrize(
    ("plain", "mirrored", "message"),
    [
        (np.zeros((7, 3, 3)), np.zeros((7, 3, 3)), "at least 8 pictures; got 7"),
        (np.zeros((8, 3, 3)), np.zeros((8, 3, 2)), "alike"),
        (np.full((8, 3, 3), np.nan), np.zeros((8, 3, 3)), "finite"),
    ],
)
def test_impossible_comparisons_are_refused(plain, mirrored, message):
    with pytest.raises(ValueError, match=message):
        compare_positions(plain, mirrored)


def test_a_mark_in_half_of_the_pictures_is_the_first_region():
    plain, mirrored = noise(24, mark=(6, 1))
    evidence = CellEvidence(plain, mirrored, tuple(range(100, 124)))

    result = find_shortcuts({"hiding": evidence}, np.zeros((24, 7, 7), dtype=bool))

    assert result.regions[0].peak == (6, 1)
    assert result.regions[0].question == "hiding"
    assert result.regions[0].box == (6 / 7, 1 / 7, 1, 2 / 7)
    effects = plain[:, 6, 1] - mirrored[:, 6, 1]
    assert result.regions[0].examples == tuple(100 + np.argsort(-effects)[:6])
    assert all(image % 2 == 0 for image in result.regions[0].examples)
    assert result.p[6, 1] == result.p.min() <= 0.05


def test_neighbouring_cells_are_one_region_and_others_another():
    plain, mirrored = noise(24)
    for row, column in [(0, 0), (0, 1), (5, 2)]:
        plain[:, row, column] += 6 + row / 5
    result = find_shortcuts({"hiding": CellEvidence(plain, mirrored, tuple(range(24)))})

    assert {region.cells for region in result.regions} == {((0, 0), (0, 1)), ((5, 2),)}
    assert next(region.box for region in result.regions if len(region.cells) == 2) == (0, 0, 1 / 7, 2 / 7)
    assert np.isnan(result.moved).all()


def test_two_questions_double_the_p_values():
    plain, mirrored = noise(24, mark=(3, 0), strength=4.0)
    evidence = CellEvidence(plain, mirrored, tuple(range(24)))

    alone = find_shortcuts({"hiding": evidence})
    both = find_shortcuts({"hiding": evidence, "importance": CellEvidence(mirrored, plain, tuple(range(24)))})

    assert alone.p[3, 0] < 0.3
    assert both.p[3, 0] == pytest.approx(2 * alone.p[3, 0])
    assert both.strength[3, 0] == alone.strength[3, 0]


def test_too_few_pictures_are_not_tested():
    plain, mirrored = noise(7)
    assert find_shortcuts({"hiding": CellEvidence(plain, mirrored, tuple(range(7)))}) is None


def test_importance_is_standardised_within_each_picture_first():
    maps = np.random.default_rng(0).normal(size=(3, 4, 4)) * np.array([1, 10, 100]).reshape(3, 1, 1) + 5

    standard = standardised(maps)

    np.testing.assert_allclose(standard.mean((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(standard.std((1, 2)), 1)
    np.testing.assert_array_equal(standardised(np.ones((1, 4, 4))), 0)


def test_pictures_are_mirrored_in_each_way_in_turn():
    """A mark in one corner goes to each of the other three."""
    picture = torch.zeros(1, 1, 5, 5)
    picture[..., 0, 0] = 1

    corners = [tuple(picture.flip(mirrored_axes(mirror_of(number)))[0, 0].nonzero()[0].tolist()) for number in range(3)]

    assert corners == [(0, 4), (4, 0), (4, 4)]


def test_hiding_effects_by_hand():
    """Centres along two axes. The picture is closer to the first: margin 0.8 - 0.6. Hidden: unchanged, turned over."""
    effects, moved = hiding_effects(
        np.array([4, 3], dtype=np.float32),
        np.array([[8, 6], [3, 4], [1, 0]], dtype=np.float32),
        np.array([[1, 0], [0, 2]], dtype=np.float64),
    )

    np.testing.assert_allclose(effects, [0, 0.4, 0.2 - 1], atol=1e-6)
    assert moved.tolist() == [False, True, False]


def changed(count, marked=0, cell=5, seed=0, dimensions=24):
    """Changes of embeddings in noise; an effect of the hole itself in each cell; the marked also lose one thing."""
    rng = np.random.default_rng(seed)
    hole, mark = rng.normal(size=(9, dimensions)), rng.normal(size=dimensions)
    plain, mirrored = (0.5 * hole + rng.normal(size=(count, 9, dimensions)) for _ in range(2))
    for picture in range(marked):
        plain[picture, cell] += 2 * mark
        place = np.zeros((3, 3), dtype=bool)
        place.flat[cell] = True
        mirrored[picture, np.flip(place, mirrored_axes(mirror_of(picture))).ravel()] += 2 * mark
    return plain.astype(np.float32), mirrored.astype(np.float32)


def recurring(changes, mirrored):
    values = [numbers.reshape(-1, 3, 3) for numbers in recurrences(changes, mirrored)]
    return find_shortcuts({"recurrence": CellEvidence(*values, tuple(range(len(changes))))})


def test_recurrence_by_its_definition():
    changes, mirrored = changed(4, dimensions=3)

    values = recurrences(changes, mirrored)

    for picture, cell in product(range(4), range(9)):
        others = [side[other, cell] for other in range(4) if other != picture for side in (changes, mirrored)]
        for side, numbers in zip((changes, mirrored), values, strict=True):
            alike = [np.exp(12 * (cosine(side[picture, cell], other) - 1)) for other in others]
            assert numbers[picture, cell] == pytest.approx(np.mean(alike), rel=1e-4)


def test_exchanging_a_picture_with_its_mirror_image_exchanges_its_own_two_numbers_only():
    changes, mirrored = changed(6, marked=3)
    before = np.stack(recurrences(changes, mirrored))
    changes[2], mirrored[2] = mirrored[2].copy(), changes[2].copy()

    after = np.stack(recurrences(changes, mirrored))

    np.testing.assert_allclose(after[:, 2], before[::-1, 2])
    np.testing.assert_allclose(np.delete(after, 2, axis=1), np.delete(before, 2, axis=1))


@pytest.mark.parametrize(("count", "marked"), [(40, 12), (40, 20), (40, 40)])
def test_what_some_pictures_lose_alike_in_one_place_is_found(count, marked):
    result = recurring(*changed(count, marked))

    assert result.regions[0].peak == (1, 2)
    assert result.regions[0].p <= 0.01
    assert all(image < marked for image in result.regions[0].examples)


def test_what_a_hole_does_to_every_picture_is_not_a_recurrence():
    """One family in twenty may have a false positive; the encoder's reaction to holes is in every cell."""
    smallest = [recurring(*changed(16, seed=seed)).p.min() for seed in range(40)]

    assert sum(p <= 0.05 for p in smallest) <= 6  # 2 expected, standard deviation 1.4


@pytest.mark.parametrize("size", [(7, 7), (64, 48), (10, 33)])
def test_every_pixel_is_hidden_by_exactly_one_cell(size):
    masks = cell_masks(size)

    assert masks.shape == (49, 1, *size)
    assert ((1 - masks).sum(0) == 1).all()
    assert masks[0, 0, 0, 0] == masks[6, 0, 0, -1] == masks[42, 0, -1, 0] == masks[48, 0, -1, -1] == 0


def test_maps_are_averaged_over_what_the_encoder_sees():
    """A centre crop of a wide picture: the left and right quarter are not seen, and NaN in the map."""
    encoder = Encoder(torch.nn.Flatten(), preprocess=Preprocess(size=(8, 8), resize=8))
    values = np.full((8, 16), np.nan, dtype=np.float32)
    values[:4, 4:12], values[4:, 4:8], values[4:, 8:12] = 1, 2, 4

    np.testing.assert_allclose(in_view(values, encoder, 2), [[1, 1], [2, 4]])


def test_small_pictures_keep_their_shape_and_are_never_enlarged():
    assert shrunk(torch.rand(1, 3, 100, 50), 20).shape == (1, 3, 20, 10)
    assert shrunk(torch.rand(1, 3, 10, 5), 20).shape == (1, 3, 10, 5)
    assert shrunk(torch.rand(1, 3, 400, 2), 20).shape == (1, 3, 20, 2)
