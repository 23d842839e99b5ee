"""Random grids are the masks of RISE: values, probabilities, and the same masks for a seed in batches of any size."""

import pytest
import torch
from torch.nn import functional as F

from masking import AuthorsGrid, RandomGrid
from tests.reference import rise_mask

GRIDS = [RandomGrid, AuthorsGrid]


@pytest.mark.parametrize(("size", "cells"), [((9, 9), 3), ((11, 7), 3), ((5, 13), 5), ((8, 8), 1)])
def test_masks_are_the_enlarged_and_shifted_cells_of_the_definition(size, cells):
    grid = RandomGrid(size, cells=cells, keep=0.4, seed=3)
    points, shifts = grid.draw(0, 6)

    masks = grid.masks(0, 6)[:, 0]

    for mask, cell, shift in zip(masks, points, shifts.tolist(), strict=True):
        torch.testing.assert_close(mask.double(), rise_mask(cell, tuple(shift), size), atol=2e-6, rtol=0)


def test_agrees_with_torch_enlargement_and_whole_pixel_crops(monkeypatch):
    """With cells of 8 px and a shift of (3, 5) px, a mask is a crop of torch's bilinear enlargement."""
    cells = (torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    shifts = torch.tensor([[3 / 8, 5 / 8]]).expand(4, 2)
    monkeypatch.setattr(RandomGrid, "draw", lambda self, start, stop: (cells, shifts))

    masks = RandomGrid((40, 40), cells=5).masks(0, 4)

    enlarged = F.interpolate(cells[:, None], size=(48, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(masks, enlarged[:, :, 3:43, 5:45], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize(("size", "cells"), [((37, 53), 7), ((64, 64), 64), ((224, 224), 7), ((10, 3), 1)])
def test_values_stay_in_the_promised_range_at_any_size(kind, size, cells):
    masks = kind(size, cells=cells, seed=1).masks(0, 300)

    nearly_all_visible = kind(size, cells=cells, keep=0.98, seed=1).masks(0, 300)  # where rounding goes beyond 1
    assert nearly_all_visible.max() <= 1
    assert masks.shape == (300, 1, *size)
    assert masks.dtype == torch.float32
    assert masks.min() >= 0
    assert masks.max() <= 1


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("batch", [1, 3, 100, 256, 257, 700])
def test_masks_are_bit_identical_whatever_the_batch_size(kind, batch):
    grid = kind((20, 24), seed=5)

    batches = [grid.masks(start, min(start + batch, 700)) for start in range(0, 700, batch)]

    assert torch.equal(torch.cat(batches), grid.masks(0, 700))


@pytest.mark.parametrize("kind", GRIDS)
def test_the_seed_decides_and_the_global_generator_is_left_alone(kind):
    before = torch.get_rng_state()

    first, repeated, other = (kind((16, 16), seed=seed).masks(0, 50) for seed in (1, 1, 2))

    assert torch.equal(first, repeated)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", GRIDS)
def test_every_pixel_is_visible_with_the_keep_probability(kind, keep):
    """Values are in [0, 1] with variance at most keep (1 - keep): 5 standard errors over 4,000 masks."""
    masks = kind((21, 21), cells=7, keep=keep, seed=0).masks(0, 4000)

    worst = (masks.double().mean(0) - keep).abs().max()

    assert worst < 5 * (keep * (1 - keep) / 4000) ** 0.5


def test_the_shift_moves_by_up_to_a_full_cell():
    """All 21 px of an image with 3 cells: the step between two cells must fall on every one of 7 columns."""
    _, shifts = RandomGrid((21, 21), cells=3, seed=0).draw(0, 2000)

    counts = torch.histc(shifts[:, 1], bins=7, min=0, max=1)

    assert (counts > 200).all()
    assert shifts.min() >= 0
    assert shifts.max() < 1


def test_the_authors_masks_move_by_at_most_three_pixels_and_vary_unevenly():
    """Behaviour of relax-xai 0.0.5 at 224 px: variance of the masks between about 0.07 and 0.25."""
    variance = AuthorsGrid((224, 224), seed=0).masks(0, 1500)[:, 0].var(0)

    assert variance.max() / variance.min() > 2.5
    assert RandomGrid((224, 224), seed=0).masks(0, 1500)[:, 0, 40:-40, 40:-40].var(0).min() > 0.08


def test_the_authors_masks_are_enlarged_cells_moved_by_whole_pixels_and_mirrored_at_the_border():
    """7 cells move by -3 to 3 px, all alike likely: torch's enlargement, padded with its mirror image and cropped."""
    grid = AuthorsGrid((28, 35), cells=7, seed=2)
    cells, shifts = grid.draw(0, 200)
    moves = (shifts * 7).floor().long() - 3

    masks = grid.masks(0, 200)

    enlarged = F.interpolate(cells[:, None], size=(28, 35), mode="bilinear", align_corners=False)
    padded = F.pad(enlarged, (3, 3, 3, 3), mode="reflect")
    for mask, whole, (down, right) in zip(masks, padded, moves.tolist(), strict=True):
        torch.testing.assert_close(mask, whole[:, 3 + down : 31 + down, 3 + right : 38 + right], atol=1e-5, rtol=0)
    assert set(moves.unique().tolist()) == {-3, -2, -1, 0, 1, 2, 3}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cells": 99}, r"cells must be between 1 and the shorter image side, here 37 px; got 99"),
        ({"cells": 0}, r"cells must be a whole number, 1 or more; got 0"),
        ({"cells": 2.5}, r"cells must be a whole number, 1 or more; got 2.5"),
        ({"keep": 5}, r"keep is the chance that a cell stays visible, strictly between 0 and 1; got 5"),
        ({"keep": 0.0}, r"keep .* strictly between 0 and 1; got 0.0"),
        ({"keep": float("nan")}, r"keep .* got nan"),
        ({"seed": -1}, r"seed must be a whole number, 0 or more; got -1"),
        ({"seed": 0.5}, r"seed must be a whole number, 0 or more; got 0.5"),
    ],
)
def test_impossible_numbers_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        RandomGrid((37, 50), **wrong)


def test_the_limit_of_cells_is_named_by_what_sets_it():
    with pytest.raises(ValueError, match=r"cells must be between 1 and 64; got 65"):
        RandomGrid((64, 64), cells=65)
    with pytest.raises(ValueError, match=r"cells must be between 1 and the shorter image side, here 63 px; got 64"):
        RandomGrid((63, 64), cells=64)


def test_more_than_64_cells_are_refused_on_a_large_image():
    with pytest.raises(ValueError, match="cells must be between 1 and 64; got 65"):
        RandomGrid((500, 500), cells=65)
