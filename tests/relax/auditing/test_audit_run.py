"""An audit of a folder finds what was planted in its pictures, writes it down, and does no work twice."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from pyarrow import parquet
from torch import nn
from torch.nn import functional as F

import relax
from relax.auditing.charts import _scatter_groups
from relax.auditing.clusters import Clusters
from relax.auditing.stages import means_by_cluster, spread_over
from relax.cli.app import run
from relax.cli.console import DONE, SOME_FAILED, WRONG_USAGE

SIDE, CELL = 35, 5
MARK = (5, 0)  # row and column of the red square in a grid of 7 x 7


class SeesRed(nn.Module):
    """Sees how red each of 7 x 7 cells is, and, faintly, how bright; counts how many pictures it was shown."""

    seen = 0  # of the class: relax works with copies of a module

    def forward(self, pixels):
        SeesRed.seen += len(pixels)
        red = F.adaptive_avg_pool2d(pixels[:, :1] - pixels[:, 1:].mean(1, keepdim=True), 7).flatten(1)
        light = F.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 4).flatten(1)
        return torch.cat([2 * red, light, torch.ones(len(pixels), 1)], dim=1)


def write_pictures(folder, count, *, marked, seed=0):
    """Noise; the first `marked` pictures have a red square in one place."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        if number < marked:
            row, column = (CELL * place for place in MARK)
            pixels[row : row + CELL, column : column + CELL] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def small(folder, out, encoder, **settings):
    return relax.audit(folder, encoder, out, **{"explain": 12, "hide": 24, "masks": 40, "layouts": ["pca"], **settings})


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """24 pictures, the mark in half of them; a copy; a table that knows the mark; a file that is no picture."""
    base = tmp_path_factory.mktemp("planted")
    folder = write_pictures(base / "pictures", 24, marked=12)
    (folder / "24.png").write_bytes((folder / "23.png").read_bytes())
    (folder / "broken.png").write_text("not a picture")
    names = [f"{number:02}.png" for number in range(25)]
    lines = [f"{name},{'new' if number < 12 else 'old'},{number % 2}" for number, name in enumerate(names)]
    (base / "table.csv").write_text("\n".join(["path,scanner,noise", *lines]))
    return base, small(folder, base / "out", SeesRed(), metadata=base / "table.csv")


def test_the_mark_is_the_first_region_and_hiding_it_changes_the_cluster(planted):
    _, result = planted

    first = result.shortcuts.regions[0]

    assert first.peak == MARK
    assert MARK in first.cells
    assert first.p <= 0.05
    assert first.moved == pytest.approx(12 / 25, abs=0.1)  # of the pictures: those with the mark
    assert all(result.paths[image] < "12.png" for image in first.examples)
    assert "Possible shortcut at bottom left (row 6, column 1 of 7)" in result.findings[1]


def test_the_space_says_what_was_planted(planted):
    _, result = planted

    labels = result.space.clusters.labels
    assert result.space.clusters.sizes == [13, 12]
    assert labels.tolist() == [1] * 12 + [0] * 13
    assert result.space.duplicates.groups == ((23, 24),)
    assert [column.column for column in result.columns] == ["scanner", "noise"]
    assert result.columns[0].score == 1
    assert result.columns[1].p_corrected > 0.05
    assert list(result.failed) == ["broken.png"]


