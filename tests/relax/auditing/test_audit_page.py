"""The page of an audit, and its table for embedding-atlas, have all its images and not only the explained ones."""

import json

import numpy as np
import pytest
from pyarrow import parquet

from relax.auditing.atlas import atlas
from relax.auditing.collection import NEIGHBOURS
from relax.cli.app import run
from relax.cli.console import DONE
from tests.relax.auditing.test_audit_run import SeesRed, small, write_pictures
from tests.relax.report.test_collection import numbers, text
from tests.relax.report.test_report import Page


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """24 pictures, the mark in half of them; a table with a column of groups, one of few numbers and one of many."""
    base = tmp_path_factory.mktemp("audited")
    folder = write_pictures(base / "pictures", 24, marked=12)
    lines = [f"{number:02}.png,{'new' if number < 12 else ''},{number % 2},{number / 4}" for number in range(24)]
    (base / "table.csv").write_text("\n".join(["path,x,side,age", *lines]))
    result = small(
        folder, base / "out", SeesRed(), metadata=base / "table.csv", explain=2, hide=0, masks=8, colour_by="x"
    )
    return base, result


def test_the_page_has_every_image_with_its_scores_metadata_and_places(audited):
    _, result = audited

    page = Page(result.report)

    (element,) = page.all("script", **{"class": "collection"})
    data = json.loads(element[2])
    columns = {column["name"]: column for column in data["columns"]}
    space = result.space
    assert text(data["names"]) == list(result.paths)
    assert data["explained"] == list(result.explained)
    assert data["colour_by"] == "x"
    assert [plane["name"] for plane in data["planes"]] == ["PCA"]
    labels = text(columns["cluster"]["labels"])
    assert [labels[code] for code in numbers(columns["cluster"]["values"])] == [*map(str, space.clusters.labels)]
    np.testing.assert_allclose(numbers(columns["distance"]["values"]), space.outliers.distance, rtol=1e-6)
    np.testing.assert_allclose(numbers(columns["outlier factor"]["values"]), space.outliers.local_factor, rtol=1e-6)
    assert numbers(columns["times a neighbour"]["values"]).tolist() == space.hubs.occurrence.tolist()
    assert (columns["side"]["kind"], columns["age"]["kind"]) == ("groups", "numbers")
    assert (numbers(columns["x"]["values"]) == 65535).tolist() == [False] * 12 + [True] * 12  # unknown
    nearest = numbers(data["neighbours"]["pictures"]).reshape(24, NEIGHBOURS)
    np.testing.assert_array_equal(nearest, space.neighbours.indices[:, :NEIGHBOURS])
    assert data["thumbnails"]["side"] == 256
    assert page.all("div", **{"class": "still"})[0][2].count("One dot per image") == 2
    assert [exhibit["title"] for exhibit in page.exhibits()] == [result.paths[image] for image in result.explained]


def test_thumbnails_of_chapters_know_their_picture(audited):
    _, result = audited

    buttons = [element for element in Page(result.report).all("button") if "data-picture" in element[1]]

    assert len(buttons) > 12
    for _, attributes, caption in buttons:
        assert result.paths[int(attributes["data-picture"])] == caption


def test_the_table_for_embedding_atlas_has_places_and_neighbours_by_row(audited):
    base, result = audited

    table = parquet.read_table(base / "out" / "atlas.parquet").to_pydict()

    space = result.space
    assert table["path"] == list(result.paths)
    assert table["x"] == space.layouts[-1].points[:, 0].tolist()  # the metadata's own x stands beside it
    assert table["x (metadata)"][10:13] == ["new", "new", None]
    assert table["neighbors"][3]["ids"] == space.neighbours.indices[3].tolist()
    np.testing.assert_allclose(table["neighbors"][3]["distances"], 1 - space.neighbours.similarities[3])


def test_images_without_a_place_on_the_map_are_left_out_of_that_table_and_of_its_neighbours(audited):
    """Without picture 0 every row is one less than its picture."""
    _, result = audited
    layout = result.space.layouts[-1]
    before = layout.points[0].copy()
    layout.points[0] = np.nan

    table = atlas(result)

    layout.points[0] = before
    assert table["path"] == list(result.paths)[1:]
    kept = [image - 1 for image in result.space.neighbours.indices[5] if image]
    assert table["neighbors"][4]["ids"] == kept
    assert len(table["neighbors"][4]["distances"]) == len(kept)


def test_a_report_on_an_audit_shows_its_explained_pictures_and_not_their_mirror_images(audited, tmp_path):
    base, result = audited

    assert run(["report", str(base / "out"), "--out", str(tmp_path / "r.html"), "--quiet"]) == DONE

    titles = [exhibit["title"] for exhibit in Page(tmp_path / "r.html").exhibits()]
    assert sorted(titles) == sorted(result.paths[image] for image in result.explained)
