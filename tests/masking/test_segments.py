"""Windows, superpixels and given masks honour the contract of a mask source."""

import numpy as np
import pytest
import torch
from skimage.segmentation import slic

from masking import GivenMasks, SlidingWindows, Superpixels
from masking.source import random_rows


def test_windows_hide_every_pixel_at_least_once_and_one_square_at_a_time():
    windows = SlidingWindows((7, 10), window=3, stride=2)

    masks = windows.masks(0, 1000)

    assert masks.shape == (windows.limit, 1, 7, 10)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert ((1 - masks).sum((1, 2, 3)) == 9).all()
    assert ((1 - masks).sum(0) >= 1).all()


def test_windows_go_in_reading_order_and_end_at_the_border():
    """4 x 5 px, window 2, stride 2: tops 0, 2; lefts 0, 2, 3."""
    masks = SlidingWindows((4, 5), window=2, stride=2).masks(0, 6)[:, 0]

    corners = [tuple((mask == 0).nonzero()[0].tolist()) for mask in masks]

    assert corners == [(0, 0), (0, 2), (0, 3), (2, 0), (2, 2), (2, 3)]


def test_windows_of_a_tall_image_go_down_to_its_end():
    """5 x 4 px, window 2, stride 2: tops 0, 2, 3; lefts 0, 2."""
    masks = SlidingWindows((5, 4), window=2, stride=2).masks(0, 6)[:, 0]

    corners = [tuple((mask == 0).nonzero()[0].tolist()) for mask in masks]

    assert corners == [(0, 0), (0, 2), (2, 0), (2, 2), (3, 0), (3, 2)]


def test_any_stretch_of_windows_can_be_drawn_alone():
    windows = SlidingWindows((4, 5), window=2, stride=1)

    assert windows.limit == 3 * 4
    assert torch.equal(windows.masks(5, 9), windows.masks(0, 12)[5:9])


def test_the_smallest_and_the_largest_windows():
    """One pixel: every mask hides its own. As large as the shorter side: one row of windows."""
    single = SlidingWindows((3, 4), window=1, stride=1).masks(0, 12)
    wide = SlidingWindows((3, 5), window=3, stride=1).masks(0, 9)

    assert torch.equal(1 - single.view(12, 12), torch.eye(12))
    assert [(1 - mask).nonzero()[0, 1:].tolist() for mask in wide] == [[0, 0], [0, 1], [0, 2]]


def two_halves() -> torch.Tensor:
    """Left half black, right half white, 12 x 12 px."""
    return torch.cat([torch.zeros(1, 3, 12, 6), torch.ones(1, 3, 12, 6)], dim=3)


def test_superpixels_follow_the_edge_and_hide_whole_segments():
    source = Superpixels(two_halves(), count=4, keep=0.5, seed=0)

    masks = source.masks(0, 64)[:, 0]

    labels = source.labels
    assert not set(labels[:, :6].unique().tolist()) & set(labels[:, 6:].unique().tolist())
    for label in labels.unique():
        inside = masks[:, labels == label]
        assert (inside == inside[:, :1]).all()
        assert 10 < inside[:, 0].sum() < 54


def test_superpixel_masks_are_the_same_for_any_batch_size():
    source = Superpixels(two_halves(), count=4, seed=7)

    assert torch.equal(torch.cat([source.masks(0, 100), source.masks(100, 300)]), source.masks(0, 300))


def test_superpixels_are_those_of_slic_without_parameters_as_often_visible_as_asked():
    image = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))

    source = Superpixels(image, count=12, keep=0.3, seed=1)

    pixels = image[0].permute(1, 2, 0).double().numpy()
    assert np.array_equal(source.labels, slic(pixels, n_segments=12, slic_zero=True, start_label=0, channel_axis=-1))
    assert source.labels.min() == 0
    segments = int(source.labels.max()) + 1
    uniform = random_rows(1, 0, 50, segments)
    for mask, row in zip(source.masks(0, 50)[:, 0], uniform, strict=True):
        assert torch.equal(mask, (row < 0.3).float()[source.labels])
    assert (Superpixels(image).count, Superpixels(image).keep, Superpixels(image).seed) == (49, 0.5, 0)


def test_as_many_superpixels_as_pixels_may_be_asked_for():
    image = torch.rand(1, 1, 2, 9, generator=torch.Generator().manual_seed(0))

    assert Superpixels(image, count=1).labels.max() == 0
    assert Superpixels(image, count=18).image_size == (2, 9)
    with pytest.raises(ValueError, match="count must be between 1 and the image's 18 pixels; got 19"):
        Superpixels(image, count=19)


def test_given_masks_come_back_as_they_are():
    masks = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))

    source = GivenMasks(masks)

    assert source.limit == 5
    assert source.image_size == (4, 6)
    assert torch.equal(source.masks(1, 4), masks[1:4, None])
    assert GivenMasks(torch.tensor([[[0.0, 1.0]]]).double()).masks(0, 1).dtype == torch.float32  # both ends are allowed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlidingWindows((5, 9), 6, 1), "window must be between 1 and the shorter image side, here 5 px; got 6"),
        (lambda: SlidingWindows((5, 9), 3, 4), "stride must be between 1 and window, here 3 px.*got 4"),
        (lambda: Superpixels(two_halves(), count=0), "count must be between 1 and the image's 144 pixels; got 0"),
        (lambda: Superpixels(two_halves(), keep=1.0), "keep is the chance"),
        (lambda: GivenMasks(torch.zeros(3, 3, 5, 5)), r"masks must have the shape \(N, 1, H, W\).*got \(3, 3, 5, 5\)"),
        (lambda: GivenMasks(torch.zeros(0, 1, 5, 5)), r"with N at least 1; got \(0, 1, 5, 5\)"),
        (lambda: GivenMasks(torch.full((1, 5, 5), 1.5)), r"masks must lie in \[0, 1\].*from 1.5 to 1.5"),
        (lambda: GivenMasks(torch.full((1, 5, 5), torch.nan)), r"masks must lie in \[0, 1\].*nan"),
    ],
)
def test_impossible_sources_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
