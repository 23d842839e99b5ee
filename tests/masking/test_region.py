"""A region of a view: masks inside its box, and a fill that leaves the rest as it is."""

import pytest
import torch

from masking import Region, blend


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def region(height=9, width=12, rows=slice(2, 7), columns=slice(3, 9)):
    share = torch.zeros(1, 1, height, width)
    share[..., rows, columns] = drawn(rows.stop - rows.start, columns.stop - columns.start).clamp(0.05)
    return Region.of(share)


def test_the_picture_is_that_of_the_mask_which_shows_all_outside_the_region():
    """(1 - R (1 - M)) x + R (1 - M) f, pixel by pixel."""
    part, view, fill = region(), drawn(1, 3, 9, 12, seed=1), drawn(1, 3, 9, 12, seed=2)
    masks = drawn(4, 1, *part.size, seed=3)

    masked = blend(view, part.put(masks, 1.0), part.filled(view, fill))

    for number in range(4):
        for i in range(9):
            for j in range(12):
                inside = 2 <= i < 7 and 3 <= j < 9
                hidden = float(part.share[0, 0, i, j]) * (1 - float(masks[number, 0, i - 2, j - 3])) if inside else 0.0
                expected = (1 - hidden) * view[0, :, i, j] + hidden * fill[0, :, i, j]
                torch.testing.assert_close(masked[number, :, i, j], expected)


def test_outside_the_region_the_picture_is_the_view_to_the_last_bit():
    share = region().share
    share[..., 3:5, 4:6] = 0  # a hole
    part, view = Region.of(share), drawn(1, 3, 9, 12, seed=1) ** 2  # all bits of a float; torch.rand has 24

    masked = blend(view, part.put(torch.zeros(2, 1, *part.size), 1.0), part.filled(view, torch.full((1, 3, 1, 1), 0.9)))

    outside = (part.share == 0).expand(2, 3, -1, -1)
    assert torch.equal(masked[outside], view.expand(2, -1, -1, -1)[outside])


def test_the_box_is_the_smallest_and_inside_are_the_pixels_that_may_be_hidden():
    share = torch.zeros(1, 1, 6, 8)
    share[..., 1, 2], share[..., 4, 6] = 1.0, 0.2

    part = Region.of(share)

    assert (part.box, part.size, part.view_size) == ((1, 2, 5, 7), (4, 5), (6, 8))
    assert part.inside.nonzero().tolist() == [[0, 0], [3, 4]]
    assert part.record() == {"box": [1, 2, 5, 7], "share_of_view": 0.025}
    assert part.whole().size == (6, 8)
    with pytest.raises(ValueError, match="a region must have a pixel; got none"):
        Region.of(torch.zeros(1, 1, 6, 8))


def test_what_is_put_back_can_be_cut_out_again_and_is_continued_for_interpolation():
    part, values = region(), drawn(2, 1, 5, 6)

    assert torch.equal(part.cut(part.put(values, 1.0)), values)
    assert float(part.put(values, 1.0).sum()) == pytest.approx(float(values.sum()) + 2 * (9 * 12 - 30), rel=1e-5)
    spread = part.spread(values[0, 0])
    assert torch.equal(spread[2:7, 3:9], values[0, 0])
    assert (spread[0, 0], spread[8, 11], spread[4, 0]) == (values[0, 0, 0, 0], values[0, 0, 4, 5], values[0, 0, 2, 0])


@pytest.mark.parametrize(
    ("rows", "columns", "box", "patches"),
    [
        (slice(2, 3), slice(2, 5), (0, 0, 3, 6), (1, 2)),
        (slice(3, 9), slice(0, 12), (3, 0, 9, 12), (2, 4)),
        (slice(5, 7), slice(7, 8), (3, 6, 9, 9), (2, 1)),
    ],
)
def test_a_box_of_whole_patches_holds_the_region(rows, columns, box, patches):
    """Patches of 3 px."""
    part = region(rows=rows, columns=columns).snapped((3, 4))

    assert part.box == box
    assert part.patches((3, 4)) == patches
