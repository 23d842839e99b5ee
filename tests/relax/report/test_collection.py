"""A collection in a page is the collection that was given: names, columns, places, nearest pictures, thumbnails."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from relax.report import Collection, Column, Exhibit, Plane, Report, plain_report, write_report
from relax.report.collection import Linked
from relax.report.packing import MAX_GROUPS, compressed, packed_collection
from relax.report.sheets import BUDGET, BYTES, Sheets, side_for
from tests.relax.report.test_report import HOSTILE, Page, explanation


def numbers(packed):
    """An array as it was before it became text."""
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), "<" + packed["type"])


def text(packed):
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_arrays_and_their_types_come_back():
    for values in (np.arange(70_000, dtype=np.uint32), np.array([[1.5, np.nan]], ">f4"), np.zeros((0, 2), np.uint16)):
        packed = compressed(values)

        np.testing.assert_array_equal(numbers(packed), values.ravel())
        assert packed["type"] == values.dtype.str[1:]


def test_places_keep_their_proportions_and_gaps():
    """The wider axis spans all 65,534 steps; a picture without a place has the code 65,535."""
    points = np.array([[-1.0, 10.0], [3.0, 12.0], [np.nan, np.nan], [1.0, 11.0]])

    (plane,) = packed_collection(Collection([*"abcd"], planes=(Plane("t-SNE", points),)))["planes"]

    assert numbers(plane["places"]).reshape(-1, 2).tolist() == [[0, 0], [65534, 32767], [65535, 65535], [32767, 16384]]
    assert plane["known"] == 3


def test_a_column_of_numbers_is_a_scale_and_any_other_a_set_of_groups():
    columns = (Column("a", [1.5, None, 2]), Column("b", ["x", None, "y"]), Column("c", [True, False, True]))
    columns += (Column("d", ["y", 3, "y"]),)

    a, b, c, d = packed_collection(Collection([*"123"], columns))["columns"]

    np.testing.assert_array_equal(numbers(a["values"]), [1.5, np.nan, 2])
    assert (text(b["labels"]), numbers(b["values"]).tolist()) == (["x", "y"], [0, 65535, 1])
    assert text(c["labels"]) == ["True", "False"]
    assert (text(d["labels"]), numbers(d["values"]).tolist()) == (["y", "3"], [0, 1, 0])


def test_of_very_many_groups_the_largest_are_kept():
    values = ["often", *map(str, range(MAX_GROUPS)), "often"]

    (column,) = packed_collection(Collection(values, (Column("a", values),)))["columns"]

    codes = numbers(column["values"])
    assert codes[0] == codes[-1] == 0
    assert codes[-2] == 65535


def test_nearest_pictures_and_their_similarities_come_back():
    neighbours, similarities = np.array([[1, 2], [0, 2], [1, 0]]), np.array([[0.5, -0.25]] * 3)

    packed = packed_collection(Collection([*"abc"], neighbours=neighbours, similarities=similarities))["neighbours"]

    np.testing.assert_array_equal(numbers(packed["pictures"]).reshape(-1, packed["each"]), neighbours)
    np.testing.assert_array_equal(numbers(packed["similarities"]).reshape(3, 2), similarities)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_compressed_and_shown_without_deceptive_characters(hostile):
    collection = Collection(
        [hostile], (Column(hostile, [hostile], hostile),), (Plane(hostile, np.zeros((1, 2))),), hostile
    )

    packed = packed_collection(collection)

    (column,), (plane,) = packed["columns"], packed["planes"]
    shown = {
        *text(packed["names"]),
        *text(column["labels"]),
        column["name"],
        column["about"],
        plane["name"],
        packed["colour_by"],
    }
    assert len(shown) == 1
    assert not set("".join(shown)) & {"\u202e", "\x00", "\x1b", "\udcff"}


def test_thumbnails_lie_row_by_row_on_their_sheets_and_a_missing_one_leaves_a_gap():
    """Each is of one shade; of 300 pictures with tiles of 256 px, 64 lie on a sheet."""

    def small(number):
        return None if number == 70 else np.full((50 + number % 3, 40, 3), number % 250, np.uint8)

    sheets, advanced = Sheets(300, small), []
    files = [Image.open(io.BytesIO(base64.b64decode(sheet))) for sheet in sheets.drawn(lambda: advanced.append(1))]

    assert (sheets.side, sheets.across, len(files), len(advanced)) == (256, 8, 5, 300)
    assert sheets.sizes[[0, 1, 70]].tolist() == [[40, 50], [40, 51], [0, 0]]
    for number in (0, 9, 63, 64, 299):
        row, column = divmod(number % 64, 8)
        pixel = np.asarray(files[number // 64].convert("RGB"))[256 * row + 25, 256 * column + 20].astype(int)
        np.testing.assert_allclose(pixel, number % 250, atol=4)
    assert np.asarray(files[1].convert("RGB"))[10, 6 * 256 + 10].tolist() == [0, 0, 0]


def test_large_thumbnails_are_reduced_to_their_tile():
    sheets = Sheets(20_000, lambda _: np.zeros((300, 400, 3), np.uint8))

    sheets._put(Image.new("RGB", (64, 64)), 0)

    assert sheets.side == 64
    assert sheets.sizes[0].tolist() == [64, 48]


def test_the_more_pictures_the_smaller_the_thumbnails_so_that_the_sheets_stay_within_their_budget():
    sides = [side_for(count) for count in (1, 900, 10_000, 100_000, 10**7)]

    assert sides == sorted(sides, reverse=True) == [256, 256, 96, 32, 32]
    assert all(count * BYTES[side_for(count)] <= BUDGET for count in (900, 10_000, 100_000))


def test_a_report_on_explanations_can_be_sorted_by_what_its_table_holds(tmp_path):
    exhibits = [Exhibit(explanation(record={"seconds": 2.5 * number}), f"{number}.png") for number in (1, 2)]

    page = Page(write_report(plain_report(exhibits), tmp_path / "r.html"))

    (element,) = page.all("script", **{"class": "collection"})
    data = json.loads(element[2])
    columns = {column["name"]: column for column in data["columns"]}
    assert text(data["names"]) == ["1.png", "2.png"]
    assert numbers(columns["seconds"]["values"]).tolist() == [2.5, 5]
    assert data["explained"] == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"columns": (Column("a", [1]),)}, "column 'a' must have one row for each of the 2 pictures; got 1"),
        ({"planes": (Plane("p", np.zeros((3, 2))),)}, "plane 'p' must have one row for each of the 2 pictures; got 3"),
        ({"neighbours": np.zeros((2, 1), int)}, "neighbours and similarities must be given together"),
        ({"explained": [2]}, "explained must hold numbers of the 2 pictures"),
    ],
)
def test_what_does_not_fit_together_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        Collection(["a", "b"], **content)


def test_a_map_has_two_axes():
    with pytest.raises(ValueError, match=r"points must be \(N, 2\); got \(4, 3\)"):
        Plane("t-SNE", np.zeros((4, 3)))


def test_progress_counts_explained_pictures_and_thumbnails(tmp_path):
    steps = []
    collection = Collection([*"abc"], small=lambda _: np.zeros((2, 2, 3), np.uint8), explained=[1])

    write_report(
        Report("r", exhibits=(Exhibit(explanation(), "b"),), collection=collection),
        tmp_path / "r.html",
        progress=lambda *step: steps.append(step),
    )

    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_second_space_is_packed_with_its_own_neighbours_and_what_their_number_is():
    planes = tuple(Plane(name, np.zeros((3, 2))) for name in ("A", "B"))
    first, second = np.array([[1], [2], [0]]), np.array([[2], [0], [1]])
    ranks = np.array([[4.0], [5.0], [6.0]])
    linked = Linked(second, ranks, "rank")

    packed = packed_collection(Collection([*"abc"], planes=planes, neighbours=first, similarities=ranks, linked=linked))

    assert packed["linked"]["number"] == "rank"
    assert numbers(packed["linked"]["pictures"]).tolist() == [2, 0, 1]
    assert numbers(packed["neighbours"]["pictures"]).tolist() == [1, 2, 0]
    assert packed_collection(Collection([*"abc"]))["linked"] is None


def test_a_second_space_needs_two_planes():
    ranks = np.zeros((3, 1))

    with pytest.raises(ValueError, match="linked needs two planes, one of each space, and the neighbours in the first"):
        Collection([*"abc"], linked=Linked(ranks.astype(int), ranks, "rank"))
