"""The averages over all masks that the surrogate states agree with averages over very many masks."""

from itertools import product

import pytest
import torch

from masking.grid import RandomGrid
from masking.surrogate import GridSurrogate

SIZE, CELLS, COUNT = (9, 12), 3, 40_000


def averages(keep, function, cells=CELLS, size=SIZE):
    """Mask-weighted mean (H, W) of function(surrogate, features), with its standard error, over independent masks."""
    grid = RandomGrid(size, cells, keep, seed=4)
    surrogate = GridSurrogate(grid)
    values = function(surrogate, surrogate.features(0, COUNT))
    masks = grid.masks(0, COUNT).squeeze(1).double()
    mean = torch.einsum("n,nhw->hw", values, masks) / masks.sum(0)
    error = (masks * (values[:, None, None] - mean)).square().sum(0).sqrt() / masks.sum(0)
    return surrogate, mean, error


def weights_for(surrogate, seed=0):
    features = surrogate.linear + len(surrogate.first)
    return torch.randn(features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [SIZE, (3, 30), (30, 3)])  # regions of one pixel vary more than those of ten
@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_every_feature_has_mean_zero(keep, size):
    surrogate = GridSurrogate(RandomGrid(size, CELLS, keep, seed=1))

    features = surrogate.features(0, COUNT)

    assert (features.mean(0).abs() < 4.5 * features.std(0) / COUNT**0.5).all()


@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_the_map_of_a_sum_of_features_is_known(keep):
    weights = weights_for(GridSurrogate(RandomGrid(SIZE, CELLS, keep)))

    surrogate, mean, error = averages(keep, lambda _, features: features @ weights)

    exact = surrogate.conditional_mean(weights)
    assert exact.std() > 10 * error.mean()  # the signal exceeds the noise
    assert ((mean - exact).abs() < 4.5 * error).all()


def test_the_map_of_products_alone_is_flat_at_a_keep_probability_of_one_half_and_not_elsewhere():
    """The third moment of a cell vanishes at 1/2: a product of two regions is then uncorrelated with any mask."""
    for keep, flat in [(0.5, True), (0.25, False)]:
        surrogate = GridSurrogate(RandomGrid(SIZE, CELLS, keep))
        weights = weights_for(surrogate)
        weights[: surrogate.linear] = 0

        assert (surrogate.conditional_mean(weights).abs().max() == 0) == flat


@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_the_map_of_the_square_is_that_of_many_drawn_masks(keep):
    weights = weights_for(GridSurrogate(RandomGrid(SIZE, CELLS, keep)))

    surrogate, mean, error = averages(keep, lambda _, features: (features @ weights).square())

    stated = surrogate.mean_of_square(weights[None], torch.ones(1, dtype=torch.float64), 400_000)
    assert stated.std() > 5 * error.mean()
    assert ((mean - stated).abs() < 4.5 * 1.1**0.5 * error).all()


@pytest.mark.parametrize("size", [SIZE, (3, 30), (30, 3)])
@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_the_map_of_the_square_of_single_regions_needs_no_drawing(keep, size):
    weights = weights_for(GridSurrogate(RandomGrid(size, CELLS, keep)))
    weights[CELLS**2 :] = 0

    surrogate, mean, error = averages(keep, lambda _, features: (features @ weights).square(), size=size)

    exact, repeated = (
        surrogate.mean_of_square(weights[None], torch.ones(1, dtype=torch.float64), count) for count in (1, 1000)
    )
    assert torch.equal(exact, repeated)
    assert ((mean - exact).abs() < 4.5 * error).all()


def test_fits_are_weighted_by_their_shares():
    surrogate = GridSurrogate(RandomGrid(SIZE, CELLS, 0.4))
    fits = torch.stack([weights_for(surrogate, seed) for seed in (0, 1)])

    mixture = surrogate.mean_of_square(fits, torch.tensor([0.3, 0.7], dtype=torch.float64), 1000)

    first, second = (surrogate.mean_of_square(fit[None], torch.ones(1, dtype=torch.float64), 1000) for fit in fits)
    torch.testing.assert_close(mixture, 0.3 * first + 0.7 * second)


