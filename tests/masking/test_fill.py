"""Hidden pixels show the fill, visible ones the image, and nothing leaves [0, 1]."""

import pytest
import torch

from masking import RandomGrid, blend, make_fill
from masking.source import random_rows


def picture(height=9, width=12, channels=3, seed=0):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_blending_is_the_image_where_visible_and_the_fill_where_hidden():
    image, fill = picture(seed=1), picture(seed=2)
    masks = torch.zeros(2, 1, 9, 12)
    masks[1] = 1

    blended = blend(image, masks, fill)

    torch.testing.assert_close(blended[0], fill[0])
    torch.testing.assert_close(blended[1], image[0])


def test_half_visible_is_the_middle():
    blended = blend(torch.full((1, 1, 1, 1), 0.2), torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.6))

    assert blended.item() == pytest.approx(0.4)


def test_the_mean_fill_equals_multiplying_after_normalising():
    """What the authors do: (x - mean) / std * m, against blending with the mean first."""
    image, masks = picture(), RandomGrid((9, 12), cells=3).masks(0, 5)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.25]).view(3, 1, 1)

    blended = blend(image, masks, make_fill("mean", image, mean=(0.4, 0.5, 0.6)))

    torch.testing.assert_close((blended - mean) / std, (image - mean) / std * masks, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
@pytest.mark.parametrize("fill", ["mean", "blur", "noise", 0.25])
def test_every_fill_works_for_any_number_of_channels(channels, fill):
    image = picture(channels=channels)

    pixels = make_fill(fill, image, seed=0).expand_as(image)

    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert pixels.dtype == torch.float32


def test_blurring_keeps_a_constant_and_flattens_an_edge():
    flat = torch.full((1, 3, 40, 30), 0.3)
    edge = torch.zeros(1, 1, 64, 64)
    edge[..., 32:] = 1

    torch.testing.assert_close(make_fill("blur", flat), flat)
    blurred = make_fill("blur", edge)
    # sigma = 64 / 16 = 4 px: one sigma into the white half lies the normal distribution's 84 %.
    assert blurred[0, 0, 32, 35].item() == pytest.approx(0.81, abs=0.02)


def test_blurring_a_point_gives_a_sampled_bell_of_a_sixteenth_of_the_shorter_side():
    """32 x 64 px: sigma 2 px, cut off beyond 3 sigma."""
    point = torch.zeros(1, 1, 32, 64)
    point[0, 0, 16, 32] = 1

    blurred = make_fill("blur", point)

    steps = torch.arange(-6, 7, dtype=torch.float64)
    bell = torch.exp(-(steps**2) / (2 * 2.0**2))
    expected = torch.zeros(32, 64, dtype=torch.float64)
    expected[10:23, 26:39] = torch.outer(bell, bell) / bell.sum() ** 2
    torch.testing.assert_close(blurred[0, 0].double(), expected, atol=1e-7, rtol=1e-5)


def test_a_tiny_image_is_blurred_by_half_a_pixel_as_far_as_mirroring_reaches():
    """1.5 px each way, rounded to 2, on 4 x 2 px: rows reach 2 px, columns only 1."""
    pixels = torch.rand(1, 1, 4, 2, generator=torch.Generator().manual_seed(0))

    blurred = make_fill("blur", pixels)

    tall, wide = (torch.exp(-(torch.arange(-reach, reach + 1).double() ** 2) / (2 * 0.5**2)) for reach in (2, 1))
    tall, wide = tall / tall.sum(), wide / wide.sum()
    mirrored = torch.nn.functional.pad(pixels.double(), (1, 1, 2, 2), mode="reflect")[0, 0]
    for row in range(4):
        for column in range(2):
            around = mirrored[row : row + 5, column : column + 3]
            assert blurred[0, 0, row, column].item() == pytest.approx(float(tall @ around @ wide), abs=1e-6)


@pytest.mark.parametrize(
    ("fill", "colour"),
    [
        (0, (0, 0, 0)),
        (1, (1, 1, 1)),
        (0.25, (0.25, 0.25, 0.25)),
        ((0.0, 0.5, 1.0), (0, 0.5, 1)),
        ([0.5], (0.5, 0.5, 0.5)),
        (torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), (0, 0.5, 1)),
        (torch.tensor(0.25), (0.25, 0.25, 0.25)),
        ("mean", (0, 0, 0)),  # without a mean pixel, black
    ],
)
def test_a_colour_has_one_value_for_all_channels_or_one_for_each(fill, colour):
    pixels = make_fill(fill, picture())

    assert pixels.shape == (1, 3, 1, 1)
    assert pixels.dtype == torch.float32
    assert pixels.flatten().tolist() == list(colour)


def test_another_image_is_taken_as_it_is_up_to_the_ends_of_the_range():
    image = picture()
    other = picture(seed=1).double()
    other[0, 0, 0, :2] = torch.tensor([0.0, 1.0])

    fill = make_fill(other, image)

    assert torch.equal(fill, other.float())
    assert fill.dtype == torch.float32
    with pytest.raises(ValueError, match=r"fill must be an image of the shape \(1, 3, 9, 12\); got \(9, 12\)"):
        make_fill(torch.zeros(9, 12), image)
    with pytest.raises(ValueError, match=r"fill must lie in \[0, 1\]; got values from -0.5 to -0.5"):
        make_fill(torch.full((1, 3, 9, 12), -0.5), image)


def test_noise_fills_the_rows_of_all_channels_from_the_second_stream():
    """The first makes the masks."""
    noise = make_fill("noise", picture(5, 7), seed=3)

    assert noise.shape == (1, 3, 5, 7)
    assert torch.equal(noise.view(15, 7), random_rows(3, 0, 15, 7, stream=1))
    assert torch.equal(make_fill("noise", picture(5, 7)), make_fill("noise", picture(5, 7), seed=0))


def test_noise_is_seeded_uniform_and_independent_of_the_masks():
    image = picture(200, 200)

    noise, repeated, other = (make_fill("noise", image, seed=seed) for seed in (0, 0, 1))

    assert torch.equal(noise, repeated)
    assert not torch.equal(noise[0, 0], random_rows(0, 0, 200, 200))  # the random numbers of the masks of this seed
    assert not torch.equal(noise, other)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.002)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        ("mauve", r"fill must be mean, .* got 'mauve'"),
        (1.5, r"fill must lie in \[0, 1\].*1.5"),
        (float("nan"), r"fill must lie in \[0, 1\]"),
        ((0.1, 0.2), r"fill must have one value or one per channel, here 3; got 2"),
        (torch.zeros(1, 3, 4, 4), r"fill must be an image of the shape \(1, 3, 9, 12\); got \(1, 3, 4, 4\)"),
        (torch.full((1, 3, 9, 12), 2.0), r"fill must lie in \[0, 1\]; got values from 2 to 2"),
    ],
)
def test_impossible_fills_are_named(fill, message):
    with pytest.raises(ValueError, match=message):
        make_fill(fill, picture())
