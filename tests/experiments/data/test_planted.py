"""A planted mark lies where its mask says and nowhere else, and the same seed plants it in the same place."""

import numpy as np
import pytest

from experiments.data.planted import CROSS, DISC, OPACITY, label, marked_group, plant


def grey(height=60, width=90, value=100):
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.mark.parametrize("kind", ["watermark", "frame"])
def test_pixels_change_where_the_mask_says_and_the_picture_given_stays(kind):
    before = grey()

    planted, mask = plant(before, kind, rng=np.random.default_rng(0))

    changed = (planted != before).any(axis=2)
    assert not changed[~mask].any()
    assert changed[mask].mean() > 0.95  # a pixel that the disc only touches may round to what it was
    assert (before == 100).all()


def test_a_watermark_is_a_disc_of_a_fifth_of_the_shorter_side():
    """12 px across in a picture of 60 x 90: pi / 4 * 144 = 113 px, and some that the edge only touches."""
    _, mask = plant(grey(), rng=np.random.default_rng(0))

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (len(rows), len(columns)) == (12, 12)
    assert 113 <= mask.sum() <= 144


def test_a_frame_covers_its_width_on_each_side():
    """A twentieth of 60 px are 3 px; what is left inside is 54 x 84."""
    planted, mask = plant(grey(), "frame", rng=np.random.default_rng(0))

    assert mask.sum() == 60 * 90 - 54 * 84
    assert not mask[3:-3, 3:-3].any()
    assert planted[0, 0].tolist() == [round(100 * (1 - OPACITY) + OPACITY * part) for part in (0, 140, 150)]


def test_the_watermark_is_white_with_a_blue_cross():
    planted, mask = plant(grey(200, 200, 0), share=0.4, rng=np.random.default_rng(1))

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left, side = rows[0], columns[0], len(rows)
    red, _, blue = planted[top + side // 2, left + side // 2]
    assert blue > 150 > 50 > red
    assert planted[top + side // 2, left + side // 20].min() > 200


def test_places_differ_between_draws_and_are_the_same_for_the_same_seed():
    first, same, other = (plant(grey(), rng=np.random.default_rng(seed))[1] for seed in (0, 0, 1))

    assert (first == same).all()
    assert (first != other).any()


def test_the_watermark_reaches_every_corner():
    rng = np.random.default_rng(0)
    total = sum(plant(grey(20, 20), share=0.4, rng=rng)[1].astype(int) for _ in range(400))

    assert (total[[1, 1, -2, -2], [3, -4, 3, -4]] > 0).all()


def test_a_random_half_is_marked_and_the_seed_decides_which():
    group = marked_group(11, seed=3)

    assert group.sum() == 5
    assert (group == marked_group(11, seed=3)).all()
    assert any((group != marked_group(11, seed)).any() for seed in range(4, 7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "stamp"}, "kind must be one of watermark, frame; got 'stamp'"),
        ({"share": 0.5}, r"share is a part of the shorter side of the picture, in \(0, 0.5\); got 0.5"),
        ({"share": 0.01}, "share must make the mark 2 px or larger, here of 60 px; got 0.01"),
    ],
)
def test_impossible_marks_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        plant(grey(), rng=np.random.default_rng(0), **change)


def test_a_label_is_where_it_is_asked_for_and_always_the_same():
    before = grey(100, 200)

    first, second = label(before, 0.1, 0.05), label(before, 0.5, 0.6)

    assert (first[10:24, 10:78] == second[50:64, 120:188]).all()
    assert {tuple(colour) for colour in first[10:24, 10:78].reshape(-1, 3).tolist()} == {DISC, CROSS}
    first[10:24, 10:78] = 100
    assert (first == before).all()
