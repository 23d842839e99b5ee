"""Patch masks show the same number of whole patches in every mask, each patch as often as any other."""

import pytest
import torch

from masking import PatchMasks


def source(keep=0.5, seed=3):
    return PatchMasks((12, 20), (3, 5), keep, seed)  # patches of 4 x 4 px


def test_every_mask_shows_its_patches_whole_and_nothing_else():
    masks, kept = source().masks(0, 40), source().kept(0, 40)

    assert masks.shape == (40, 1, 12, 20)
    assert kept.shape == (40, 8)  # half of 15, rounded to even
    for mask, patches in zip(masks[:, 0], kept.tolist(), strict=True):
        assert patches == sorted(set(patches))
        for patch in range(15):
            row, column = divmod(patch, 5)
            block = mask[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert bool((block == float(patch in patches)).all())


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_patches_are_drawn_without_replacement_and_with_equal_probability(keep):
    masks = source(keep)
    visible = masks.masks(0, 20_000)[:, 0, ::4, ::4].flatten(1)
    count = round(15 * keep)

    assert masks.visible == count
    together = visible.T @ visible / len(visible)
    single, pair = count / 15, count * (count - 1) / (15 * 14)
    torch.testing.assert_close(together.diagonal(), torch.full((15,), single), atol=0.018, rtol=0)
    pairs = together[~torch.eye(15, dtype=torch.bool)]
    torch.testing.assert_close(pairs, torch.full_like(pairs, pair), atol=0.018, rtol=0)


def test_any_range_can_be_drawn_and_the_seed_decides():
    assert torch.equal(source().kept(250, 530), source().kept(0, 600)[250:530])
    assert torch.equal(source().masks(250, 260), source().masks(0, 300)[250:260])
    assert not torch.equal(source().kept(0, 50), source(seed=4).kept(0, 50))


def test_at_least_one_patch_is_visible_and_one_hidden():
    assert source(0.001).visible == 1
    assert source(0.999).visible == 14


def test_the_recipe_states_the_number_of_visible_patches():
    assert source().recipe() == {
        "kind": "patches",
        "image_size": [12, 20],
        "grid": [3, 5],
        "visible": 8,
        "seed": 3,
    }


@pytest.mark.parametrize("grid", [(5, 5), (3, 7), (0, 5), (1, 1)])
def test_a_grid_that_does_not_tile_is_refused(grid):
    with pytest.raises(ValueError, match=r"grid must be 2 patches or more that tile the 12 x 20 px; got \("):
        PatchMasks((12, 20), grid)


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match=r"keep is the chance .*; got 1.5"):
        source(1.5)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        source(seed=-1)


@pytest.mark.parametrize("grid", [(1, 2), (2, 1), (1, 5)])
def test_two_patches_in_one_row_or_column_are_enough(grid):
    masks = PatchMasks((4 * grid[0], 4 * grid[1]), grid, 0.5).masks(0, 20)

    assert (masks.sum((1, 2, 3)) == 16 * max(1, round(grid[0] * grid[1] / 2))).all()
    assert len(masks.unique(dim=0)) > 1
