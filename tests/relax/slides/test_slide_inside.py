"""The most important tiles are explained as pictures of their own, with the question of the slide."""

import numpy as np
import pytest

import relax
from relax.slides.embedding import embed_slide
from relax.slides.explaining import explain_slide, slide_embedding
from relax.slides.inside import explain_tiles
from relax.slides.opening import open_slide
from relax.slides.tiles import SlideTiles

pytest.importorskip("openslide")


@pytest.fixture(scope="module")
def tiles(slide_path, tmp_path_factory):
    from tests.relax.slides.conftest import MeanColours

    return embed_slide(slide_path, MeanColours(), tmp_path_factory.mktemp("tiles") / "a.h5", tile_mpp=1)


def test_a_tile_is_explained_as_a_picture_with_the_slides_embedding_as_reference(tiles, slide_path, mean_colours):
    slide_map = explain_slide(tiles, masks=64)
    with open_slide(slide_path) as slide:
        inside = list(explain_tiles(slide, tiles, slide_map, top=2, encoder=mean_colours(), masks=64))
        x, y = tiles.corners[slide_map.top(1)[0]].tolist()
        pixels = slide.read(x, y, (896, 896), (224, 224))

    alone = relax.explain(pixels, mean_colours(), reference=slide_embedding(tiles).float(), masks=64)
    assert len(inside) == 2
    np.testing.assert_array_equal(inside[0].importance, alone.importance)
    assert inside[0].provenance["image"] == f"small.tif, tile at x {x}, y {y}"
    assert inside[0].provenance["reference"] == "the slide"


def test_another_encoder_is_noticed(tiles, slide_path, mean_colours):
    slide_map = explain_slide(tiles, masks=64)
    features = tiles.features * np.linspace(0, 2, 12, dtype=np.float32)
    other = SlideTiles(tiles.name, features, tiles.corners, tiles.span, None, tiles.record)
    wider = SlideTiles(tiles.name, np.ones((len(tiles), 13)), tiles.corners, tiles.span, None, tiles.record)

    with open_slide(slide_path) as slide:
        with pytest.warns(UserWarning, match=r"embeds tile \d+ otherwise than the file has it"):
            list(explain_tiles(slide, other, slide_map, top=1, encoder=mean_colours(), masks=64))
        with pytest.raises(ValueError, match="encoder gives 12 numbers per tile, and the file has 13"):
            list(explain_tiles(slide, wider, slide_map, top=1, encoder=mean_colours(), masks=64))


def test_tiles_of_unknown_size_in_pixels_cannot_be_read_again(tiles, slide_path, mean_colours):
    unknown = SlideTiles(tiles.name, tiles.features, tiles.corners, tiles.span, None, {})

    with open_slide(slide_path) as slide, pytest.raises(ValueError, match="do not say how many pixels were embedded"):
        list(explain_tiles(slide, unknown, explain_slide(unknown, masks=64), encoder=mean_colours()))
