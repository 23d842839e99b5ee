"""A column that is in the space is read off it, one that is not is not, and tables are taken as they are or refused."""

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from relax.auditing.metadata import read_metadata
from relax.auditing.predictability import Predictability, corrected, predictability


@pytest.fixture
def space():
    """30 images of one scanner beside 20 of another."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.3, (50, 6))
    points[:30, 0] += 2
    points[30:, 1] += 2
    return points.astype(np.float32)


SCANNERS = ["A"] * 30 + ["B"] * 20


def test_a_column_that_makes_the_clusters_is_read_off_without_an_error(space):
    result = predictability(space, "scanner", SCANNERS)

    assert result.score == 1
    assert result.p == pytest.approx(1 / 1000)
    assert (result.images, result.groups, result.largest) == (50, 2, 0.6)
    assert result.chance == pytest.approx(0.5, abs=0.05)


def test_a_shuffled_column_is_not_read_off(space):
    result = predictability(space, "scanner", np.random.default_rng(6).permutation(SCANNERS).tolist())

    assert result.p > 0.2


def test_the_p_value_of_columns_without_a_link_is_spread_evenly(space):
    """Over many shuffled columns about one in ten has a p-value of at most 0.1."""
    draws = np.random.default_rng(7)
    low = [
        predictability(space, "x", draws.permutation(SCANNERS).tolist(), permutations=99, seed=seed).p <= 0.1
        for seed in range(100)
    ]

    assert 1 <= sum(low) <= 20  # 10 expected, 3 standard deviations each way


def test_scores_are_those_of_scikit_learn_leaving_one_out(space):
    mixed = np.random.default_rng(1).permutation(50)
    groups = np.array(SCANNERS)[np.where(mixed < 15, mixed, np.arange(50))]
    numbers = space[:, 2] + np.random.default_rng(2).normal(0, 0.05, 50)
    guessed = cross_val_predict(KNeighborsClassifier(5, metric="cosine"), space, groups, cv=LeaveOneOut())
    estimated = cross_val_predict(KNeighborsRegressor(5, metric="cosine"), space, numbers, cv=LeaveOneOut())

    by_group = predictability(space, "g", groups.tolist(), k=5, permutations=9)
    by_number = predictability(space, "n", numbers.tolist(), k=5, permutations=9)

    assert by_group.score == pytest.approx(balanced_accuracy_score(groups, guessed))
    assert by_number.kind == "numbers"
    assert by_number.score == pytest.approx(r2_score(numbers, estimated))


def test_of_equally_many_votes_the_nearer_neighbour_decides():
    """On a line of directions: the first image's neighbours are B, A, in this order; with k = 2 it is taken for B."""
    angles = np.radians([0, 1, 2.5, 60, 61, 62, 63, 120, 121, 122, 123])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    names = ["A", "B", "A", "A", "A", "A", "A", "B", "B", "B", "B"]

    result = predictability(points, "x", names, k=2, permutations=1)

    # A: the first and third are taken for B (nearest: image 1); B: image 1 is taken for A.
    assert result.score == pytest.approx((4 / 6 + 4 / 5) / 2)


@pytest.mark.parametrize(
    "values",
    [
        ["A"] * 50,
        [f"image {number}" for number in range(50)],
        [None] * 50,
        ["A"] * 46 + ["B"] * 4,
        [3.0] * 50,
    ],
)
def test_a_column_that_is_neither_groups_nor_numbers_says_nothing(space, values):
    assert predictability(space, "x", values) is None


def test_images_without_a_value_and_small_groups_are_left_out(space):
    values = [*SCANNERS]
    values[0], values[1], values[40], values[41] = None, float("nan"), "", "C"

    result = predictability(space, "scanner", values, permutations=9)

    assert (result.images, result.groups, result.score) == (46, 2, 1.0)


def test_few_different_numbers_are_groups(space):
    years = [2019 if name == "A" else 2020 for name in SCANNERS]

    assert predictability(space, "year", years, permutations=9).kind == "groups"


