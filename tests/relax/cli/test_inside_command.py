"""`relax inside`: the files that were asked for, a line for each layer, and errors in one line."""

import json

import numpy as np
import pytest
from PIL import Image

import relax
from relax.cli.app import run
from tests.relax.inside.networks import square


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(square()).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_page_figure_record_and_arrays_are_written_and_each_layer_has_a_line(picture, tmp_path, capsys):
    files = "page,figure,record,arrays"
    assert run(["inside", str(picture), "--out", str(tmp_path / "out"), "--write", files, "--parts", "2"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["conv1.0", "conv1", "layer1", "layer2", "layer3", "layer4"]
    assert "16 x 48 x 48; the middle cell sees 3 x 3 px; most energy in channels" in lines[0]
    names = ["red-inside.html", "red-inside.json", "red-inside.npz", "red-inside.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    read = relax.Inside.load(tmp_path / "out/red-inside.npz")
    assert len(read["layer3"].factors.shares) == 2
    assert json.loads((tmp_path / "out/red-inside.json").read_text())["layers"][5]["reset"] == "zero"
    figure = np.asarray(Image.open(tmp_path / "out/red-inside.png").convert("RGB"))
    assert figure.std() > 20


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--layers", "layer9"], 2, "encoder 'default' has no layer 'layer9'"),
        (["--effect", "gradeint"], 2, "--effect must be one of gradient, ablation, none; got 'gradeint': did you mean"),
        (["--write", "pages"], 2, "--write must be one of page, figure, record, arrays; got 'pages': did you mean"),
        (["--parts", "9"], 2, "parts must be a whole number from 1 to 8; got 9"),
        (["--encoder", "nothing"], 2, "encoder"),
    ],
)
def test_wrong_usage_is_one_line(picture, tmp_path, capsys, arguments, code, message):
    assert run(["inside", str(picture), "--out", str(tmp_path / "out"), *arguments]) == code

    complaint = capsys.readouterr().err.strip()
    assert message in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_is_no_wrong_usage(tmp_path, capsys):
    assert run(["inside", str(tmp_path / "none.png"), "--out", str(tmp_path / "out")]) == 1

    assert "none.png" in capsys.readouterr().err
