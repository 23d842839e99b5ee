"""A map is saved and loaded as it is, lies where its tiles lie, and is read by openslide and as QuPath reads it."""

import json
import uuid

import numpy as np
import pytest
import tifffile

from relax.plotting.scales import Scale
from relax.plotting.slide import slide_map_figure
from relax.slides.drawing import draw_map
from relax.slides.explaining import explain_slide
from relax.slides.geojson import MEASUREMENTS, write_geojson
from relax.slides.map import VALUES, SlideMap
from relax.slides.overlay import default_downsample, write_overlay, write_values

openslide = pytest.importorskip("openslide")


@pytest.fixture(scope="module")
def slide_map():
    """30 tiles of 100 px on a grid of 6 x 5, on a slide of 700 x 600 px with 0.5 micrometres per pixel."""
    from relax.slides.tiles import SlideTiles

    rng = np.random.default_rng(0)
    corners = np.array([(x * 100, y * 100) for y in range(5) for x in range(6)], np.int64)
    record = {"slide": {"name": "made up", "mpp": 0.5}, "encoder": {"name": "none"}}
    tiles = SlideTiles("made up", (rng.normal(size=(30, 8)) + 1).astype(np.float32), corners, 100, (700, 600), record)
    return explain_slide(tiles, reference=np.eye(8)[0], masks=256, keep=0.25)


def test_what_is_saved_is_loaded(slide_map, tmp_path):
    loaded = SlideMap.load(slide_map.save(tmp_path / "a.npz"))

    for name in (*VALUES, "corners"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(slide_map, name))
    assert (loaded.name, loaded.span, loaded.slide_size, loaded.score) == ("made up", 100, (700, 600), slide_map.score)
    assert loaded.provenance == slide_map.provenance
    assert repr(loaded) == repr(slide_map)


def test_what_is_no_map_says_so(slide_map, tmp_path):
    (tmp_path / "b.npz").write_bytes(slide_map.save(tmp_path / "a.npz").read_bytes()[:500])
    np.savez(tmp_path / "c.npz", how=np.array("{}"), corners=np.zeros((2, 2)), **{name: np.zeros(3) for name in VALUES})

    arrays = dict(np.load(tmp_path / "a.npz"))
    record = json.loads(str(arrays.pop("how")))
    for name, change in (("d", {"score": 10**400}), ("e", {"provenance": {"masks": {}}}), ("f", {"provenance": None})):
        np.savez(tmp_path / f"{name}.npz", how=np.array(json.dumps({**record, **change})), **arrays)

    for name in ("b.npz", "c.npz", "d.npz", "e.npz", "f.npz"):
        with pytest.raises(ValueError, match=f"{name} is not a saved map of a slide: "):
            SlideMap.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        SlideMap.load(tmp_path / "gone.npz")


def test_values_lie_where_the_tiles_lie(slide_map):
    """At one pixel per 100 of level 0 every tile is a pixel: 6 x 5 of the 7 x 6."""
    raster = slide_map.raster(np.arange(30.0), (6, 7))

    np.testing.assert_array_equal(raster[:5, :6], np.arange(30).reshape(5, 6))
    assert np.isnan(raster[5]).all()
    assert np.isnan(raster[:, 6]).all()


def test_a_pixel_belongs_to_the_tile_that_covers_its_centre(slide_map):
    """28 pixels over 700: centres at 12.5, 37.5, 62.5, 87.5, then 112.5 in the next tile."""
    raster = slide_map.raster(np.arange(30.0), (24, 28))

    assert raster[0, :5].tolist() == [0, 0, 0, 0, 1]


def test_a_map_on_a_picture_is_an_explanation(slide_map):
    explanation = slide_map.on(np.zeros((60, 70, 3), np.uint8))

    assert explanation.importance.shape == (60, 70)
    assert np.nanmean(explanation.importance) == pytest.approx(0, abs=1e-7)
    assert explanation.provenance["map"] == "mean cosine with the tile shown, above that of the mean tile"


