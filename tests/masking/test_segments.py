"""Windows, superpixels and given masks keep the contract of every mask source."""

import pytest
import torch

from masking import GivenMasks, SlidingWindows, Superpixels


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


def test_superpixels_are_the_same_however_they_are_cut():
    source = Superpixels(two_halves(), count=4, seed=7)

    assert torch.equal(torch.cat([source.masks(0, 100), source.masks(100, 300)]), source.masks(0, 300))


def test_given_masks_come_back_as_they_are():
    masks = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))

    source = GivenMasks(masks)

    assert source.limit == 5
    assert torch.equal(source.masks(1, 4), masks[1:4, None])


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
