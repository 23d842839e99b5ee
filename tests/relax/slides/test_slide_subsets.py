"""What is said to be known exactly about subsets equals the average over all of them."""

from itertools import combinations

import pytest
import torch

from relax.slides.subsets import Subsets, SubsetSurrogate


class AllSubsets(Subsets):
    """Every subset of K tiles, once each, in place of random ones."""

    def masks(self, start, stop, device="cpu"):
        chosen = [*combinations(range(self.count), self.visible)]
        every = torch.zeros(len(chosen), self.count)
        for row, tiles in enumerate(chosen):
            every[row, list(tiles)] = 1
        return every[start:stop][:, None, None]


@pytest.fixture(params=[(7, 3 / 7), (6, 1 / 6), (6, 5 / 6), (8, 0.5)], ids=["3of7", "1of6", "5of6", "4of8"])
def surrogate(request):
    forms = torch.randn(request.param[0], 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return SubsetSurrogate(AllSubsets(*request.param), (forms - forms.mean(0)).float(), 3)


def everything(surrogate):
    """All masks (M, n), all features (M, F) and some weights (F,)."""
    masks = surrogate.grid.masks(0, 1000)[:, 0, 0].double()
    weights = torch.randn(surrogate.features(0, 1).shape[1], generator=torch.Generator().manual_seed(1)).double()
    return masks, surrogate.features(0, 1000), weights


def test_features_have_mean_zero(surrogate):
    _, features, _ = everything(surrogate)

    torch.testing.assert_close(features.mean(0), torch.zeros(features.shape[1]).double(), atol=1e-6, rtol=0)


def test_means_over_the_subsets_that_show_a_tile_are_exact(surrogate):
    masks, features, weights = everything(surrogate)
    values = features @ weights

    expected = (masks * values[:, None]).sum(0) / masks.sum(0)

    torch.testing.assert_close(surrogate.conditional_mean(weights)[0], expected, atol=1e-5, rtol=1e-5)


def test_means_of_squares_too_where_all_subsets_are_averaged(surrogate):
    masks, features, weights = everything(surrogate)
    fits, shares = torch.stack([weights, 2 * weights]), torch.tensor([0.25, 0.75], dtype=torch.float64)

    expected = (masks * (features @ weights)[:, None].square()).sum(0) / masks.sum(0)

    square = surrogate.mean_of_square(fits, shares, len(masks))[0]
    torch.testing.assert_close(square, expected * (0.25 + 4 * 0.75), atol=1e-4, rtol=1e-4)


def test_every_subset_shows_as_many_tiles_and_does_not_depend_on_the_range():
    grid = Subsets(50, 0.2, seed=3)
    masks = grid.masks(0, 600)[:, 0, 0]

    assert grid.visible == 10
    assert (masks.sum(1) == 10).all()
    assert set(masks.unique().tolist()) == {0, 1}
    torch.testing.assert_close(grid.masks(300, 310), grid.masks(0, 310)[300:])
    assert not torch.equal(grid.masks(0, 10), Subsets(50, 0.2, seed=4).masks(0, 10))
    assert (masks.mean(0) - 0.2).abs().max() < 0.08


def test_equal_random_numbers_do_not_show_more_tiles(monkeypatch):
    monkeypatch.setattr("relax.slides.subsets.random_rows", lambda *_: torch.tensor([[0.5, 0.1, 0.5, 0.5, 0.9]]))

    assert Subsets(5, 0.4).masks(0, 1)[0, 0, 0].tolist() == [1, 1, 0, 0, 0]


def test_impossible_subsets_are_refused():
    with pytest.raises(ValueError, match="subsets need two tiles or more; got 1"):
        Subsets(1)
    with pytest.raises(ValueError, match="keep"):
        Subsets(5, 1.0)
