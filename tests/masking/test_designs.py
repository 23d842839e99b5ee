"""Designs change how masks depend on each other; each single mask keeps the distribution of an independent draw."""

from itertools import combinations

import numpy as np
import pytest
import torch

from masking.designs import DESIGNS, block_length, draw
from masking.grid import RandomGrid

CELLS = 10  # an orthogonal block then has 128 masks: 10 columns for cells and 6 for shifts in an array of order 64


@pytest.fixture(params=DESIGNS)
def design(request):
    return request.param


@pytest.mark.parametrize("keep", [0.5, 0.2])
def test_every_cell_is_visible_with_the_keep_probability_and_independent_of_every_other(design, keep):
    """One mask from each of 3,000 seeds, free of any dependence in a block: moments within 4.5 standard errors."""
    draws = [draw(design, seed, seed % 7, seed % 7 + 1, CELLS, keep) for seed in range(3000)]
    cells = torch.cat([cells for cells, _ in draws]).double()
    shifts = torch.cat([shifts for _, shifts in draws]).double()
    count, spread = len(cells), keep * (1 - keep)

    centred = cells - keep
    products = centred.T @ centred / count

    assert (centred.mean(0).abs() < 4.5 * (spread / count) ** 0.5).all()
    off_diagonal = products[~torch.eye(CELLS, dtype=torch.bool)]
    assert (off_diagonal.abs() < 4.5 * spread / count**0.5).all()
    assert ((shifts.mean(0) - 0.5).abs() < 4.5 * (1 / 12 / count) ** 0.5).all()
    assert ((shifts.square().mean(0) - 1 / 3).abs() < 4.5 * (4 / 45 / count) ** 0.5).all()
    assert (((shifts - 0.5).T @ centred / count).abs() < 4.5 * (spread / 12 / count) ** 0.5).all()


def test_any_three_cells_show_all_eight_patterns_equally_often_in_an_orthogonal_block():
    length = block_length("orthogonal", CELLS)

    cells, _ = draw("orthogonal", 5, 3 * length, 4 * length, CELLS, 0.5)

    assert length == 128
    for triple in combinations(range(CELLS), 3):
        patterns = cells[:, list(triple)] @ torch.tensor([4.0, 2.0, 1.0])
        assert torch.bincount(patterns.long(), minlength=8).tolist() == [16] * 8


def test_shifts_of_an_orthogonal_block_lie_one_in_each_box():
    """128 masks: eight by eight boxes, and one shift in either half of each."""
    _, shifts = draw("orthogonal", 0, 0, 128, CELLS, 0.5)

    boxes = (shifts * torch.tensor([8, 16])).long()

    assert len({tuple(box) for box in boxes.tolist()}) == 128


@pytest.mark.parametrize("count", [CELLS, 58])  # 58 cells and 6 bits take all 64 columns
def test_the_leading_bits_of_the_shifts_are_balanced_with_any_two_cells(count):
    """Each of the six halves, quarters and eighths shows all eight patterns equally often with any two cells."""
    cells, shifts = draw("orthogonal", 7, 0, 128, count, 0.5)
    bits = torch.cat([(shifts * scale).long() % 2 for scale in (2, 4, 8)], 1)

    for bit in bits.T:
        for pair in combinations(range(count), 2):
            patterns = cells[:, list(pair)].long() @ torch.tensor([2, 1]) + 4 * bit
            assert torch.bincount(patterns, minlength=8).tolist() == [16] * 8


def test_the_second_of_an_antithetic_pair_shows_what_the_first_hides():
    cells, shifts = draw("antithetic", 0, 10, 30, CELLS, 0.5)

    assert torch.equal(cells[::2] + cells[1::2], torch.ones(10, CELLS))
    assert torch.equal(shifts[::2], shifts[1::2])


def test_pairs_of_an_antithetic_grid_add_up_to_a_fully_visible_image():
    masks = RandomGrid((20, 30), 4, seed=2, design="antithetic").masks(0, 6)

    torch.testing.assert_close(masks[::2] + masks[1::2], torch.ones(3, 1, 20, 30))


def test_sobol_points_of_a_block_fall_once_into_each_256th_of_every_dimension():
    _, shifts = draw("sobol", 1, 0, 256, CELLS, 0.5)

    for axis in shifts.T:
        assert sorted((axis * 256).long().tolist()) == list(range(256))


def test_any_range_can_be_drawn_without_what_comes_before(design):
    cells, shifts = draw(design, 3, 0, 700, CELLS, 0.4)

    for start, stop in [(0, 1), (31, 33), (250, 520), (699, 700)]:
        cells_in_range, shifts_in_range = draw(design, 3, start, stop, CELLS, 0.4)
        assert torch.equal(cells_in_range, cells[start:stop])
        assert torch.equal(shifts_in_range, shifts[start:stop])


def test_the_caller_may_overwrite_what_was_drawn(design):
    expected = [values.clone() for values in draw(design, 5, 0, 256, 9, 0.4)]

    for values in draw(design, 5, 0, 256, 9, 0.4):
        values.fill_(0.5)

    for values, unspoilt in zip(draw(design, 5, 0, 256, 9, 0.4), expected, strict=True):
        assert torch.equal(values, unspoilt)


def test_seeds_and_blocks_differ(design):
    first, _ = draw(design, 0, 0, 1024, 50, 0.5)
    other, _ = draw(design, 1, 0, 1024, 50, 0.5)

    assert len(np.unique(first.numpy(), axis=0)) == 1024
    assert not torch.equal(first, other)


def test_shifts_stay_below_one(design):
    _, shifts = draw(design, 0, 0, 20_000, 2, 0.5)

    assert shifts.min() >= 0
    assert shifts.max() < 1


def test_an_array_larger_than_needed_serves_any_number_of_cells():
    assert [block_length("orthogonal", cells) for cells in (1, 58, 59, 64, 122, 123, 225)] == [
        128,
        128,
        256,
        256,
        256,
        512,
        512,
    ]


def test_blocks_are_as_long_as_masks_depend_on_each_other():
    assert [block_length(name, CELLS) for name in ("independent", "antithetic", "orthogonal", "sobol")] == [
        1,
        2,
        128,
        256,
    ]
    for name in DESIGNS:
        assert RandomGrid((20, 30), 2, design=name).block == block_length(name, 9)


def test_shifts_of_a_larger_orthogonal_block_lie_one_in_each_box_of_every_box():
    """60 cells: 256 masks, four in each of the 8 x 8 boxes, and one of these in each of its quarters."""
    _, shifts = draw("orthogonal", 0, 0, 256, 60, 0.5)

    assert len({tuple(box) for box in (shifts * 16).long().tolist()}) == 256


def test_two_masks_in_a_box_lie_in_its_left_and_right_half():
    """128 masks: the second axis has twice the boxes."""
    _, shifts = draw("orthogonal", 3, 128, 256, CELLS, 0.5)

    assert sorted((shifts[:, 1] * 16).long().tolist()) == sorted([*range(16)] * 8)
    assert sorted((shifts[:, 0] * 8).long().tolist()) == sorted([*range(8)] * 16)


def test_an_unknown_design_is_refused():
    with pytest.raises(ValueError, match=r"design must be one of orthogonal, sobol, antithetic, .*; got 'random'"):
        RandomGrid((20, 20), 4, design="random")
