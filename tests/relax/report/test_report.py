"""A report holds what it was given, as text and as numbers, and `relax report` makes one of what `explain` saved."""

import base64
import hashlib
import html.parser
import io
import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from relax.cli.app import run
from relax.explanation import Explanation
from relax.report import Chart, Exhibit, Grid, Neighbour, Report, Section, Strip, Thumbnail, plain_report, write_report
from relax.report.maps import averaged, fitted, packed
from relax.report.plain import common
from relax.report.text import embedded, plain, readable, rows_of, without_folders
from relax.text import listed

PROVENANCE = {
    "image": "photos/cat.png",
    "encoder": {"name": "default", "checksum": "ab"},
    "similarity": "cosine",
    "reference": "itself",
    "masks": {"kind": "random-grid", "cells": 7, "keep": 0.5, "seed": 3, "count": 3000},
    "fill": "mean",
    "seed": 3,
    "seconds": 1.5,
    "converged": None,
}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script>",
    "a\u202egnp.exe",
    "\udcff\x00\x1b",
]


def explanation(height=12, width=16, record=None, **maps):
    """Random maps in a narrow band, ten standard errors wide."""
    rng = np.random.default_rng(0)
    values = {
        "importance": rng.uniform(0.80, 0.84, (height, width)).astype(np.float32),
        "uncertainty": rng.uniform(0.001, 0.003, (height, width)).astype(np.float32),
        "standard_error": np.full((height, width), 0.004, np.float32),
    } | maps
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Explanation(**values, image=image, provenance=PROVENANCE | (record or {}))


def picture(height=6, width=8):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png():
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG")
    return stream.getvalue()


