"""`relax slide`: the tissue as a picture, the tiles as a file, and errors in the words of the options."""

import numpy as np
import pytest
from PIL import Image

from experiments.data.slides import blobs, write_slide
from relax.cli.app import run

pytest.importorskip("openslide")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "biopsy.tif", blobs(6, 6, seed=2, share=0.3))


def test_tissue_is_drawn_before_anything_is_embedded(slide, tmp_path, capsys):
    assert run(["slide", "tissue", str(slide), "--out", str(tmp_path / "a.png")]) == 0

    out = capsys.readouterr().out
    assert "% of the slide is tissue" in out
    assert Image.open(tmp_path / "a.png").width > 1000


def test_tiles_are_embedded_and_the_file_is_named(slide, tmp_path, capsys):
    out = tmp_path / "biopsy.h5"

    assert run(["slide", "embed", str(slide), "--out", str(out), "--tile-mpp", "1"]) == 0

    assert f"written: {out}" in capsys.readouterr().out
    from relax.slides.store import read_tiles

    tiles = read_tiles(out)
    assert tiles.span == 896
    assert np.isfinite(tiles.features).all()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tile-mpp", "0.1"], 2, "relax: --tile-mpp must be micrometres per pixel, at least the slide's 0.25"),
        (["--saturation", "2"], 2, "relax: --saturation is a threshold from 0 to below 1"),
        (["--mpp", "0"], 2, "relax: --mpp is micrometres per pixel"),
        (["--saturation", "0.99"], 1, "biopsy.tif: no tile of 448 x 448 pixels holds 50% tissue"),
        (["--encoder", "nonsense"], 2, "nonsense"),
    ],
)
def test_errors_are_one_line_in_the_words_of_the_options(slide, tmp_path, capsys, options, code, message):
    assert run(["slide", "embed", str(slide), "--out", str(tmp_path / "a.h5"), *options]) == code

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a.h5").exists()


def test_a_picture_of_no_known_format_is_refused(slide, tmp_path, capsys):
    assert run(["slide", "tissue", str(slide), "--out", str(tmp_path / "a.gif")]) == 2

    assert "--out must end in .png, .svg, .pdf; got 'a.gif'" in capsys.readouterr().err
