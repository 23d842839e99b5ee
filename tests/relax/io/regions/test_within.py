"""Whatever names a region becomes (H, W) bool in the frame of the picture, or is refused with words."""

import numpy as np
import pytest
import torch
from PIL import Image

from relax.io.regions.within import read_within
from relax.settings import Hiding

SIZE = (6, 8)
PIXELS = torch.zeros(1, 3, *SIZE)
EXPECTED = np.zeros(SIZE, dtype=bool)
EXPECTED[2:5, 1:4] = True


def region(within, image="cat.png"):
    return read_within(Hiding(within=within).within, image, PIXELS, {})


def saved(values, path, **options):
    Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize(
    "within",
    [
        EXPECTED,
        EXPECTED.astype(np.uint8) * 255,
        EXPECTED.astype(np.int64) * 2,
        EXPECTED[None].astype(np.float32) * 0.5,
        torch.from_numpy(EXPECTED),
        torch.from_numpy(EXPECTED).to(torch.bfloat16)[None, None],
        Image.fromarray(EXPECTED),
        Image.fromarray(EXPECTED.astype(np.uint8) * 7),
        (1, 2, 4, 5),
        [1.2, 1.9, 3.8, 5.4],
        "1,2,4,5",
        " 1, 2, 4.0, 5 ",
        np.array([1, 2, 4, 5]).tolist(),
    ],
    ids=lambda within: f"{type(within).__name__} {getattr(within, 'dtype', within)}"[:40],
)
def test_arrays_tensors_pictures_and_boxes_name_the_same_region(within):
    result = region(within)

    np.testing.assert_array_equal(result.inside, EXPECTED)
    assert result.share == EXPECTED.mean()


@pytest.mark.parametrize(("name", "white"), [("one.png", 1), ("white.png", 255), ("mask.tif", 255), ("mask.bmp", 9)])
def test_a_mask_file_has_any_level_inside(tmp_path, name, white):
    path = saved(EXPECTED.astype(np.uint8) * white, tmp_path / name)

    for within in (path, str(path)):
        np.testing.assert_array_equal(region(within).inside, EXPECTED)
    assert region(path).named == str(path)


def test_a_jpeg_mask_has_grey_edges_but_is_black_and_white(tmp_path):
    large = np.kron(EXPECTED, np.ones((40, 40), bool))
    path = saved(large.astype(np.uint8) * 255, tmp_path / "mask.jpg", quality=60)
    grey = saved(np.tile(np.arange(0, 256, dtype=np.uint8), (100, 1)), tmp_path / "grey.jpg")

    result = read_within(path, "cat.png", torch.zeros(1, 3, *large.shape), {})

    np.testing.assert_array_equal(result.inside, large)
    with pytest.raises(ValueError, match=r"within must be a mask in black and white; 7\d% of its pixels are grey"):
        read_within(grey, "cat.png", torch.zeros(1, 3, 100, 256), {})


def test_a_folder_has_the_mask_of_each_picture(tmp_path):
    masks, pictures = tmp_path / "masks", tmp_path / "pictures"
    masks.mkdir()
    saved(EXPECTED, masks / "cat.png")
    saved(~EXPECTED, masks / "dog.png")

    result = region(masks, pictures / "cat.jpg")
    np.testing.assert_array_equal(result.inside, EXPECTED)
    assert result.named == str(masks / "cat.png")
    np.testing.assert_array_equal(region(str(masks), str(pictures / "dog.jpg")).inside, ~EXPECTED)
    with pytest.raises(ValueError, match=r"within must have one mask for the picture.*masks has none"):
        region(masks, "owl.png")
    saved(EXPECTED, masks / "cat.bmp")
    with pytest.raises(ValueError, match="masks has several"):
        region(masks, "cat.jpg")
    with pytest.raises(ValueError, match="within is a folder, and the picture has no file name"):
        region(masks, PIXELS)


def test_the_same_region_has_one_digest_however_it_is_named(tmp_path):
    path = saved(EXPECTED, tmp_path / "mask.png")
    others = [region((1, 2, 4, 5)), region(EXPECTED), region(path)]

    assert len({other.digest for other in others}) == 1
    assert region((1, 2, 4, 4)).digest != others[0].digest
    assert others[0].record() == {
        "named": "the box 1,2,4,5",
        "sha256": others[0].digest,
        "share": pytest.approx(9 / 48, rel=1e-3),
    }
    assert read_within(None, "cat.png", PIXELS, {}) is None


@pytest.mark.parametrize(
    ("within", "message"),
    [
        (np.zeros(SIZE, bool), r"within must cover a pixel of the picture; array \(6, 8\) covers none"),
        (EXPECTED[:4], r"within must have the size of the picture, 8 x 6 px; array \(4, 8\) has 8 x 4"),
        (
            np.arange(48).reshape(SIZE),
            "mask of two levels, 0 outside and one other inside; its others run from 1 to 47",
        ),
        (np.full(SIZE, np.nan), "mask of two levels"),
        (
            EXPECTED[..., None].repeat(3, -1),
            r"within must be \(H, W\), one value a pixel; got ndarray \(6, 8, 3\) bool",
        ),
        (EXPECTED.astype(complex), r"within must be \(H, W\) bool or of two levels; got ndarray \(6, 8\) complex128"),
        (torch.zeros(SIZE).to_sparse(), "within must hold real numbers; got sparse_coo"),
        ((0, 0, 9, 6), "within must lie in the picture of 8 x 6 px; the box 0,0,9,6 leaves it"),
        ("4,2,1,5", "within must be a box with left below right and top below bottom, from 0; got '4,2,1,5'"),
        ("-1,2,4,5", "within must be a box with left below right"),
        ("1,2,4", "within must be four numbers of pixels for a box, left, top, right, bottom; got '1,2,4'"),
        ((1, 2, "x", 5), "within must be four numbers of pixels for a box"),
        ((1, 2, float("inf"), 5), "within must be four numbers of pixels for a box"),
        (7, r"within must be a mask \(H, W\), a box of four numbers or a file; got 7"),
        ("there-is-none.png", "within: there-is-none.png: no such file"),
    ],
    ids=str,
)
def test_what_is_no_region_of_the_picture_is_refused(within, message):
    with pytest.raises(ValueError, match=message):
        region(within)


def test_a_transparent_mask_is_refused_since_inside_is_unclear(tmp_path):
    path = saved(np.full((*SIZE, 4), 128, np.uint8), tmp_path / "mask.png")

    with pytest.raises(ValueError, match=r"within: .*mask.png: a mask must not be transparent"):
        region(path)
