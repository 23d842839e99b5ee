"""Tiles are pictures by their addresses, and embedded ones become an archive without being embedded again."""

import csv
import warnings

import numpy as np
import pytest
import torch

import relax
from relax.cli.app import run
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.sources import names_several, sources_of
from relax.slides.embedding import embed_slide
from relax.slides.indexing import index_tiles
from relax.slides.opening import open_slide
from relax.slides.store import write_tiles

pytest.importorskip("h5py")
pytest.importorskip("openslide")


@pytest.fixture(scope="module")
def embedded(slide_path, tmp_path_factory):
    """The small slide's tiles through the bundled encoder, in a file of their own folder."""
    out = tmp_path_factory.mktemp("embedded") / "small.h5"
    return out, embed_slide(slide_path, "default", out, progress=False)


@pytest.mark.parametrize(
    ("choice", "span", "size"),
    [
        ("x={x}&y={y}", 448, 224),  # 0.25 um per pixel: 224 px at 0.5
        ("y={y}&x={x}&mpp=1&size=100", 400, 100),
        ("x={x}&y={y}&span=96&size=96", 96, 96),
    ],
)
def test_a_tile_is_the_region_of_the_slide(slide_path, embedded, choice, span, size):
    left, top = embedded[1].corners[2].tolist()

    pixels = read_image(f"{slide_path}#{choice.format(x=left, y=top)}")

    with open_slide(slide_path) as slide:
        expected = slide.read(left, top, (span, span), (size, size))
    assert expected.std() > 5  # tissue, not glass
    np.testing.assert_array_equal((pixels[0] * 255).round().byte().permute(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("x=512", "named by x and y"),
        ("x=0&y=0&span=9&mpp=1", "by span or mpp"),
        ("x=999999&y=0", "no tile of this slide of 4608 x 4096"),
        ("x=0&y=0&size=4", "from 8 to 8192"),
        ("x=0&y=0&mpp=nan", "mpp is micrometres"),
        ("x=0&y=left", "y must be a whole number"),
        ("x=0&y=0&frame=2", "'frame' is none of x, y"),
        ("tiles=missing.h5", "several pictures"),
    ],
)
def test_what_is_no_tile_is_refused(slide_path, choice, words):
    with pytest.raises(ImageError, match=words):
        read_image(f"{slide_path}#{choice}")


def test_other_pictures_have_no_tiles(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "cat.png")

    with pytest.raises(ImageError, match=r"cat\.png.*no slide"):
        read_image(f"{tmp_path / 'cat.png'}#x=0&y=0")


def test_a_file_of_tiles_names_them_all(slide_path, embedded):
    file, tiles = embedded
    address = f"{slide_path}#tiles={file}"

    assert names_several(address)
    assert not names_several(f"{slide_path}#x=0&y=0")
    sources = sources_of(address)
    left, top = tiles.corners[3].tolist()
    assert len(sources.pictures) == len(tiles)
    assert sources.name(sources.pictures[3]) == f"small.tif#x={left}&y={top}&span=448&size=224"


def test_the_archive_has_the_embeddings_of_the_file_and_finds_a_tile(slide_path, embedded, tmp_path):
    file, tiles = embedded

    archive = index_tiles(file, slide_path, tmp_path / "archive")

    assert archive.changes.embedded == 0
    order = [archive.paths.index(f"{slide_path}#x={x}&y={y}&span=448&size=224") for x, y in tiles.corners.tolist()]
    np.testing.assert_array_equal(archive.embeddings[order], tiles.features)
    left, top = tiles.corners[5].tolist()
    hit = archive.search(f"{slide_path}#x={left}&y={top}", k=1)[0]
    assert hit.path.endswith(f"#x={left}&y={top}&span=448&size=224")
    assert hit.similarity == pytest.approx(1, abs=1e-5)
    with (tmp_path / "archive" / "tiles.csv").open() as stream:
        rows = [*csv.DictReader(stream)]
    assert rows[5] == {
        "path": f"small.tif#x={left}&y={top}&span=448&size=224",
        "slide": "small.tif",
        "x": str(left),
        "y": str(top),
        "span": "448",
    }
    again = index_tiles(file, slide_path, tmp_path / "archive")
    assert (again.changes.embedded, again.changes.unchanged) == (0, len(tiles))


def test_a_tile_is_explained_by_its_address(slide_path, embedded):
    left, top = embedded[1].corners[2].tolist()

    explanation = relax.explain(f"{slide_path}#x={left}&y={top}", masks=16, progress=False)

    assert explanation.importance.shape == (224, 224)
    assert explanation.provenance["image"] == f"{slide_path}#x={left}&y={top}"
    assert explanation.provenance["read"]["span"] == 448


def test_an_audit_goes_on_from_the_archive(slide_path, embedded, tmp_path, monkeypatch):
    tiles, file, archive = embedded[1], tmp_path / "few.h5", tmp_path / "archive"
    attributes = {"patch_size": 224, "patch_size_level0": 448}
    write_tiles(file, [tiles.features[:12]], (12, 256), tiles.corners[:12], attributes, tiles.record)
    index_tiles(file, slide_path, archive)
    monkeypatch.setattr("relax.archive.parts._embed_batch", lambda *_: pytest.fail("a tile was embedded again"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audit = relax.audit(
            f"{slide_path}#tiles={file}",
            "default",
            archive,
            metadata=archive / "tiles.csv",
            explain=0,
            hide=0,
            layouts=("pca",),
            progress=False,
        )

    assert len(audit.paths) == 12
    assert set(audit.metadata.columns) == {"slide", "x", "y", "span"}
    assert audit.report.is_file()


def test_another_slide_or_encoder_is_refused(slide_path, embedded, tmp_path):
    from experiments.data.slides import blobs, write_slide

    file, _ = embedded
    other = write_slide(tmp_path / "other.tif", blobs(8, 9, seed=7, share=0.33))

    with pytest.raises(ValueError, match=r"is not what the tiles of small\.tif hold"):
        index_tiles(file, other, tmp_path / "archive")
    with pytest.raises(ValueError, match="made by encoder 'default'"):
        index_tiles(file, slide_path, tmp_path / "archive", encoder=torch.nn.Flatten())
    assert not (tmp_path / "archive").exists()


def test_the_command_writes_an_archive_that_search_reads(slide_path, embedded, tmp_path, capsys):
    file, tiles = embedded
    archive = str(tmp_path / "archive")
    left, top = tiles.corners[0].tolist()

    assert run(["slide", "index", str(file), "--slide", str(slide_path), "--out", archive]) == 0
    assert f"{len(tiles)} embeddings" in capsys.readouterr().out
    sheet = tmp_path / "hits.html"
    assert run(["search", archive, f"{slide_path}#x={left}&y={top}", "-k", "2", "--sheet", str(sheet)]) == 0
    assert f"1.00000  {slide_path}#x={left}&y={top}" in capsys.readouterr().out
    assert sheet.is_file()
