"""Masks of volumes are those of pictures with a third axis: values, probabilities, designs, and exact averages."""

from itertools import combinations, product

import pytest
import torch
from torch.nn import functional as F

from masking import AuthorsGrid, GivenMasks, GridSurrogate, RandomGrid, make_fill
from masking.designs import DESIGNS, block_length, draw
from masking.fill import blend

SIZE, CELLS, COUNT = (4, 5, 6), 2, 40_000


def test_agrees_with_torch_enlargement_and_whole_voxel_crops(monkeypatch):
    """With cells of 4 voxels and a shift of (1, 2, 3) voxels, a mask is a crop of torch's trilinear enlargement."""
    cells = (torch.rand(4, 4, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    shifts = torch.tensor([[1 / 4, 2 / 4, 3 / 4]]).expand(4, 3)
    monkeypatch.setattr(RandomGrid, "draw", lambda self, start, stop: (cells, shifts))

    masks = RandomGrid((12, 12, 12), cells=3).masks(0, 4)

    enlarged = F.interpolate(cells[:, None], size=(16, 16, 16), mode="trilinear", align_corners=False)
    torch.testing.assert_close(masks, enlarged[:, :, 1:13, 2:14, 3:15], atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cells_that_are_constant_along_an_axis_give_the_mask_of_a_picture(monkeypatch, axis):
    flat = (torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    shifts = torch.rand(5, 3, generator=torch.Generator().manual_seed(2))
    size = [9, 11]
    size.insert(axis, 7)
    deep = flat.unsqueeze(axis + 1).expand(5, 4, 4, 4)
    monkeypatch.setattr(RandomGrid, "draw", lambda self, start, stop: (deep, shifts))
    volume = RandomGrid(tuple(size), cells=3).masks(0, 5)
    others = [other for other in range(3) if other != axis]
    monkeypatch.setattr(RandomGrid, "draw", lambda self, start, stop: (flat, shifts[:, others]))

    picture = RandomGrid((9, 11), cells=3).masks(0, 5)

    torch.testing.assert_close(volume, picture.unsqueeze(2 + axis).expand_as(volume), atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", [RandomGrid, AuthorsGrid])
def test_masks_are_bit_identical_whatever_the_batch_size_and_in_range(kind):
    grid = kind((5, 7, 6), cells=3, keep=0.9, seed=5)

    batches = [grid.masks(start, min(start + 100, 700)) for start in range(0, 700, 100)]

    assert torch.equal(torch.cat(batches), grid.masks(0, 700))
    assert torch.cat(batches).shape == (700, 1, 5, 7, 6)
    assert torch.cat(batches).min() >= 0
    assert torch.cat(batches).max() <= 1


@pytest.mark.parametrize("design", DESIGNS)
def test_every_voxel_is_visible_with_the_keep_probability(design):
    """One mask from each of 400 seeds, free of any dependence in a block: within 5 standard errors."""
    masks = torch.cat(
        [RandomGrid((3, 4, 5), 2, 0.3, seed, design).masks(seed % 7, seed % 7 + 1) for seed in range(400)]
    )

    assert (masks.double().mean(0) - 0.3).abs().max() < 5 * (0.3 * 0.7 / 400) ** 0.5


def test_an_orthogonal_block_is_balanced_over_cells_and_fills_the_cube_of_shifts():
    """64 points and 6 leading bits of the shifts are columns of an array of order 128: 256 masks in a block."""
    length = block_length("orthogonal", 64, 3)

    cells, shifts = draw("orthogonal", 5, 3 * length, 4 * length, 64, 0.5, 3)

    assert length == 256
    for triple in list(combinations(range(64), 3))[::97]:
        patterns = cells[:, list(triple)] @ torch.tensor([4.0, 2.0, 1.0])
        assert torch.bincount(patterns.long(), minlength=8).tolist() == [length // 8] * 8
    for axis in range(3):
        assert torch.bincount((shifts[:, axis] * 4).long()).tolist() == [length // 4] * 4
    few = draw("orthogonal", 0, 0, block_length("orthogonal", 8, 3), 8, 0.5, 3)[1]  # 128 masks: two in each box
    assert torch.bincount((few * 4).long() @ torch.tensor([16, 4, 1])).tolist() == [2] * 64


def surrogate_of(keep, size=SIZE):
    surrogate = GridSurrogate(RandomGrid(size, CELLS, keep, seed=4))
    features = surrogate.linear + len(surrogate.first)
    weights = torch.randn(features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return surrogate, weights


def averaged(surrogate, values):
    """Mask-weighted mean (D, H, W) of one value per mask, with its standard error, over independent masks."""
    masks = surrogate.grid.masks(0, COUNT).squeeze(1).double()
    mean = torch.einsum("n,ndhw->dhw", values, masks) / masks.sum(0)
    error = (masks * (values[:, None, None, None] - mean)).square().sum(0).sqrt() / masks.sum(0)
    return mean, error


def test_regions_and_products_are_means_of_the_mask_and_of_neighbours():
    surrogate = GridSurrogate(RandomGrid((4, 6, 8), 2, 0.4, seed=3))

    features = surrogate.features(5, 25)

    blocks = surrogate.grid.masks(5, 25).view(20, 2, 2, 2, 3, 2, 4).mean((2, 4, 6)).double() - 0.4
    torch.testing.assert_close(features[:, :8], blocks.flatten(1), atol=1e-6, rtol=0)
    products = [blocks * blocks, blocks[..., :-1] * blocks[..., 1:], blocks[:, :, :-1] * blocks[:, :, 1:]]
    products.append(blocks[:, :-1] * blocks[:, 1:])
    by_hand = torch.cat([pairs.flatten(1) for pairs in products], 1)
    difference = by_hand - features[:, 8:]
    torch.testing.assert_close(difference, difference[:1].expand_as(difference), atol=1e-6, rtol=0)  # the known mean


@pytest.mark.parametrize("keep", [0.5, 0.25])
def test_features_have_mean_zero_and_known_maps(keep):
    surrogate, weights = surrogate_of(keep)
    features = surrogate.features(0, COUNT)

    mean, error = averaged(surrogate, features @ weights)
    square, square_error = averaged(surrogate, (features @ weights).square())

    assert (features.mean(0).abs() < 4.5 * features.std(0) / COUNT**0.5).all()
    exact = surrogate.conditional_mean(weights)
    assert exact.std() > 10 * error.mean()  # the signal exceeds the noise
    assert ((mean - exact).abs() < 4.5 * error).all()
    stated = surrogate.mean_of_square(weights[None], torch.ones(1, dtype=torch.float64), 400_000)
    assert ((square - stated).abs() < 4.5 * 1.1**0.5 * square_error).all()


def test_the_map_of_a_region_is_that_of_all_patterns_of_two_by_two_by_two_points():
    """One cell has 2 x 2 x 2 points: 256 patterns, at 12^3 shifts of the midpoint rule, in plain loops of torch."""
    keep, steps, size = 0.3, 12, (2, 3, 2)
    surrogate = GridSurrogate(RandomGrid(size, 1, keep))
    weights = torch.zeros(surrogate.linear + len(surrogate.first), dtype=torch.float64)
    weights[0] = 1.0
    patterns = torch.tensor(list(product([0.0, 1.0], repeat=8)), dtype=torch.float64).view(256, 2, 2, 2)
    chance = (patterns * keep + (1 - patterns) * (1 - keep)).flatten(1).prod(1)

    def hats(pixels, shift):
        places = ((torch.arange(pixels).double() + 0.5) / pixels - 0.5 + shift).clamp(0, 1)
        return torch.stack([1 - places, places], 1)

    product_sum, mask_sum = torch.zeros(2, *size, dtype=torch.float64)
    for shift in product([(step + 0.5) / steps for step in range(steps)], repeat=3):
        depth, rows, columns = (hats(*both) for both in zip(size, shift, strict=True))
        masks = torch.einsum("zi,yj,xk,nijk->nzyx", depth, rows, columns, patterns)
        feature = masks.mean((1, 2, 3)) - keep
        product_sum += torch.einsum("n,nzyx->zyx", chance * feature, masks)
        mask_sum += torch.einsum("n,nzyx->zyx", chance, masks)

    torch.testing.assert_close(surrogate.conditional_mean(weights), product_sum / mask_sum, atol=1e-3, rtol=0)


def test_fills_and_blends_have_a_depth():
    image = torch.rand(1, 2, 5, 6, 7, generator=torch.Generator().manual_seed(0))

    assert make_fill((0.25, 0.5), image).shape == (1, 2, 1, 1, 1)
    assert make_fill("noise", image, seed=3).shape == image.shape
    step = torch.zeros(1, 1, 32, 4, 4)
    step[:, :, 16:] = 1
    blurred = make_fill("blur", step)[0, 0, :, 2, 2]
    assert (blurred.diff() >= 0).all()  # along the depth, too
    assert blurred[15] == pytest.approx(1 - float(blurred[16]), abs=1e-5)
    assert 0.1 < blurred[15] < 0.5
    masks = GivenMasks(torch.stack([torch.ones(1, 5, 6, 7), torch.zeros(1, 5, 6, 7)])).masks(0, 2)
    fill = make_fill((0.25, 0.5), image)
    torch.testing.assert_close(blend(image, masks, fill), torch.cat([image, fill.expand_as(image)]))
