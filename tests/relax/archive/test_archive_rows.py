"""Rows of an archive are those of its table, read in groups when asked for; ids lead to them whatever their order."""

import numpy as np
import pytest

from relax.archive import files
from relax.archive.archive import load_archive, make_archive
from relax.archive.files import ImageRow, to_table, write_table
from relax.archive.rows import Places, Rows
from similarity.index import Index

GOOD = [ImageRow(f"{n:02}.png", n, n, id=(7 * n) % 50, sha256="ab", width=3, height=4) for n in range(25)]
BAD = [ImageRow(f"bad{n}.png", 1, 1, status="failed", reason="broken") for n in range(3)]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table in groups of four rows."""
    monkeypatch.setattr(files, "GROUP", 4)
    write_table(tmp_path / "t.parquet", to_table([*GOOD, *BAD]))
    return tmp_path / "t.parquet"


def test_rows_are_those_that_were_written(table):
    rows = Rows(table)

    assert (len(rows), [*rows], rows.failed) == (25, GOOD, BAD)
    assert [rows[n] for n in (0, 3, 4, 24, -1, -25)] == [GOOD[n] for n in (0, 3, 4, 24, -1, -25)]
    assert rows[2:11:3] == GOOD[2:11:3]
    assert rows == GOOD
    assert rows != GOOD[:-1]
    assert rows.ids.tolist() == [row.id for row in GOOD]
    assert rows.paths() == [rows.path_of(n) for n in range(25)] == [row.path for row in GOOD]
    with pytest.raises(IndexError):
        rows[25]


def test_one_row_takes_the_group_in_which_it_stands(table):
    rows = Rows(table)

    assert rows._file.num_row_groups == 7
    assert (rows[9], rows[10]) == (GOOD[9], GOOD[10])
    assert rows._group.cache_info().misses == 1 + 1  # the last group, of failures, and that of rows 8 to 11


def test_failures_before_images_are_no_table_of_an_archive(tmp_path):
    write_table(tmp_path / "t.parquet", to_table([*BAD, *GOOD]))

    with pytest.raises(ValueError, match=r"t\.parquet is damaged \(images with an embedding do not come first"):
        Rows(tmp_path / "t.parquet")


@pytest.mark.parametrize("ids", [np.arange(5, 30), np.array([row.id for row in GOOD])])
def test_ids_lead_to_their_rows_and_no_others_do(ids):
    places = Places(ids)

    assert places(ids).tolist() == list(range(25))
    assert places(np.array([[ids[3], -1], [ids[24], ids[0]]])).tolist() == [[3, -1], [24, 0]]
    for unknown in (30, 2**60, -2):
        with pytest.raises(KeyError):
            places(np.array([ids[0], unknown]))


def colours(pixels):
    return pixels.flatten(2).mean(2)


@pytest.fixture
def photos(tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(6):
        Image.new("RGB", (4, 4), (40 * number, 10, 200 - 30 * number)).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_an_index_with_ids_of_others_is_refused_at_the_latest_by_a_search(photos, tmp_path, monkeypatch):
    original = make_archive(photos, colours, tmp_path / "out")
    Index.build(np.array(original.embeddings), original.rows.ids + 9).save(tmp_path / "out" / "index.faiss")

    with pytest.raises(ValueError, match="do not belong together"):
        load_archive(tmp_path / "out")
    monkeypatch.setattr("relax.archive.archive.COMPARED", 5)
    archive = load_archive(tmp_path / "out")
    with pytest.raises(ValueError, match="do not belong together"):
        archive.search(archive.embeddings[0])


def test_an_index_that_is_deleted_is_built_anew_and_nothing_is_embedded(photos, tmp_path):
    make_archive(photos, colours, tmp_path / "out")
    (tmp_path / "out" / "index.faiss").unlink()

    archive = make_archive(photos, colours, tmp_path / "out")

    assert archive.changes.embedded == 0
    assert archive.search(archive.embeddings[4], 1)[0].row == 4
    assert archive.index.mapped


def test_an_update_says_when_the_lists_no_longer_fit(photos, tmp_path, monkeypatch):
    make_archive(photos, colours, tmp_path / "out")
    (photos / "0.png").unlink()
    monkeypatch.setattr(Index, "outgrown", "it has 4 lists, and 9 would fit its 5 vectors")

    with pytest.warns(
        UserWarning, match=r"should be built anew: it has 4 lists.*; delete index\.faiss there and run the"
    ):
        make_archive(photos, colours, tmp_path / "out")