def test_geojson_is_what_qupath_reads(slide_map, tmp_path):
    written = json.loads(write_geojson(slide_map, tmp_path / "a.geojson").read_text())

    assert written["type"] == "FeatureCollection"
    assert len(written["features"]) == 30
    assert len({uuid.UUID(feature["id"]) for feature in written["features"]}) == 30
    best = written["features"][int(slide_map.top(1)[0])]
    x, y = slide_map.corners[slide_map.top(1)[0]].tolist()
    ring = best["geometry"]["coordinates"][0]
    assert ring == [[x, y], [x + 100, y], [x + 100, y + 100], [x, y + 100], [x, y]]
    properties = best["properties"]
    assert properties["objectType"] == "tile"
    assert properties["classification"] == {"name": "RELAX importance, 0 to 20 % from the top", "color": [253, 231, 36]}
    assert set(properties["measurements"]) == set(MEASUREMENTS.values())
    assert properties["measurements"]["RELAX importance"] == slide_map.importance.max()
    classes = [feature["properties"]["classification"]["name"] for feature in written["features"]]
    assert [classes.count(name) for name in sorted(set(classes))] == [6] * 5


def test_the_overlay_is_what_openslide_reads_value_by_value(slide_map, tmp_path):
    path = write_overlay(slide_map, tmp_path / "a.tif", downsample=1)
    read = openslide.OpenSlide(path)

    values = slide_map.raster(slide_map.effect, (600, 700), 1)
    expected = np.dstack([Scale.of("importance", values).rgb(values), np.where(np.isnan(values), 0, 255)])
    expected[np.isnan(values)] = 0
    assert read.level_dimensions == ((700, 600), (350, 300))
    np.testing.assert_array_equal(np.asarray(read.read_region((0, 0), 0, (700, 600))), expected)
    np.testing.assert_array_equal(np.asarray(read.read_region((0, 0), 1, (350, 300))), expected[::2, ::2])
    assert float(read.properties["openslide.mpp-x"]) == pytest.approx(0.5)


def test_the_overlay_says_how_coarse_it_is(slide_map, tmp_path):
    path = write_overlay(slide_map, tmp_path / "a.tif")
    read = openslide.OpenSlide(path)

    assert default_downsample(slide_map) == 4  # 25 pixels along a tile
    assert read.dimensions == (175, 150)
    assert float(read.properties["openslide.mpp-x"]) == pytest.approx(2)


def test_values_are_written_as_they_are(slide_map, tmp_path):
    path = write_values(slide_map, tmp_path / "a.ome.tif", downsample=1)

    with tifffile.TiffFile(path) as tiff:
        (series,) = tiff.series
        assert (series.axes, series.shape) == ("CYX", (6, 600, 700))
        assert [level.shape for level in series.levels] == [(6, 600, 700), (6, 300, 350)]
        values, about = series.asarray(), tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        coarse = series.levels[1].asarray()
    assert [channel["Name"] for channel in about["Channel"]] == list(MEASUREMENTS.values())
    assert about["PhysicalSizeX"] == 0.5
    np.testing.assert_array_equal(values[0], slide_map.raster(slide_map.importance, (600, 700), 1))
    np.testing.assert_array_equal(values[4], slide_map.raster(slide_map.alone, (600, 700), 1))
    np.testing.assert_array_equal(coarse, values[:, ::2, ::2])


def test_a_slide_of_unknown_size_and_resolution_is_drawn_as_far_as_its_tiles_reach(slide_map, tmp_path):
    from dataclasses import replace

    unknown = replace(slide_map, slide_size=None, provenance={**slide_map.provenance, "slide": {"name": "made up"}})

    read = openslide.OpenSlide(write_overlay(unknown, tmp_path / "a.tif", downsample=1))

    assert read.dimensions == (600, 500)
    assert "openslide.mpp-x" not in read.properties


def test_the_figure_says_how_the_map_was_made(slide_map):
    figure = draw_map(slide_map, np.full((60, 70, 3), 255, np.uint8))

    words = " ".join(text.get_text() for text in figure.texts)
    assert "cosine of the mean of the tiles to embedding (8,)" in words
    assert "256 subsets of 8 tiles" in words
    numbers = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert numbers == ["1", "2", "3", "4"]


def test_the_numbers_of_tiles_in_the_corners_of_a_slide_are_all_seen():
    tiles = np.array([[x, y, x + 40.0, y + 40.0] for y in (0, 60) for x in (0, 60)])
    blank = np.zeros((100, 100, 3), np.uint8)

    figure = slide_map_figure(blank, tiles, {}, {}, np.arange(4), (), "slide", ["a caption"])

    figure.canvas.draw()
    axes = next(axes for axes in figure.axes if axes.texts)
    frame = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1, text.get_text()
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1, text.get_text()
