"""`relax slide`: the tissue as a picture, the tiles as a file, and errors in the words of the options."""

import numpy as np
import pytest
from PIL import Image

from experiments.data.slides import blobs, write_slide
from relax.cli.app import run

pytest.importorskip("openslide")

ENDINGS = ("geojson", "html", "npz", "png")


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


@pytest.fixture(scope="module")
def tiles(slide, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "biopsy.h5"
    assert run(["slide", "embed", str(slide), "--out", str(path), "--tile-mpp", "1", "--quiet"]) == 0
    return path


def test_a_map_is_written_for_viewers_and_never_over_another_without_a_word(
    slide, tiles, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("relax.cli.slide_outputs.FIGURE_PIXELS", 300)
    reference = tmp_path / "reference.npy"
    np.save(reference, np.linspace(0, 1, 256))
    command = ["slide", "explain", str(tiles), "--slide", str(slide), "--reference", str(reference)]
    command += ["--masks", "128", "--drop", "--report", "--out", str(tmp_path / "out")]

    assert run(command) == 0
    told = capsys.readouterr().out
    assert "cosine to embedding (256,), 128 subsets" in told
    assert "chance" in told
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["biopsy-overlay.tif", "biopsy-values.ome.tif", *(f"biopsy.{end}" for end in ENDINGS)]
    page = (tmp_path / "out" / "biopsy.html").read_text()
    assert "Which tiles make the embedding of biopsy.tif" in page
    assert "The most important tiles" in page

    assert run(command) == 2
    assert "biopsy.npz, biopsy.geojson" in (error := capsys.readouterr().err)
    assert "are there already: name another folder (--out), or give --overwrite" in error
    slide_left_out = [*command[:3], *command[5:-3], *command[-2:], "--overwrite", "--quiet"]
    assert run(slide_left_out) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top", "2"], "relax: --top looks at the pixels of tiles: name the slide as well (--slide)"),
        (["--reference", "gone.npy"], "relax: --reference gone.npy: no such file or folder"),
        (["--weights", __file__], "is no .npy file"),
        (["--masks", "3"], "relax: --masks must be 64 subsets or more; got 3"),
    ],
)
def test_impossible_questions_are_one_line(tiles, tmp_path, capsys, options, message):
    assert run(["slide", "explain", str(tiles), *options, "--out", str(tmp_path)]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_another_slide_than_the_embedded_one_is_refused(tiles, tmp_path, capsys):
    other = write_slide(tmp_path / "other.tif", blobs(3, 3, seed=0, share=0.5))

    assert run(["slide", "explain", str(tiles), "--slide", str(other), "--masks", "64", "--out", str(tmp_path)]) == 2

    assert "other.tif has 1536 x 1536 pixels, and the tiles are of a slide with 3072 x 3072" in capsys.readouterr().err