def test_holms_correction_by_hand():
    """0.01, 0.02, 0.04 of three become 3 x 0.01, 2 x 0.02 and the larger of that and 0.04."""

    def column(name, p):
        return Predictability(name, "groups", 0.9, 0.5, p, p, 50, 50, 2, 0.5)

    results = corrected([column("c", 0.03), column("a", 0.01), column("b", 0.02)])

    assert {result.column: pytest.approx(result.p_corrected) for result in results} == {"a": 0.03, "b": 0.04, "c": 0.04}
    assert [result.p_corrected for result in corrected([column("a", 0.7), column("b", 0.8)])] == [1.0, 1.0]


def test_rows_come_in_the_order_of_the_images(tmp_path):
    file = tmp_path / "scans.csv"
    file.write_text("scanner,path,year\nA,./b.png,2019\nB,sub/a.png,\n,gone.png,2021\n")

    result = read_metadata(file).of(["sub/a.png", "b.png", "new.png"])

    assert result.columns == {"scanner": ["B", "A", None], "year": [None, 2019, None]}
    assert (result.missing, result.unused) == (1, 1)


def test_parquet_says_the_same_and_dates_become_text(tmp_path):
    file = tmp_path / "scans.parquet"
    day = np.array(["2020-02-29", "2021-01-01"], dtype="datetime64[D]")
    parquet.write_table(pyarrow.table({"path": ["a.png", "b.png"], "day": day, "dose": [0.5, None]}), file)

    result = read_metadata(file).of(["b.png", "a.png"])

    assert result.columns == {"day": ["2021-01-01", "2020-02-29"], "dose": [None, 0.5]}


def test_numbers_as_names_stay_names(tmp_path):
    """A folder of 001.png, ... without endings in the table is not turned into 1, 2, ..."""
    file = tmp_path / "scans.csv"
    file.write_text("path,site\n001,x\n002,y\n")

    assert read_metadata(file).of(["002", "001"]).columns == {"site": ["y", "x"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,site\na.png,x\n", "needs a column path .* it has file and site"),
        ("path\na.png\n", "and others; it has path"),
        ("path,site\na.png,x\n./a.png,y\n", "names one image in rows 1 and 2: keep one"),
        ("path,site\nA.png,x\n", "names none of the images: it has A.png, the folder a.png"),
        ("path,site\na.png,x,y\n", "is not a CSV table: line 2 has 3 cells, and the header 2"),
        ("path,site,site\na.png,x,y\n", "two columns of one name"),
        (f"path,{'x' * 5000},{'x' * 5000}\na.png,x,y\n", "two columns of one name, x+…x+: rename"),
        (f"{'x' * 5000},\x1b[31mred\na.png,x\n", r"it has x+…x+ and \?\[31mred"),
        (f"path,site\n{'x' * 5000},x\n", "it has x+…x+, the folder a.png"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, text, message):
    file = tmp_path / "scans.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_metadata(file).of(["a.png"])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def columns_of(tmp_path, text, images=("a.png", "b.png"), encoding="utf-8"):
    file = tmp_path / "scans.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_metadata(file).of(images).columns


def test_two_patients_do_not_become_one(tmp_path):
    """007 is not 7, nor is any number of its column a number; long numbers are names too."""
    table = "path,patient,scan,dose\na.png,007,12345678901234567890,0.5\nb.png,7,12345678901234567891,-1e-3\n"

    assert columns_of(tmp_path, table) == {
        "patient": ["007", "7"],
        "scan": ["12345678901234567890", "12345678901234567891"],
        "dose": [0.5, -0.001],
    }


def test_spaces_around_names_paths_and_values_do_not_count(tmp_path):
    table = 'path , site, age\n a.png , A ,3\nb.png," A", 4\n'

    assert columns_of(tmp_path, table) == {"site": ["A", "A"], "age": [3, 4]}
    parquet.write_table(pyarrow.table({"path": [" a.png", "b.png "], " site": ["A ", "A"]}), tmp_path / "x.parquet")
    assert read_metadata(tmp_path / "x.parquet").of(["a.png", "b.png"]).columns == {"site": ["A", "A"]}


@pytest.mark.parametrize("path", [".\\sub\\a.png", "sub\\a.png", "./sub//a.png", "sub/x/../a.png"])
def test_paths_find_their_image_whatever_system_wrote_them(tmp_path, path):
    assert columns_of(tmp_path, f"path,site\n{path},A\n", ["sub/a.png"]) == {"site": ["A"]}


def test_accents_find_their_image_whether_they_are_composed_or_not(tmp_path):
    assert columns_of(tmp_path, "path,site\nMu\u0308ller.png,A\n", ["M\xfcller.png"]) == {"site": ["A"]}


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "__index_level_0__"])
def test_row_numbers_that_pandas_wrote_are_no_column(tmp_path, index):
    assert columns_of(tmp_path, f"{index},path,site\n0,a.png,A\n7,b.png,B\n") == {"site": ["A", "B"]}
    parquet.write_table(pyarrow.table({index: [3, 9], "path": ["a", "b"], "site": ["A", "B"]}), tmp_path / "x.parquet")
    assert read_metadata(tmp_path / "x.parquet").of(["a", "b"]).columns == {"site": ["A", "B"]}