class Page(html.parser.HTMLParser):
    """The elements of a page, with their attributes and the text in them, as a browser would split them."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(path.read_bytes().decode())

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in ("img", "input", "meta", "br"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        outside = [element for element in self.open if self.open[-1] is element or self.open[-1][0] != "script"]
        for element in outside:
            element[2] += data

    def all(self, tag, **attributes):
        return [element for element in self.elements if element[0] == tag and attributes.items() <= element[1].items()]

    def text(self):
        """The readable text, without scripts."""
        return self.all("body")[0][2]

    def exhibits(self):
        return [json.loads(element[2]) for element in self.all("script", **{"class": "exhibit"})]


def full(text="words"):
    """A report with every kind of content, each string of which is the text."""
    neighbour = Neighbour(text, 0.5, picture())
    exhibit = Exhibit(explanation(record={"image": text, "fill": text}), text, (neighbour,), ((text, text),))
    blocks = (
        Chart(png(), text, text),
        Grid(text, (text, text), ((text, 1.0), (None, float("nan"))), text),
        Strip(text, (Thumbnail(picture(), text),), text),
    )
    return Report(text, (text,), (Section(text, (text,), blocks),), (exhibit,), {text: {text: text}})


def test_a_report_shows_its_title_findings_sections_and_settings(tmp_path):
    chart = Chart(png(), "How it spreads", "Two hills")
    grid = Grid("Ranks", ("name", "count"), (("b", 12345), ("a", None)), "of all")
    strip = Strip("Outliers", (Thumbnail(picture(), "odd.png"),), "far off")
    section = Section("Clusters", ("First.", "Second."), (chart, grid, strip))
    path = write_report(
        Report("An audit", ("Two clusters.",), (section,), (), {"encoder": {"name": "default"}}), tmp_path / "r.html"
    )

    page = Page(path)
    assert [element[2] for element in page.all("h1")] == ["An audit"]
    assert [element[2] for element in page.all("title")] == ["An audit"]
    for text in ("Two clusters.", "Clusters", "First.", "Second.", "How it spreads", "odd.png", "far off", "of all"):
        assert text in page.text()
    image = page.all("img", alt="Two hills")[0]
    assert base64.b64decode(image[1]["src"].removeprefix("data:image/png;base64,")) == chart.png
    cells = [(element[2], element[1]["data-sort"]) for element in page.all("td") if "data-sort" in element[1]]
    assert cells == [("b", "b"), ("12,345", "12345.0"), ("a", "a"), ("–", "")]
    names, values = page.all("th", scope="row"), page.all("td")[4:]
    assert ("encoder · name", "default") in [(a[2], b[2]) for a, b in zip(names, values, strict=True)]
    assert "the encoder, not the world" in page.text()
    assert not page.all("canvas")  # no pictures, no viewer


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(tmp_path, text):
    """The same elements and attributes as with a harmless text, and nothing is left that hides or reorders."""
    harmless, hostile = (Page(write_report(full(string), tmp_path / "r.html")) for string in ("harmless", text))

    assert [(tag, list(attributes)) for tag, attributes, _ in hostile.elements] == [
        (tag, list(attributes)) for tag, attributes, _ in harmless.elements
    ]
    visible = text.translate({0x202E: "\\u202e", 0xDCFF: "\\udcff", 0: "\\u0000", 0x1B: "\\u001b"})
    assert hostile.text().count(visible) == harmless.text().count("harmless") >= 15
    data = hostile.exhibits()[0]
    assert (data["title"], data["notes"], data["neighbours"][0]["name"]) == (visible, [[visible, visible]], visible)
    name = visible.rpartition("/")[2]  # of a path, such as the fill may be
    assert name in data["recipe"] or not text.isprintable()  # the caption shortens those with question marks
    assert json.loads(data["how"])["image"] == text.rpartition("/")[2]
    assert not set((tmp_path / "r.html").read_text()) & {"\u202e", "\x00", "\x1b"}


def test_only_the_style_and_the_script_of_the_page_itself_may_run(tmp_path):
    page = Page(write_report(full(), tmp_path / "r.html"))

    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        (inline,) = [element[2] for element in page.all(tag) if element[1].get("type") != "application/json"]
        assert rules[name] == f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
    assert not [element for element in page.elements if {"style", "onclick", "onerror", "srcset"} & set(element[1])]
    addresses = [element[1].get("src") or element[1].get("href") or "#" for element in page.elements]
    assert all(address.startswith(("data:image/", "#")) for address in addresses)


@pytest.mark.parametrize(("height", "width"), [(12, 16), (1, 5), (300, 256)])
def test_a_packed_map_is_the_map_to_within_half_a_step(height, width):
    values = np.random.default_rng(2).normal(0, 3, (height, width))
    values[0, ::2] = np.nan

    packed_map = packed(values)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed_map["steps"])), np.uint8).astype(np.int64)
    across = (planes[: values.size] + 256 * planes[values.size :]).reshape(values.shape)
    steps = across.cumsum(1).cumsum(0) % 65536
    span = packed_map["high"] - packed_map["low"]
    unpacked = np.where(steps == 65535, np.nan, packed_map["low"] + steps / 16383 * span)

    assert packed_map["low"] == np.nanmin(values)
    assert packed_map["high"] == np.nanmax(values)
    np.testing.assert_allclose(unpacked, values, rtol=0, atol=span / 16383 / 2 * 1.0001)


def test_a_constant_map_is_packed_exactly_and_an_empty_one_as_nothing():
    packed_map = packed(np.full((2, 3), 0.25))

    assert (packed_map["low"], packed_map["high"]) == (0.25, 0.25)
    assert packed(np.full((2, 3), np.nan)) is None


def test_averaging_keeps_the_mean_and_weighs_by_area():
    """Three pixels on two: each new pixel is one whole and half of the middle one."""
    np.testing.assert_allclose(averaged(np.array([[0, 3, 9]], np.float32), (1, 2)), [[1, 7]])
    values = np.random.default_rng(3).normal(size=(37, 53)).astype(np.float32)
    assert averaged(values, (10, 7)).mean() == pytest.approx(values.mean(dtype=np.float64), abs=1e-7)
    np.testing.assert_allclose(
        averaged(values[:36, :52], (9, 26)), values[:36, :52].reshape(9, 4, 26, 2).mean((1, 3)), atol=1e-6
    )


def test_averaging_leaves_out_what_the_encoder_never_saw():
    values = np.array([[1, np.nan, np.nan, np.nan, 5, 7]], np.float32)

    np.testing.assert_array_equal(averaged(values, (1, 3)), [[1, np.nan, 6]])
    np.testing.assert_array_equal(averaged(values, (1, 6)), values)
    np.testing.assert_array_equal(averaged(values[:, :4], (1, 1)), [[np.nan]])  # a quarter is less than half


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1411, 1411), (256, 256)), ((480, 640), (192, 256)), ((100, 256), (100, 256)), ((1, 999), (1, 256))],
)
def test_maps_get_smaller_and_keep_their_proportions(shape, size):
    assert fitted(shape, 256) == size


def test_each_picture_carries_its_maps_its_provenance_and_its_neighbours(tmp_path):
    explained = explanation(40, 600, uncertainty=np.full((40, 600), np.nan, np.float32))
    exhibit = Exhibit(explained, "long.png", (Neighbour("near.png", 0.75, picture()),), (("site", "north"),))

    (data,) = Page(write_report(Report("r", exhibits=(exhibit,)), tmp_path / "r.html")).exhibits()

    assert (data["size"], data["grid"]) == ([40, 600], [17, 256])
    assert data["maps"]["uncertainty"] is None
    assert data["limit"] is None
    assert json.loads(data["how"]) == explained.provenance | {"image": "cat.png"}
    assert (data["neighbours"][0]["name"], data["neighbours"][0]["similarity"]) == ("near.png", 0.75)
    assert data["notes"] == [["site", "north"]]
    assert data["units"]["importance"] == "mean cosine similarity"
    assert "3,000 masks" in data["recipe"]
    pixels = Image.open(io.BytesIO(base64.b64decode(data["image"].split(",")[1])))
    assert pixels.size == (600, 40)


def test_one_scale_spans_all_pictures_of_the_same_unit_and_no_others(tmp_path):
    low, high, other = (np.full((4, 4), value, np.float32) for value in (0.1, 0.9, -7))
    explanations = [explanation(4, 4, importance=low), explanation(4, 4, importance=high)]
    explanations.append(explanation(4, 4, record={"similarity": "l2"}, importance=other))

    exhibits = [Exhibit(explained, "x") for explained in explanations]
    path = write_report(Report("r", exhibits=exhibits), tmp_path / "r.html")

    ranges = [data["shared"]["importance"] for data in Page(path).exhibits()]
    assert ranges[0] == ranges[1] == {"low": pytest.approx(0.1), "high": pytest.approx(0.9), "pictures": 2}
    assert ranges[2] is None


def test_thirty_pictures_stay_below_eight_megabytes(tmp_path):
    """A photograph of two megapixels, with maps as smooth as those of 10 x 10 cells."""
    from skimage.data import retina
    from skimage.transform import resize

    image = retina()
    coarse = [resize(values, (64, 64), order=3) for values in np.random.default_rng(4).random((3, 10, 10))]
    smooth = [resize(values, image.shape[:2], order=1).astype(np.float32) for values in coarse]
    explained = Explanation(*smooth, image=image, provenance=PROVENANCE)

    path = write_report(Report("r", exhibits=(Exhibit(explained, "retina"),)), tmp_path / "r.html")

    skeleton = write_report(Report("r"), tmp_path / "none.html").stat().st_size
    assert 30 * (path.stat().st_size - skeleton) < 8e6


def test_the_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("before")

    class Broken(list):
        def __iter__(self):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        write_report(Report("r", exhibits=Broken([1])), path)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chart(b"GIF89a", "", ""), "png must be the bytes of a PNG file; got bytes that start with b'GIF89a'"),
        (lambda: Grid("", ("a", "b"), (("x",),)), "one cell for each of the 2 headers; row 0 has 1"),
        (lambda: Thumbnail(np.zeros((2, 2), np.uint8), ""), r"must be \(H, W, 3\) uint8 .*; got \(2, 2\) uint8"),
        (lambda: Neighbour("", 0.0, np.zeros((2, 2, 3))), "got .* float64"),
        (
            lambda: Exhibit(replace(explanation(), uncertainty=np.zeros((3, 3), np.float32)), ""),
            r"uncertainty must have the shape of the image, \(12, 16\); got \(3, 3\)",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        ("a<b", "a<b"),
        (1234567, "1,234,567"),
        (-3, "−3"),
        (0.91213, "0.9121"),
        (12.5, "12.50"),
        (123456.7, "123,457"),
        (0.00081, "8.10×10⁻⁴"),
        (0.0, "0"),
    ],
)
def test_cells_are_readable(value, text):
    assert readable(value) == text


def test_json_in_a_page_cannot_leave_its_element_and_is_read_back():
    data = {"a": "</script><!--<script>&amp;\u2028"}

    assert not re.search("[<>&\u2028]", embedded(data))
    assert json.loads(embedded(data)) == data


def test_names_in_other_scripts_are_left_as_they_are():
    assert plain("قطة 猫 é 👩‍🔬.png") == "قطة 猫 é 👩‍🔬.png"


def test_names_are_listed_as_in_a_sentence_and_those_beyond_the_limit_are_counted():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"], 3) == "a, b and c"
    assert listed(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"


def test_the_plain_report_says_which_maps_are_no_more_than_noise():
    """Ten standard errors between lowest and highest are something, two are not."""
    flat = np.linspace(0.5, 0.508, 192, dtype=np.float32).reshape(12, 16)
    clear = np.linspace(0.5, 0.54, 192, dtype=np.float32).reshape(12, 16)
    cut = clear.copy()
    cut[:2] = np.nan
    exhibits = [
        Exhibit(explanation(importance=flat), "flat.png"),
        Exhibit(explanation(importance=clear), "clear.png"),
        Exhibit(explanation(importance=cut, record={"converged": False}), "cut.png"),
        Exhibit(explanation(standard_error=np.full((12, 16), np.nan, np.float32)), "unknown.png"),
    ]

    report = plain_report(exhibits, "Mine")

    summary, noise, signal, unconverged, unseen = report.findings
    assert summary == "4 pictures were explained for encoder default with 3,000 masks each; similarity: cosine."
    assert "In flat.png the importance spans fewer than 6" in noise
    assert "clear.png and cut.png spans 8 to 10 of its standard errors" in signal
    assert "cut.png" in unconverged
    assert "cut.png" in unseen
    assert not any("unknown.png" in finding for finding in report.findings)
    (grid,) = report.sections[0].blocks
    name, low, high, error, spread, masks, seconds = grid.rows[1]
    assert (name, low, high) == ("clear.png", 0.5, pytest.approx(0.54))
    assert (error, masks, seconds) == (pytest.approx(0.004), 3000, 1.5)
    assert spread == pytest.approx(float(np.median(exhibits[1].explanation.uncertainty)))
    assert report.title == "Mine"


def test_the_settings_are_those_that_all_have_in_common():
    first, second = {"seed": 1, "masks": {"cells": 7, "count": 5}}, {"seed": 2, "masks": {"cells": 7, "count": 6}}

    assert common([first, second]) == {"masks": {"cells": 7}}
    assert common([first]) == first
    assert common([]) == {}


def test_nested_settings_become_rows():
    settings = {"masks": {"cells": 7, "kind": "grid"}, "tolerance": None, "size": [64, 64], "none": {}}

    assert list(rows_of(settings)) == [
        ("masks · cells", "7"),
        ("masks · kind", "grid"),
        ("tolerance", "–"),
        ("size", "[64, 64]"),
        ("none", "{}"),
    ]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with two saved explanations in maps/."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        explanation(record={"image": f"photos/{name}.png"}).save(tmp_path / "maps" / f"{name}.npz")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/jane doe/cat.png", "cat.png"),
        (r"C:\Users\Jane Doe\cat.png", "cat.png"),
        (r"\\server\share\cat.png", "cat.png"),
        ("../../secret/cat.png: no such file", "cat.png: no such file"),
        ("~jane/cat.png", "cat.png"),
        ("checkpoint:/srv/nets/w.pth,arch=vit", "checkpoint:w.pth,arch=vit"),
        ("mean of 2: /a/b.png, /c/d.png", "mean of 2: b.png, d.png"),
        ("corpus of 3 images in /home/jane/dogs", "corpus of 3 images in dogs"),
        ("site-3/cat.png", "site-3/cat.png"),
        ("hf:facebook/dino", "hf:facebook/dino"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("1 / 16 of a/b", "1 / 16 of a/b"),
    ],
)
def test_a_page_shows_names_and_not_where_files_lie(text, shown):
    assert plain(text) == shown


def test_the_provenance_in_a_page_holds_no_folder(tmp_path):
    record = {
        "image": "/home/jane/a b/cat.png#frame=1",
        "reference": "mean of 2: attic/x.png, attic/y.png",
        "command": "relax explain '/home/jane/a b/cat.png' attic/x.png --out=/home/jane/maps --masks 300",
        "encoder": {**PROVENANCE["encoder"], "name": "checkpoint:/home/jane/w.pth"},
    }
    explained = explanation(20, 20, record)

    page = Page(write_report(plain_report([Exhibit(explained, "cat.png")]), tmp_path / "r.html"))

    text = (tmp_path / "r.html").read_text()
    assert "jane" not in text
    assert "attic" not in text
    how = json.loads(page.exhibits()[0]["how"])
    assert (how["image"], how["reference"]) == ("cat.png#frame=1", "mean of 2: x.png, y.png")
    assert "checkpoint:w.pth" in text
    assert how["command"] == "relax explain cat.png x.png --out=maps --masks 300"


def test_a_command_that_no_shell_would_read_stays_out_of_the_page():
    assert without_folders({"command": "relax explain '/home/jane/cat.png"}) == {"command": ""}


def test_the_command_makes_a_page_of_saved_explanations(here, capsys):
    assert run(["report", "maps/cat.npz", "maps/dog.npz", "--out", "out/r.html", "--title", "Cats & dogs"]) == 0

    page = Page(here / "out" / "r.html")
    assert [element[2] for element in page.all("h1")] == ["Cats & dogs"]
    assert [data["title"] for data in page.exhibits()] == ["cat.png", "dog.png"]
    assert [data["notes"] for data in page.exhibits()] == [[["File", "cat.npz"]], [["File", "dog.npz"]]]
    out, err = capsys.readouterr()
    assert re.fullmatch(r"written: out/r\.html, 2 pictures, 0\.\d MB\n", out)
    assert err == ""


def test_a_folder_stands_for_the_explanations_in_it(here):
    assert run(["report", "maps", "maps/dog.npz", "--quiet"]) == 0

    assert [data["title"] for data in Page(here / "relax-out" / "report.html").exhibits()] == ["cat.png", "dog.png"]


def test_files_that_cannot_be_read_are_named_and_the_others_are_shown(here, capsys):
    (here / "notes.npz").write_text("nothing of the kind")
    np.savez(here / "other.npz", importance=np.zeros(3))
    explanation(record={"encoder": "a string"}).save(here / "odd.npz")
    replace(explanation(), image=np.zeros((1, 2, 3), np.uint8)).save(here / "shape.npz")

    code = run(["report", "gone.npz", "notes.npz", "other.npz", "odd.npz", "shape.npz", "maps/cat.npz"])

    assert code == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "relax: gone.npz: there is no such file"
    assert lines[1].startswith("relax: notes.npz is not a saved explanation:")
    assert lines[2].startswith("relax: other.npz is not a saved explanation:")
    assert lines[3].startswith("relax: odd.npz is not a saved explanation: its provenance is not one")
    assert lines[4].startswith(
        "relax: shape.npz is not a saved explanation: importance must have the shape of the image"
    )
    assert len(lines) == 5
    assert [data["title"] for data in Page(here / "relax-out" / "report.html").exhibits()] == ["cat.png"]


def test_nothing_is_written_where_nothing_could_be_read(here, capsys):
    assert run(["report", "gone.npz"]) == 1

    assert not (here / "relax-out" / "report.html").exists()
    assert "none of the 1 files could be read, so relax-out/report.html is not written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "Missing argument"),
        (["report", "empty"], "empty has no .npz file in it"),
        (["report", "maps/cat.npz", "--out", "maps"], "--out must be a file; maps is a folder"),
        (["report", "maps/cat.npz", "--out", "maps/cat.npz"], "would replace an explanation"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_written(here, capsys, arguments, message):
    (here / "empty").mkdir()
    before = (here / "maps" / "cat.npz").read_bytes()

    assert run(arguments) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert (here / "maps" / "cat.npz").read_bytes() == before
    assert not (here / "relax-out" / "report.html").exists()


def test_the_command_needs_no_torch(here):
    code = (
        "import sys; from relax.cli.app import run; run(['report', 'maps', '--quiet']); "
        "assert 'torch' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=here)

    assert done.returncode == 0, done.stderr
    assert (here / "relax-out" / "report.html").exists()


def test_a_map_within_a_region_is_not_said_to_be_of_a_cropped_picture(tmp_path):
    values = np.full((12, 16), np.nan, np.float32)
    values[:, :8] = 0.5
    record = {"within": {"named": "lesion.png", "sha256": "ab", "share": 0.5}}
    exhibits = [
        Exhibit(explanation(importance=values, record=record), "lesion"),
        Exhibit(explanation(importance=values), "cropped"),
    ]

    text = write_report(plain_report(exhibits), tmp_path / "r.html").read_text()

    assert "Masks vary within a region of lesion only: the rest is the photograph, always shown." in text
    assert "The encoder never saw a part of cropped: those pixels are hatched." in text
