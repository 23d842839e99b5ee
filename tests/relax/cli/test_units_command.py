"""`relax units`: files that are written, and errors in the words of the options."""

import json

import numpy as np
import pytest
from PIL import Image

from relax.cli.app import run
from relax.units.pictures import UnitPictures
from tests.relax.units.planted import pictures


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A spec of the network that sees red corners, in a folder of its own."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "hubconf.py").write_text(
        "from tests.relax.units.planted import RedCorners\n\n\ndef corners():\n    return RedCorners()\n"
    )
    return f"hub:{folder}:corners?size=24&resize=24x24&mean=0&std=1"


def test_filters_are_drawn_and_kept(tmp_path, capsys):
    assert run(["units", "filters", "default", "--out", str(tmp_path), "--format", "svg"]) == 0

    assert "16 filters of 3 x 3 px of conv1.0" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"filters.{e}" for e in ("csv", "json", "npz", "svg")]
    assert len(UnitPictures.load(tmp_path / "filters.npz")) == 16


def test_exciting_pictures_are_listed_with_their_place(hub, tmp_path, capsys):
    folder = pictures(tmp_path / "p")
    (folder / "bad.png").write_bytes(b"no picture")

    assert run(["units", "exciting", hub, str(folder), "--layer", "see", "--unit", "3", "-k", "2", "--out",
                str(tmp_path / "out")]) == 0  # fmt: skip

    rows = (tmp_path / "out" / "exciting.csv").read_text().splitlines()
    assert rows[0] == "unit,rank,value,name,top,left,bottom,right"
    assert rows[1] == '"see, channel 3",1,4.0,corner.png,7.0,12.0,10.0,15.0'
    assert "bad.png,cannot be used" in (tmp_path / "out" / "passed_over.csv").read_text()
    assert "passed_over.csv lists what is passed over" in capsys.readouterr().err


def test_a_picture_is_made_with_its_record(hub, tmp_path):
    np.save(tmp_path / "direction.npy", np.array([[1, 0, 0, 0], [0, 0, 0, 2.0]]))
    real = str(pictures(tmp_path / "p"))

    direction = f"{tmp_path / 'direction.npy'}#row=1"
    assert run(["units", "maximise", hub, "--layer", "see", "--direction", direction, "--where", "7,12",
                "--steps", "3", "--real", real, "--out", str(tmp_path / "out")]) == 0  # fmt: skip

    record = json.loads((tmp_path / "out" / "maximised.json").read_text())
    assert record["questions"][0]["where"] == [7, 12]
    assert record["real"]["values"][0]["largest"] == 4
    assert Image.open(tmp_path / "out" / "maximised-0.png").size == (24, 24)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["maximise", "default", "--unit", "300"], "--unit must be a whole number from 0 to 255 for the embedding"),
        (["maximise", "default", "--unit", "1", "--form", "fourir"], "--form must be one of maco"),
        (["maximise", "default", "--unit", "1", "--steps", "0"], "--steps must be a whole number from 1"),
        (["maximise", "default"], "say one of unit, direction, embedding_of and target"),
        (["maximise", "default", "--unit", "1", "--layer", "layer9"], "has none 'layer9'"),
        (["maximise", "default", "--target", "cat"], "--target and head go together"),
        (["exciting", "default", "nowhere", "--unit", "1"], "nowhere"),
        (["filters", "default", "--scale", "all"], "scale must be one of common, each"),
    ],
)
def test_wrong_usage_is_one_line(words, message, tmp_path, capsys):
    assert run(["units", *words, "--out", str(tmp_path)]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_array_that_needs_pickle_is_not_opened(tmp_path, capsys):
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    assert run(["units", "maximise", "default", "--direction", str(tmp_path / "bad.npy")]) == 2

    assert "bad.npy cannot be read: Array can't be memory-mapped: Python objects" in capsys.readouterr().err


def test_ctrl_c_writes_what_there_is(hub, tmp_path, capsys, monkeypatch):
    import relax.units.maximise as module

    climb = module.climb

    def stopped(*arguments, **keywords):
        def stop(done):
            raise KeyboardInterrupt

        return climb(*arguments, **{**keywords, "step_done": stop})

    monkeypatch.setattr(module, "climb", stopped)

    assert run(["units", "maximise", hub, "--layer", "see", "--unit", "0", "--out", str(tmp_path)]) == 130

    assert f"stopped; what 1 of 256 steps made is in {tmp_path}" in capsys.readouterr().err
    assert json.loads((tmp_path / "maximised.json").read_text())["stopped_early"]["after"] == 1


def test_a_class_of_the_network_itself(tmp_path):
    assert run(["units", "maximise", "random:timm:resnet10t", "--head", "network", "--target", "0",
                "--steps", "1", "--out", str(tmp_path)]) == 0  # fmt: skip

    assert (tmp_path / "maximised.png").is_file()


def test_help_alone_says_what_there_is(capsys):
    assert run(["units"]) == 2

    text = capsys.readouterr().out
    assert all(name in text for name in ("filters", "exciting", "maximise"))
