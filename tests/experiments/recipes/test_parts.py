"""Each step of a view in part does what it says, to the share of pictures that it says."""

import pytest
import torch

from experiments.recipes import parts


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def noise(count=200, size=24):
    return torch.rand(count, 3, size, size)


def test_a_crop_has_its_share_of_the_area_and_half_are_mirrored():
    """Of a picture whose red runs from 0 to 1 to the right and whose green runs down, a crop shows where it lies."""
    ramp = (torch.arange(64) + 0.5) / 64
    picture = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])

    crops = parts.cropped(picture.expand(400, 3, 64, 64), 0.25, 0.5, 32)

    width = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]) * 32 / 31  # between the centres of the outer pixels
    height = (crops[:, 1, -1, 0] - crops[:, 1, 0, 0]) * 32 / 31
    area, aspect = width.abs() * height, width.abs() / height
    assert area.min() >= 0.25 - 0.02  # the outer half pixels of the picture are reflected
    assert area.max() <= 0.5 + 0.01
    assert 3 / 4 - 0.05 <= aspect.min() < 0.85 < 1.2 < aspect.max() <= 4 / 3 + 0.05
    assert 0.4 <= (width < 0).float().mean() <= 0.6


def test_one_in_five_is_grey_and_all_colours_stay_colours():
    recoloured = parts.recoloured(noise(1000, 4))

    grey = (recoloured - recoloured[:, :1]).abs().flatten(1).amax(1) < 1e-5
    assert 0.16 <= grey.float().mean() <= 0.24
    assert recoloured.min() >= 0
    assert recoloured.max() <= 1


def test_a_blur_keeps_constants_and_smooths_its_share_only():
    pixels = noise(10)
    constant = torch.full((10, 3, 24, 24), 0.3)

    blurred = parts.blurred(pixels, 0.3)

    assert torch.equal(blurred[3:], pixels[3:])
    assert (blurred[:3].var((2, 3)) < pixels[:3].var((2, 3))).all()
    torch.testing.assert_close(parts.blurred(constant, 1.0), constant)


def test_a_pasted_view_is_whole_small_and_on_its_ground():
    view, ground = torch.ones(300, 3, 40, 40), torch.zeros(300, 3, 40, 40)

    pasted = parts.pasted(view, ground, 1.0)

    assert set(pasted.round(decimals=5).unique().tolist()) == {0.0, 1.0}
    share = pasted[:, 0].mean((1, 2))
    assert 0.35**2 * torch.pi / 4 - 0.02 <= share.min() < 0.2 < 0.5 < share.max() <= 0.8**2 + 0.03
    assert torch.equal(parts.pasted(view, ground, 0.0), view)
    half = parts.pasted(view, ground, 0.5).flatten(1).amin(1) == 0
    assert 0.4 <= half.float().mean() <= 0.6


def test_a_hidden_view_lies_between_the_picture_and_its_mean_colour():
    pixels = noise()
    mean = pixels.mean((2, 3), keepdim=True)

    hidden = parts.hidden(pixels, 1.0)

    visible = ((hidden - mean) / (pixels - mean)).nanmean(1)  # the three channels share a mask
    assert visible.min() >= -1e-3
    assert visible.max() <= 1 + 1e-3
    assert 0.55 <= visible.mean() <= 0.7  # 35 to 90 % of the cells, and a view in part of each mask
    assert torch.equal(parts.hidden(pixels, 0.0), pixels)


def test_a_view_has_the_size_that_is_asked_for():
    assert parts.view(noise(6, 32), 20).shape == (6, 3, 20, 20)
