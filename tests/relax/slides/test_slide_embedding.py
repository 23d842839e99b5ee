"""A slide's tiles are embedded as each would be alone, in a stream that goes on where it was stopped."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from experiments.data.slides import SIDE, blobs, write_slide
from relax.slides.embedding import embed_slide, parts_folder
from relax.slides.opening import open_slide

h5py = pytest.importorskip("h5py")


def test_every_tile_is_embedded_as_it_is_read(slide_path, tmp_path, mean_colours):
    tiles = embed_slide(slide_path, mean_colours(), tmp_path / "a.h5", batch_size=5)

    assert len(tiles) > 20
    with open_slide(slide_path) as slide:
        for corner, feature in zip(tiles.corners, tiles.features, strict=True):
            pixels = slide.read(*corner, (448, 448), (224, 224))
            batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
            np.testing.assert_allclose(feature, mean_colours()(batch)[0], atol=1e-6)
    assert not parts_folder(tmp_path / "a.h5").exists()


def test_a_slide_of_50_176_pixels_a_side_gives_tiles_of_its_tissue_and_of_nothing_else(tmp_path, mean_colours):
    """Read once more by openslide itself. How much memory that takes is in `experiments.benchmarks.slide_memory`."""
    openslide = pytest.importorskip("openslide")
    layout = blobs(98, 98, seed=3, share=0.002)
    path = write_slide(tmp_path / "large.tif", layout)

    tiles = embed_slide(path, mean_colours(), tmp_path / "large.h5")

    own = openslide.OpenSlide(path)
    assert own.dimensions == tiles.slide_size == (98 * SIDE, 98 * SIDE)
    share = sliding_window_view(np.kron(layout >= 0, np.ones((8, 8))), (7, 7)).mean((2, 3))[::7, ::7]  # of 64 px
    chosen = np.zeros(share.shape, bool)
    chosen[tuple((tiles.corners // tiles.span)[:, ::-1].T)] = True
    assert (share > 0.7).sum() > 10
    assert chosen[share > 0.7].all()  # half is asked for, of a picture in which a pixel is some 16 px wide
    assert not chosen[share < 0.3].any()
    for corner, feature in list(zip(tiles.corners.tolist(), tiles.features, strict=True))[::9]:
        region = own.read_region(tuple(corner), 0, (tiles.span, tiles.span)).convert("RGB")
        quarters = np.asarray(region, np.float64).reshape(2, tiles.span // 2, 2, tiles.span // 2, 3).mean((1, 3)) / 255
        np.testing.assert_allclose(feature, quarters.transpose(2, 0, 1).ravel(), atol=0.01)


def test_the_file_is_one_of_trident(slide_path, tmp_path, mean_colours):
    embed_slide(slide_path, mean_colours(), tmp_path / "a.h5")

    with h5py.File(tmp_path / "a.h5") as file:
        about = dict(file["coords"].attrs)
        assert file["features"].ndim == file["coords"].ndim == 2
    assert about == {
        "patch_size": 224,
        "patch_size_level0": 448,
        "level0_magnification": 40,
        "target_magnification": 20,
        "overlap": 0,
        "name": "small",
        "level0_width": 9 * 512,
        "level0_height": 8 * 512,
    }


def test_a_stopped_run_goes_on_and_gives_the_same(slide_path, tmp_path, mean_colours):
    whole = embed_slide(slide_path, mean_colours(), tmp_path / "whole.h5", batch_size=4)
    out, mean_colours.seen = tmp_path / "a.h5", 0

    def stop(done, total):
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_slide(slide_path, mean_colours(), out, batch_size=4, progress=stop)
    assert not out.exists()
    assert mean_colours.seen == 12
    tiles = embed_slide(slide_path, mean_colours(), out, batch_size=4)

    np.testing.assert_array_equal(tiles.features, whole.features)
    assert mean_colours.seen == len(whole)


def test_a_part_that_a_kill_left_half_written_is_not_taken(slide_path, tmp_path, mean_colours):
    out = tmp_path / "a.h5"

    def stop(done, total):
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_slide(slide_path, mean_colours(), out, batch_size=4, progress=stop)
    half_written = parts_folder(out) / ".000001.npy.abcdefgh.part"
    half_written.write_bytes(b"half")

    tiles = embed_slide(slide_path, mean_colours(), out, batch_size=4)

    assert len(tiles) == len(tiles.features)
    assert not half_written.exists()


def test_a_finished_file_is_given_back_without_a_pass(slide_path, tmp_path, mean_colours):
    original = embed_slide(slide_path, mean_colours(), tmp_path / "a.h5")
    passes = mean_colours.seen

    tiles = embed_slide(slide_path, mean_colours(), tmp_path / "a.h5")

    np.testing.assert_array_equal(tiles.features, original.features)
    assert mean_colours.seen == passes == len(original)


def test_nothing_is_overwritten_without_a_word(slide_path, tmp_path, mean_colours):
    out = tmp_path / "a.h5"
    embed_slide(slide_path, mean_colours(), out)
    before = out.read_bytes()

    with pytest.raises(ValueError, match=r"a.h5 was made with another tiles: name another file .* or delete it"):
        embed_slide(slide_path, mean_colours(), out, tile_mpp=1)
    with pytest.raises(ValueError, match="was made with another encoder"):
        embed_slide(slide_path, "default", out)
    assert out.read_bytes() == before


def test_parts_of_another_run_are_not_continued(slide_path, tmp_path, mean_colours):
    out = tmp_path / "a.h5"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_slide(slide_path, mean_colours(), out, batch_size=4, progress=stop)
    with pytest.raises(ValueError, match=r"a.h5.parts was made with another tiles and tissue"):
        embed_slide(slide_path, mean_colours(), out, saturation=0.1, least_tissue=0.2)
