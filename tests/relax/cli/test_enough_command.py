"""`relax enough` and `relax promise`: the files, what is said, and errors in one line."""

import json

import numpy as np
import pytest
from PIL import Image

import relax
from relax.cli.app import run

FEW = ["--cells", "2", "--masks", "16", "--quiet", "--device", "cpu"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """20 pictures of 32 px: a bright square in noise."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(20):
        pixels = random.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        top, left = random.integers(0, 16, 2)
        pixels[top : top + 16, left : left + 16] = random.integers(120, 255, 3)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def test_figure_arrays_and_record_are_written(photos, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["enough", str(photos / "00.png"), "--fill", "mean", "--fill", "0.5", "--backgrounds", str(photos)]
    assert run([*command, "--out", str(out), *FEW[:4], "--device", "cpu"]) == 0

    said = capsys.readouterr().out
    assert "enough to keep 0.80: " in said
    assert "before 20 other pictures as background" in said
    assert sorted(path.name for path in out.iterdir()) == ["00-enough.json", "00-enough.npz", "00-enough.png"]
    sets = relax.SmallestSets.load(out / "00-enough.npz")
    assert sets.enough.proven
    assert [*sets.enough.similarities] == ["mean", "0.5"]
    assert json.loads((out / "00-enough.json").read_text()) == sets.record()
    assert sets.provenance["command"].startswith("relax enough ")


def test_a_map_that_is_there_is_where_the_search_starts(photos, tmp_path):
    picture = str(photos / "01.png")
    assert run(["explain", picture, "--out", str(tmp_path), *FEW]) == 0

    assert run(["enough", picture, "--ranking", str(tmp_path / "01.npz"), "--out", str(tmp_path), *FEW]) == 0
    assert (tmp_path / "01-enough.png").exists()


def test_a_picture_that_cannot_be_read_leaves_the_others(photos, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    command = ["enough", str(tmp_path / "broken.png"), str(photos / "02.png"), "--out", str(tmp_path / "out")]

    assert run([*command, *FEW]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert (tmp_path / "out/02-enough.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--at-least", "1.5"], 2, "--similarity-at-least must be a cosine similarity above -1 and below 1; got 1.5"),
        (["--passes", "0"], 2, "--passes must be a whole number, 1 or more; got 0"),
        (["--fill", "blurr"], 2, "--fill must be mean, blur"),
        (["--regions", "windows"], 2, "--regions must be one of grid, superpixels, patches; got 'windows'"),
        (["--backgrounds", "nowhere"], 2, "--backgrounds nowhere: no such file or folder"),
        (["--ranking", "nowhere.npz"], 1, "nowhere.npz: no such file"),
    ],
)
def test_wrong_usage_is_one_line(photos, tmp_path, capsys, arguments, code, message):
    assert run(["enough", str(photos / "00.png"), "--out", str(tmp_path / "out"), *FEW, *arguments]) == code

    complaint = capsys.readouterr().err.strip()
    assert message in complaint
    assert len(complaint.splitlines()) == 1


def test_ctrl_c_writes_the_smallest_sets_so_far(photos, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("relax.enough.search.Search.exhaust", stopped)
    assert run(["enough", str(photos / "03.png"), "--out", str(tmp_path), *FEW]) == 130

    assert "stopped; the smallest sets so far are in" in capsys.readouterr().err
    assert relax.SmallestSets.load(tmp_path / "03-enough.npz").provenance["stopped_early"] is True


def test_a_promise_is_calibrated_and_applied(photos, tmp_path, capsys):
    file = tmp_path / "promise.json"
    calibrate = ["promise", "calibrate", str(photos), "--share", "0.9", "--out", str(file), *FEW[:4], "--device", "cpu"]
    assert run(calibrate) == 0
    said = capsys.readouterr().out
    assert "promise: similarity 0.80 in 90% of pictures in expectation" in said
    assert "held out: kept in" in said

    apply = ["promise", "apply", str(file), str(photos / "05.png"), "--check", "--out", str(tmp_path / "out")]
    assert run([*apply, "--device", "cpu"]) == 0
    assert "of 4 cells" in capsys.readouterr().out
    names = ["05-promise.json", "05-promise.npz", "05-promise.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    record = json.loads((tmp_path / "out/05-promise.json").read_text())
    assert record["promise"]["calibration"]["pictures"] == 10
    assert record["similarities"]["mean"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "0.95"], "19 or more; got 10 beside 10 that are held out: take more, or a smaller held_out"),
        (["--rule", "guess"], "--rule must be one of steady, importance, count, predicted; got 'guess'"),
        (["--fill", "blurr"], "--fill must be mean, blur"),
    ],
)
def test_what_cannot_be_promised_is_one_line(photos, tmp_path, capsys, arguments, message):
    command = ["promise", "calibrate", str(photos), "--out", str(tmp_path / "promise.json"), *FEW, *arguments]
    assert run(command) == 2

    complaint = capsys.readouterr().err.strip()
    assert message in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "promise.json").exists()


def test_a_file_that_is_no_promise_is_refused(photos, tmp_path, capsys):
    (tmp_path / "promise.json").write_text("{}")

    assert run(["promise", "apply", str(tmp_path / "promise.json"), str(photos / "00.png")]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert run(["promise", "apply", str(tmp_path / "none.json"), str(photos / "00.png")]) == 2
    assert "none.json: no such file or folder" in capsys.readouterr().err