def test_an_empty_last_column_is_no_column(tmp_path):
    assert columns_of(tmp_path, "path,site,\na.png,A,\nb.png,B,\n") == {"site": ["A", "B"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_write_several_forms_of_csv(tmp_path, encoding, separator):
    table = 'path,site,note\r\na.png,Łódź,"x,y;z"\r\nb.png,Évry,\r\n'
    table = table.replace(",", separator).replace(f"x{separator}y", "x,y")

    assert columns_of(tmp_path, table, encoding=encoding) == {"site": ["Łódź", "Évry"], "note": ["x,y;z", None]}


def test_a_decimal_comma_is_one_where_commas_do_not_separate(tmp_path):
    """In a table with commas "1,234" may be a thousand, and 1.5 beside 1,5 may be anything: they stay text."""
    assert columns_of(tmp_path, "path;dose\na.png;0,5\nb.png;-1,25\n") == {"dose": [0.5, -1.25]}
    assert columns_of(tmp_path, 'path,dose\na.png,"1,234"\nb.png,2\n') == {"dose": ["1,234", "2"]}
    assert columns_of(tmp_path, "path;dose\na.png;1.5\nb.png;1,5\n") == {"dose": ["1.5", "1,5"]}


def test_a_path_of_digits_is_no_number(tmp_path):
    assert columns_of(tmp_path, "path,site\n1.50,A\n2.50,B\n", ["1.50", "2.50"]) == {"site": ["A", "B"]}


def test_a_path_that_a_table_of_the_audit_protects_from_spreadsheets_finds_its_image(tmp_path):
    assert columns_of(tmp_path, "path,cluster\n'=1.png,2\n", ["=1.png"]) == {"cluster": [2]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("path,site\na.png,A\nb.png,Évry\n".encode("latin-1"), "line 3 is not in UTF-8: save the table as UTF-8"),
        (b"", "needs a column path .* it has no column"),
        (b"path,,site\na.png,x,A\n", "has a column without a name, number 2: name it"),
        (b"path,site\n,A\n", "has no path in row 1: name the image, or leave the row out"),
        (b'path,site\na.png,"A\n', "is not a CSV table: unexpected end of data"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path, data, message):
    with pytest.raises(ValueError, match=message) as caught:
        columns_of(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_bytes_in_parquet_are_text_or_refused(tmp_path):
    def table(site):
        parquet.write_table(pyarrow.table({"path": ["a.png"], "site": [site]}), tmp_path / "x.parquet")
        return read_metadata(tmp_path / "x.parquet").of(["a.png"]).columns

    assert table("Évry".encode()) == {"site": ["Évry"]}
    with pytest.raises(ValueError, match="holds bytes that are not text in UTF-8: save its columns as text"):
        table("Évry".encode("latin-1"))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv: no such file"):
        read_metadata(tmp_path / "gone.csv")