def test_the_mean_map_of_the_marked_cluster_is_highest_at_the_mark(planted):
    _, result = planted

    row, column = np.unravel_index(result.maps[1].argmax(), result.maps[1].shape)

    cell = result.maps[1].shape[0] // 7
    assert (row // cell, column // cell) == MARK
    assert sum(result.map_counts.values()) == len(result.explained) == 12


def test_everything_is_written(planted):
    base, result = planted
    out = base / "out"

    table = parquet.read_table(out / "audit.parquet").to_pydict()
    cells = list(csv.DictReader((out / "shortcuts.csv").open()))
    printed = json.loads((out / "audit.json").read_text())

    assert table["path"] == [f"{number:02}.png" for number in range(25)]
    assert table["cluster"] == result.space.clusters.labels.tolist()
    assert [group for group in table["duplicate_group"] if group] == [1, 1]
    assert (cells[0]["row"], cells[0]["column"], cells[0]["region"]) == ("6", "1", "1")
    assert len(cells) == 49
    assert printed["findings"] == list(result.findings)
    assert printed["failed"] == result.failed
    assert printed["settings"]["encoder"]["name"] == "SeesRed"
    assert [row["path"] for row in csv.DictReader((out / "duplicates.csv").open())] == ["23.png", "24.png"]
    page = result.report.read_text()
    assert "Possible shortcut at bottom left" in page
    assert "broken.png" in page


def test_a_second_audit_shows_the_encoder_nothing_and_finds_the_same(planted, tmp_path):
    base, result = planted
    out = shutil.copytree(base / "out", tmp_path / "out")
    before = SeesRed.seen

    repeated = small(base / "pictures", out, SeesRed(), metadata=base / "table.csv")

    assert SeesRed.seen == before >= 2 * (12 * 40 + 24 * 49)
    assert repeated.findings == result.findings
    np.testing.assert_array_equal(repeated.shortcuts.p, result.shortcuts.p)


def test_other_masks_are_not_taken_for_the_kept_ones(planted, tmp_path):
    base, _ = planted
    out = shutil.copytree(base / "out", tmp_path / "out")
    before = SeesRed.seen

    small(base / "pictures", out, SeesRed(), explain=8, hide=0, masks=20)

    assert SeesRed.seen == before + 8 * 2 * (
        21 + 3
    )  # each picture with nothing hidden, and the three that show whether the encoder is steady


def test_without_a_mark_no_region_is_called_significant(tmp_path):
    folder = write_pictures(tmp_path / "pictures", 24, marked=0, seed=1)

    result = small(folder, tmp_path / "out", SeesRed(), explain=8)

    assert result.shortcuts.regions == ()
    assert "No place in the frame stood out over 24 pictures" in result.findings[1]


def test_through_the_bundled_encoder_and_the_command_line_the_mark_is_found(tmp_path, capsys):
    """Soft colours, and a red square in half of the pictures; a hostile folder name reaches the page as text.

    The square fills the cell in row 3 and column 5; hiding half of its surroundings may move the embedding as much.
    """
    folder = tmp_path / "<b>pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        soft = Image.fromarray(rng.integers(90, 166, (6, 6, 3), dtype=np.uint8)).resize(
            (70, 70), Image.Resampling.BICUBIC
        )
        if number < 12:
            soft.paste((255, 0, 0), (40, 20, 50, 30))
        soft.save(folder / f"{number:02}.png")
    (folder / "broken.png").write_text("not a picture")
    out = tmp_path / "out"

    code = run(["audit", str(folder), "--out", str(out), "--explain", "2", "--masks", "20", "--layouts", "pca"])

    printed = capsys.readouterr()
    assert code == SOME_FAILED
    assert "24 images were embedded by default; 1 could not be used" in printed.out
    assert re.search(r"Possible shortcut at top centre \(row [23], column 5 of 7\)", printed.out)
    assert f"written: {out / 'report.html'}" in printed.out
    assert "broken.png" in printed.err
    assert "1 of 25 images could not be used" in printed.err
    page = (out / "report.html").read_text()
    assert "<b>pictures" not in page
    assert "&lt;b&gt;pictures" in page
    assert len(list((out / "maps").glob("*.npz"))) == 2 * 2 + 2 * 24


def test_the_command_line_says_what_is_wrong_before_it_starts(tmp_path, capsys):
    folder = write_pictures(tmp_path / "pictures", 2, marked=0)
    (tmp_path / "table.csv").write_text("path,site\n00.png,x\n")
    start = ["audit", str(folder), "--out", str(tmp_path / "out")]

    assert run([*start, "--metadata", str(tmp_path / "gone.csv")]) == WRONG_USAGE
    assert "gone.csv: no such file" in capsys.readouterr().err
    assert run([*start, "--metadata", str(tmp_path / "table.csv"), "--colour-by", "scanner"]) == WRONG_USAGE
    assert "colour_by must be a column of the metadata (site); got 'scanner'" in capsys.readouterr().err
    assert run([*start, "--masks", "1"]) == WRONG_USAGE
    assert "masks must be a whole number, 2 or more; got 1" in capsys.readouterr().err
    assert run([*start, "--layouts", "mds"]) == WRONG_USAGE
    assert "layouts must be one of pca, tsne, umap; got 'mds'" in capsys.readouterr().err
    assert run([*start, "--layouts", ""]) == WRONG_USAGE  # of which there was a traceback at the end
    assert "layouts must be some of pca, tsne, umap; got none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run([*start, "--quiet"]) == WRONG_USAGE
    assert "an audit needs at least 10 images that can be used" in capsys.readouterr().err


