"""Tissue is found where it was painted, tiles lie on it, and both can be changed."""

import numpy as np
import pytest

from experiments.data.slides import SIDE, write_slide
from relax.io.errors import ImageError
from relax.slides.opening import open_slide
from relax.slides.tiles import lay_tiles
from relax.slides.tissue import Tissue, find_tissue

pytest.importorskip("openslide")


@pytest.fixture(scope="module")
def opened(slide_path):
    with open_slide(slide_path) as slide:
        yield slide


@pytest.fixture(scope="module")
def tissue(opened):
    return find_tissue(opened)


def test_tissue_is_found_where_it_was_painted(tissue, layout):
    painted = np.kron(layout >= 0, np.ones((16, 16), bool))  # 8 micrometres are 32 pixels of 0.25

    assert tissue.mask.shape == painted.shape
    assert (tissue.mask == painted).mean() > 0.97  # the lumina of glands are as pale as glass
    assert tissue.rule["mpp"] == 8
    assert tissue.rule["saturation"] >= 0.05


def test_the_noise_of_empty_glass_is_no_tissue(tmp_path, layout):
    """Otsu alone would divide it: only the least threshold of 0.05 keeps it out."""
    path = write_slide(tmp_path / "empty.tif", np.full((3, 3), -1, np.int8))
    with open_slide(path) as slide:
        noise = np.random.default_rng(0).integers(235, 246, (96, 96, 3), dtype=np.uint8)
        slide.picture = lambda mpp: noise
        assert 0 < find_tissue(slide, least_area=0).rule["otsu"] < 0.05
        empty = find_tissue(slide, least_area=0)

        assert not empty.mask.any()
        with pytest.raises(
            ImageError, match=r"empty.tif: no tile of 448 x 448 pixels holds 50% tissue; the most is 0%"
        ):
            lay_tiles(slide, empty)


def test_pieces_and_holes_below_the_least_area_are_closed(opened):
    picture = np.full((200, 200, 3), 255, np.uint8)
    picture[20:120, 20:120] = (200, 90, 150)  # 100 x 100 pixels of 8 micrometres: 0.64 square millimetres
    picture[60:70, 60:70] = 255  # a hole of 0.0064
    picture[150:160, 150:160] = (200, 90, 150)  # a speck of 0.0064
    opened_picture, opened.picture = opened.picture, lambda mpp: picture
    try:
        closed, every = find_tissue(opened, least_area=0.01), find_tissue(opened, least_area=0.001)
    finally:
        opened.picture = opened_picture

    assert closed.mask.sum() == 100 * 100
    assert closed.mask[65, 65]
    assert not closed.mask[155, 155]
    assert every.mask.sum() == 100 * 100 - 100 + 100


def test_a_drawn_mask_takes_the_place_of_the_rule(opened):
    left_half = np.zeros((10, 20), np.uint8)
    left_half[:, :10] = 255

    tissue = find_tissue(opened, mask=left_half)

    assert tissue.share == 0.5
    assert tissue.mask[:, : tissue.mask.shape[1] // 2].all()


def test_shares_are_areas():
    """A mask of 4 x 4 pixels, each 10 of level 0, of which the left two columns are tissue."""
    mask = np.zeros((4, 4), bool)
    mask[:, :2] = True
    tissue = Tissue(mask, np.zeros((4, 4, 3), np.uint8), (10.0, 10.0), {})

    shares = tissue.shares(np.array([[0, 0], [10, 0], [15, 5], [20, 20]]), 20)

    np.testing.assert_allclose(shares, [1, 0.5, 0.25, 0])


def test_tiles_lie_on_a_grid_where_enough_is_tissue(opened, tissue, layout):
    every = lay_tiles(opened, tissue, least_tissue=0)
    half = lay_tiles(opened, tissue)

    columns, rows = 9 * SIDE // 448, 8 * SIDE // 448
    np.testing.assert_array_equal(every.corners[:3], [[0, 0], [448, 0], [896, 0]])
    assert len(every) == columns * rows
    assert half.span == 448
    painted = np.kron(layout >= 0, np.ones((SIDE, SIDE), bool))
    shares = np.array([painted[y : y + 448, x : x + 448].mean() for x, y in half.corners])
    assert shares.min() > 0.45
    left_out = {tuple(corner) for corner in every.corners} - {tuple(corner) for corner in half.corners}
    assert max(painted[y : y + 448, x : x + 448].mean() for x, y in left_out) < 0.55


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"mpp": 0.1}, r"tile_mpp must be micrometres per pixel, at least the slide's 0.25"),
        ({"size": 4}, r"tile_size must be pixels, from 8 to 8192; got 4"),
        ({"least_tissue": 2}, r"least_tissue is a share, from 0 to 1; got 2"),
    ],
)
def test_impossible_tiles_are_refused(opened, tissue, choice, message):
    with pytest.raises(ValueError, match=message):
        lay_tiles(opened, tissue, **choice)


@pytest.mark.parametrize("choice", [{"saturation": 1.5}, {"least_area": -1}])
def test_an_impossible_rule_is_refused(opened, choice):
    (name,) = choice
    with pytest.raises(ValueError, match=f"^{name} "):
        find_tissue(opened, **choice)