def test_a_single_region_of_one_cell_is_worked_out_by_hand():
    """One cell: 2 x 2 grid points on one pixel. f is the mask itself minus p, so E[m f] / p = var(m) / p.

    The pixel lies at the shift u between the points, u uniform after clamping to [0, 1]: with the centre at 0, position
    u. Each axis gives E[(1 - u)^2 + u^2] = 2 / 3, so var(m) = p (1 - p) 4 / 9.
    """
    surrogate = GridSurrogate(RandomGrid((1, 1), 1, 0.5))
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)

    assert surrogate.conditional_mean(weights).item() == pytest.approx(0.5 * 4 / 9, rel=1e-4)


def test_regions_are_the_means_of_the_mask_over_them():
    grid = RandomGrid((9, 12), 3, 0.4, seed=3)
    surrogate = GridSurrogate(grid)

    regions = surrogate.features(5, 25)[:, :9] + 0.4

    by_hand = grid.masks(5, 25).view(20, 3, 3, 3, 4).mean((2, 4)).flatten(1)
    torch.testing.assert_close(regions, by_hand.double(), atol=1e-6, rtol=0)


def test_products_are_those_of_a_region_with_itself_right_below_and_the_diagonals():
    surrogate = GridSurrogate(RandomGrid((20, 20), 2))

    pairs = sorted(zip(surrogate.first.tolist(), surrogate.second.tolist(), strict=True))

    assert pairs == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]


def test_16_cells_along_a_side_are_the_most_with_products():
    """Of each region with itself, right, below, and on two diagonals."""
    features = GridSurrogate(RandomGrid((64, 64), 16)).features(0, 2).shape[1]

    assert features == 256 + 256 + 2 * 15 * 16 + 2 * 15 * 15


def test_grids_of_many_cells_have_no_products():
    surrogate = GridSurrogate(RandomGrid((64, 64), 17))

    assert surrogate.features(0, 2).shape == (2, 17**2)
    assert surrogate.conditional_mean(torch.ones(17**2, dtype=torch.float64)).shape == (64, 64)


def mean_of_square_of_one_cell(size, keep, weights, steps=16):
    """(H, W) of E[m g^2] / E[m] over all 16 patterns of the 2 x 2 grid points at `steps` x `steps` shifts.

    The mask is bilinear between the points; its mean over the image is the only region, its square the only product.
    """
    patterns = torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64).view(16, 2, 2)
    chances = torch.where(patterns == 1, keep, 1 - keep).double().prod(2).prod(1)
    shifts = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    masks = []
    for down, right in product(shifts, shifts):
        axes = zip(size, (down, right), strict=True)
        places = ((torch.arange(pixels).double() + 0.5) / pixels - 0.5 + shift for pixels, shift in axes)
        rows, columns = (torch.stack([1 - place, place], 1) for place in (place.clamp(0, 1) for place in places))
        masks.append(rows @ patterns @ columns.T)
    masks, chances = torch.cat(masks), chances.repeat(steps**2) / steps**2
    region = masks.mean((1, 2)) - keep
    squares = (weights[0] * region + weights[1] * (region**2 - chances @ region**2)) ** 2
    return torch.einsum("n,nhw->hw", chances * squares, masks) / torch.einsum("n,nhw->hw", chances, masks)


@pytest.mark.parametrize("keep", [0.5, 0.3])
@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0, 3.0), (1.0, -3.0)])
def test_masks_that_no_encoder_sees_are_shifted_evenly_over_a_whole_cell(keep, weights):
    """A million drawn masks are within 0.6 %; half a sixteenth of a cell further, the map is off by up to 3 %."""
    weights = torch.tensor(weights, dtype=torch.float64)
    surrogate = GridSurrogate(RandomGrid((4, 6), 1, keep, seed=1))

    drawn = surrogate.mean_of_square(weights[None], torch.ones(1, dtype=torch.float64), 1_000_000)

    torch.testing.assert_close(drawn, mean_of_square_of_one_cell((4, 6), keep, weights), rtol=0.01, atol=0)
