"""What a search found is a list, a sheet of pictures, a page and a record."""

import json

import numpy as np
import pytest
from PIL import Image

from relax.archive.hits import Hits, Neighbour
from relax.plotting.hits import MOST

SHADES = (40, 120, 200)


@pytest.fixture
def hits(tmp_path):
    """A query of shade 0, and three pictures of one shade each; the last has been deleted."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    paths = [root / "a.png", root / "sub/b.png", root / "gone.png"]
    for path, shade in zip(paths, SHADES, strict=True):
        Image.new("RGB", (40, 30), (shade,) * 3).save(path)
    Image.new("RGB", (40, 30)).save(tmp_path / "query.png")
    paths[2].unlink()
    neighbours = tuple(
        Neighbour(str(path), value, row) for row, (path, value) in enumerate(zip(paths, (0.9, 0.8, 0.4), strict=True))
    )
    return Hits(str(tmp_path / "query.png"), neighbours, root, "cosine", "enc", 12, tmp_path / "query.png")


def test_they_are_a_sequence_of_neighbours(hits):
    assert [len(hits), hits[0].similarity, [hit.row for hit in hits], hits[1:]] == [
        3,
        0.9,
        [0, 1, 2],
        hits.neighbours[1:],
    ]
    assert hits.names == ["a.png", "sub/b.png", "gone.png"]


def test_the_record_holds_what_was_found_in_order_and_no_value_that_json_lacks(hits):
    undefined = Hits(
        "q", (*hits.neighbours, Neighbour(str(hits.root / "n.png"), float("nan"), 7)), hits.root, "l2", "e", 9
    )

    record = json.loads(json.dumps(undefined.record(), allow_nan=False))

    assert {name: record[name] for name in ("query", "encoder", "measure", "images")} == {
        "query": "q", "encoder": "e", "measure": "l2", "images": 9,
    }  # fmt: skip
    assert record["hits"][1] == {"rank": 2, "similarity": 0.8, "path": str(hits.root / "sub/b.png"), "row": 1}
    assert record["hits"][3]["similarity"] is None


def test_the_sheet_shows_the_query_and_every_hit_with_its_rank(hits):
    figure = hits.plot()

    words = " ".join(text.get_text() for text in figure.texts)
    shown = [np.asarray(image.get_array())[0, 0, 0] for axes in figure.axes for image in axes.images]
    assert shown == [0, *SHADES[:2]]  # the third has no picture any more
    for part in ("query", "1 · 0.900", "2 · 0.800", "3 · 0.400", "sub/b.png", "no picture there"):
        assert part in words
    assert "the 3 closest of 12 images by cosine similarity (0.900 to 0.400) through encoder enc" in words


@pytest.mark.parametrize(("name", "start"), [("s.png", b"\x89PNG"), ("s.svg", b"<?xml"), ("s.PDF", b"%PDF")])
def test_sheets_are_written_in_every_format(hits, tmp_path, name, start):
    assert hits.save(tmp_path / name, theme="dark").read_bytes().startswith(start)


def test_what_cannot_be_drawn_is_refused(hits, tmp_path):
    many = Hits("q", hits.neighbours * MOST, hits.root, "cosine", "e", 9)

    with pytest.raises(ValueError, match=f"at most {MOST} hits; got 1,200: write an .html file"):
        many.plot()
    with pytest.raises(ValueError, match="format must be one of png, svg, pdf; got 'gif'"):
        hits.save(tmp_path / "s.gif")
    assert not (tmp_path / "s.gif").exists()


def test_a_large_picture_is_reduced_before_it_is_drawn(hits, tmp_path):
    Image.new("RGB", (2000, 1000)).save(tmp_path / "photos/a.png")

    assert hits.small(1, 384).shape == (192, 384, 3)