def test_without_looking_into_pictures_the_space_is_still_described(tmp_path, capsys):
    folder = write_pictures(tmp_path / "pictures", 12, marked=6)

    assert run(["audit", str(folder), "--out", str(tmp_path / "out"), "--explain", "0", "--hide", "0"]) == DONE

    printed = capsys.readouterr().out
    assert "near-duplicates" in printed
    assert "Shortcuts were not tested: this takes 8 pictures or more" in printed
    assert not (tmp_path / "out" / "shortcuts.csv").exists()


def test_a_group_of_many_duplicates_says_how_many_of_them_it_shows(tmp_path):
    folder = write_pictures(tmp_path / "pictures", 4, marked=0)
    for number in range(4, 17):
        shutil.copy(folder / "03.png", folder / f"{number:02}.png")

    result = small(folder, tmp_path / "out", SeesRed(), explain=0, hide=0)

    strip = result.report.read_text().split("Group 1: 14 images")[1].split("</div>")[0]
    assert strip.count("<img") == 12
    assert "The first 12; duplicates.csv has all." in strip


def test_names_that_a_spreadsheet_would_run_are_text_in_every_table(tmp_path):
    folder = write_pictures(tmp_path / "pictures", 12, marked=6)
    for name in ("=1+1.png", "@sum.png", "-2+3.png"):
        shutil.copy(folder / "03.png", folder / name)
    paths = sorted(path.name for path in folder.iterdir())
    table = "\n".join(["path,=site", *(f"{path},{number % 2}" for number, path in enumerate(paths))])
    (tmp_path / "table.csv").write_text(table)

    small(folder, tmp_path / "out", SeesRed(), explain=0, hide=0, metadata=tmp_path / "table.csv")

    tables = {path.name: [*csv.reader(path.open())] for path in (tmp_path / "out").glob("*.csv")}
    assert {row[0] for row in tables["clusters.csv"]} >= {"'=1+1.png", "'@sum.png", "'-2+3.png"}
    assert {row[1] for row in tables["duplicates.csv"]} >= {"'=1+1.png", "'@sum.png", "'-2+3.png"}
    assert tables["predictability.csv"][1][0] == "'=site"
    texts = [cell for rows in tables.values() for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert [cell for cell in texts if not float(cell)] == []  # what begins so is a number


def test_dots_of_a_map_have_the_colour_of_their_group_and_the_others_are_grey():
    points = np.arange(10, dtype=np.float64).reshape(5, 2)
    panel = Figure().subplots()

    _scatter_groups(panel, points, ["b", "a", "b", None, "a"])

    dots = {drawn.get_label(): (drawn.get_offsets().tolist(), drawn.get_facecolor()) for drawn in panel.collections}
    assert dots["a"][0] == points[[1, 4]].tolist()
    assert dots["b"][0] == points[[0, 2]].tolist()
    assert dots["other or unknown"][0] == points[[3]].tolist()
    assert len({tuple(colour[0]) for _, colour in dots.values()}) == 3


def test_every_beginning_of_the_order_holds_each_cluster_in_its_share():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    clusters = Clusters(labels, np.zeros((3, 2), np.float32), {}, np.zeros(100, np.float32), np.zeros((3, 2)))
    order = spread_over(clusters, seed=0)

    assert sorted(order) == list(range(100))
    for count in (10, 50, 80):
        shares = np.bincount(labels[order[:count]], minlength=3)
        np.testing.assert_allclose(shares, count * np.array([0.6, 0.3, 0.1]), atol=1)


def test_cluster_means_by_hand():
    maps = [np.full((2, 2), value) for value in (1.0, 2.0, 6.0)]

    means, counts = means_by_cluster(maps, [1, 0, 1])

    assert {number: float(values[0, 0]) for number, values in means.items()} == {0: 2.0, 1: 3.5}
    assert counts == {0: 1, 1: 2}


def test_objects_of_a_store_are_audited_like_files(planted, tmp_path):
    base, plain = planted

    store = small(f"file://{base / 'pictures'}", tmp_path, SeesRed(), metadata=base / "table.csv")

    assert store.findings == plain.findings
    assert (tmp_path / "duplicates.csv").read_text() == (base / "out" / "duplicates.csv").read_text()
