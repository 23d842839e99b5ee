"""A slide's regions are the file's pixels, by openslide and by tifffile, and what cannot be read says why."""

import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from experiments.data.slides import GLASS, SIDE, pixels_of, write_slide
from relax.io.errors import ImageError
from relax.slides.opening import open_slide

openslide = pytest.importorskip("openslide")


@pytest.mark.parametrize("which", ["slide_path", "ome_path"])
def test_regions_of_every_level_are_the_pixels_that_were_written(which, request, layout):
    with open_slide(request.getfixturevalue(which)) as slide:
        assert [round(level.downsample) for level in slide.levels] == [1, 4, 16, 64]
        for level, step in enumerate((1, 4, 16)):
            expected = pixels_of(layout, step)
            height, width = expected.shape[:2]
            left, top = width // 3, height // 4
            region = slide.read_level(level, left, top, width // 2, height // 2)

            np.testing.assert_array_equal(region, expected[top : top + height // 2, left : left + width // 2])


def test_who_reads_what(slide_path, ome_path):
    with open_slide(slide_path) as plain, open_slide(ome_path) as ome:
        assert plain.reader.startswith("openslide")
        assert ome.reader.startswith("tifffile")
        assert len(openslide.OpenSlide(ome_path).level_dimensions) == 1  # which is why
        assert plain.mpp == pytest.approx(0.25)
        assert ome.mpp == pytest.approx(0.25)


def test_a_region_is_what_openslide_itself_reads(slide_path):
    with open_slide(slide_path) as slide:
        own = openslide.OpenSlide(slide_path).read_region((700, 900), 0, (500, 300)).convert("RGB")

        np.testing.assert_array_equal(slide.read(700, 900, (500, 300), (500, 300)), np.asarray(own))


def test_what_lies_outside_is_white(slide_path, layout):
    with open_slide(slide_path) as slide:
        region = slide.read(-60, -40, (100, 100), (100, 100))

        assert (region[:40] == 255).all()
        assert (region[:, :60] == 255).all()
        np.testing.assert_array_equal(region[40:, 60:], pixels_of(layout)[:60, :40])
        assert (slide.read(10**6, 0, (64, 64), (32, 32)) == 255).all()


def test_a_tile_between_two_levels_is_reduced_from_the_finer_one(slide_path, layout):
    row, column = np.argwhere(layout >= 0)[0]
    left, top = int(column) * SIDE + 30, int(row) * SIDE + 20
    source = Image.fromarray(pixels_of(layout)[top : top + 448, left : left + 448])

    with open_slide(slide_path) as slide:
        tile = slide.read(left, top, (448, 448), (224, 224))

    np.testing.assert_array_equal(tile, np.asarray(source.resize((224, 224), Image.Resampling.BILINEAR)))


def test_the_picture_of_a_slide_is_put_together_without_seams(slide_path, layout, monkeypatch):
    expected = pixels_of(layout, 16)
    monkeypatch.setattr("relax.slides.slide.BLOCK", 100)

    with open_slide(slide_path) as slide:
        np.testing.assert_array_equal(slide.picture(4.0), expected)


def test_a_resolution_that_is_missing_or_no_scanners_asks_for_it(tmp_path, layout):
    silent = write_slide(tmp_path / "silent.tif", layout[:1, :1], mpp=None, levels=1)
    desktop = write_slide(tmp_path / "desktop.tif", layout[:1, :1], mpp=352.8, levels=1)

    with pytest.raises(ImageError, match=r"silent.tif: does not say how many micrometres a pixel spans: give --mpp"):
        open_slide(silent)
    with pytest.raises(ImageError, match=r"desktop.tif: says 352.8 x 352.8 micrometres per pixel"):
        open_slide(desktop)
    with open_slide(desktop, mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "given")
    with pytest.raises(ValueError, match=r"mpp is micrometres per pixel .* from 0.02 to 20; got -1"):
        open_slide(silent, mpp=-1)


def test_what_is_no_slide_says_so(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no slide")

    with pytest.raises(ImageError, match=r"notes.txt: is no slide that openslide or tifffile reads"):
        open_slide(text)
    with pytest.raises(ImageError, match=r"gone.svs: no such file"):
        open_slide(tmp_path / "gone.svs")


def test_a_picture_in_one_piece_is_refused_with_the_way_to_a_pyramid(tmp_path):
    path = tmp_path / "flat.tif"
    with tifffile.TiffWriter(path) as tiff:
        packed = zlib.compress(bytes(6000 * 6000 * 3))
        tiff.write(
            iter([packed]), shape=(6000, 6000, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=6000,
            compression="adobe_deflate", resolution=(40000, 40000), resolutionunit="CENTIMETER",
        )  # fmt: skip

    with pytest.raises(ImageError, match=r"pieces of 6000 x 6000, which are too large .* vips tiffsave"):
        open_slide(path)


def test_a_tile_that_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.ome.tif"
    bomb = zlib.compress(bytes(200_000_000))
    whole = zlib.compress(np.full((64, 64, 3), GLASS, np.uint8).tobytes())
    with tifffile.TiffWriter(path, ome=True) as tiff:
        about = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        for size, tiles, more in (
            (128, [whole, bomb, whole, whole], {"subifds": 1, "metadata": about}),
            (64, [whole], {}),
        ):
            tiff.write(
                iter(tiles), shape=(size, size, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb",
                compression="adobe_deflate", **more,
            )  # fmt: skip

    with open_slide(path) as slide:
        assert (slide.read(0, 0, (64, 64), (64, 64)) == GLASS).all()
        with pytest.raises(ImageError, match=r"bomb.ome.tif: is damaged: a tile unpacks to more .* at x 64, y 0"):
            slide.read(64, 0, (64, 64), (64, 64))


def test_jpeg_tiles_of_ome_tiff_are_read_as_tifffile_reads_them(tmp_path, layout):
    path, pixels = tmp_path / "jpeg.ome.tif", pixels_of(layout[2:4, 2:4], 4)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        about = {"axes": "YXS", "PhysicalSizeX": 1000, "PhysicalSizeXUnit": "nm"}
        options = {"tile": (64, 64), "photometric": "rgb", "compression": "jpeg"}
        tiff.write(pixels, subifds=1, metadata=about, **options)
        tiff.write(pixels[::2, ::2], subfiletype=1, **options)

    with open_slide(path) as slide:
        assert slide.mpp == 1
        region = slide.read(30, 50, (100, 90), (100, 90))

    np.testing.assert_array_equal(region, tifffile.imread(path)[50:140, 30:130])


def test_a_truncated_slide_names_the_place(tmp_path, layout):
    path = write_slide(tmp_path / "cut.ome.tif", layout, ome=True)
    with open_slide(path) as slide:
        data = slide._pages[0].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(data)
        file.write(bytes(8))

    with open_slide(path) as slide, pytest.raises(ImageError, match=r"cut.ome.tif: .*damaged.* at x 4096, y 3584"):
        slide.read(4096, 3584, (100, 100), (100, 100))
