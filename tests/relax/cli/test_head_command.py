"""`relax head train` makes heads that work from folders and CSVs, and says what it left out and what is wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from encoders import load, load_head
from relax.cli.app import run
from relax.io.images import read_image
from relax.metrics.summary import wilson

ENCODER = "random:timm:test_resnet"  # a real network with its preprocessing, small and without download
FAST = ("--encoder", ENCODER, "--device", "cpu")
COLOURS = {"blue": (40, 60, 200), "red": (200, 60, 40)}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with ten reddish and eight bluish pictures."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count in (("red", 10), ("blue", 8)):
        for index in range(count):
            picture(f"photos/{name}/{index}.png", COLOURS[name], rng)
    return tmp_path


def picture(path, colour, rng):
    pixels = np.clip(np.array(colour) + rng.normal(0, 30, (20, 24, 3)), 0, 255).astype(np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def assert_one_line(text, *parts):
    """The text is one line of the command and holds the parts."""
    assert text.startswith("relax: ")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text


@pytest.mark.parametrize("kind", ["linear", "knn", "prototype"])
def test_a_head_is_trained_written_and_tells_new_pictures_apart(here, capsys, kind):
    code = run(
        ["head", "train", "photos", *FAST, "--kind", kind, "--k", "3", "--batch-size", "4", "--out", "new/probe"]
    )

    assert code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"^blue +8$", out, re.MULTILINE)
    assert re.search(r"^red +10$", out, re.MULTILINE)
    assert re.search(r"^train +14 +1\.000 *$", out, re.MULTILINE)
    assert re.search(r"^validation +4 +1\.000 \(95 %: 0\.510 to 1\.000\) +0\.500$", out, re.MULTILINE)
    assert "written: new/probe.safetensors, new/probe.json" in out
    assert sorted(path.name for path in Path("new").iterdir()) == ["probe.json", "probe.safetensors"]

    head, encoder = load_head("new/probe"), load(ENCODER, device="cpu")
    head.check(encoder)
    assert (head.kind, head.classes, head.encoder_name) == (kind, ("blue", "red"), ENCODER)
    rng = np.random.default_rng(1)
    picture("red.png", COLOURS["red"], rng)
    picture("blue.png", COLOURS["blue"], rng)
    scores = torch.cat([head.scores(encoder(read_image(path))) for path in ("red.png", "blue.png")])
    assert scores.argmax(1).tolist() == [1, 0]
    record = json.loads(Path("new/probe.json").read_text())["training"]
    assert record["images"] == {"blue": 8, "red": 10}
    assert record["seed"] == 0


def test_a_csv_gives_the_same_head_as_the_folders(here, capsys):
    rows = [f"photos/{name}/{index}.png,{name}" for name, count in (("blue", 8), ("red", 10)) for index in range(count)]
    Path("labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")

    assert run(["head", "train", "photos", *FAST, "--out", "a", "--quiet"]) == 0
    assert run(["head", "train", "labels.csv", *FAST, "--out", "b", "--quiet", "--batch-size", "1"]) == 0

    assert capsys.readouterr() == ("", "")
    embeddings = torch.randn(5, load_head("a").dim, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        load_head("a").scores(embeddings), load_head("b").scores(embeddings), atol=1e-3, rtol=1e-3
    )


def test_seed_and_k_reach_the_head(here):
    run(["head", "train", "photos", *FAST, "--kind", "knn", "--k", "4", "--seed", "7", "--out", "a", "--quiet"])

    card = json.loads(Path("a.json").read_text())
    assert card["settings"]["k"] == 4
    assert card["training"]["seed"] == 7


def test_damaged_images_are_named_counted_and_left_out(here, capsys):
    Path("photos/red/broken.png").write_bytes(Path("photos/red/0.png").read_bytes()[:90])
    Path("photos/blue/empty.jpg").write_bytes(b"")

    code = run(["head", "train", "photos", *FAST, "--out", "probe"])

    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert code == 1
    assert lines[0] == "relax: photos/blue/empty.jpg: the file is empty; left out"
    assert lines[1].startswith("relax: photos/red/broken.png: ")
    assert lines[2:] == [
        "relax: 2 of 20 images could not be read and are left out",
        "relax: note: probe-passed_over.csv lists what is passed over or left out, and why",
    ]
    assert "photos/blue/empty.jpg,cannot be used,the file is empty" in Path("probe-passed_over.csv").read_text()
    assert re.search(r"^red +10$", out, re.MULTILINE)
    assert load_head("probe").training["images"] == {"blue": 8, "red": 10}


def test_too_few_images_that_can_be_read_end_the_command(here, capsys):
    for index in range(4):
        Path(f"photos/blue/{index}.png").write_bytes(b"no picture")

    assert run(["head", "train", "photos", *FAST, "--out", "probe"]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("relax: every class needs at least 5 images; 'blue' has 4")
    assert not Path("probe.json").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "DIR nowhere: no such file or folder"),
        (["photos/red"], "photos/red must hold one folder of images per class"),
        (["few"], "every class needs at least 5 images; 'a' has 1"),
        (["one"], "classes must be at least 2 to tell apart; got a"),
        (["photos", "--kind", "tree"], "kind must be one of linear, knn, prototype; got 'tree'"),
        (["photos", "--kind", "knn"], "--k must be from 1 to 13, below the number of training images 14; got 20"),
        (["photos", "--batch-size", "0"], '--batch-size must be a whole number, 1 or more, or "auto"; got 0'),
        (["photos", "--encoder", "timn:resnet18"], "timn:resnet18"),
        (["photos", "--device", "tpu9"], "device"),
        (["photos", "--pooling", "max"], "pooling"),
        (["photos", "--out", "folder"], "--out folder would replace folder.json: choose another name"),
        (["photos", "--bogus"], "--bogus"),
    ],
)
def test_wrong_usage_is_one_line_before_any_work(here, capsys, arguments, text):
    Path("folder.json").mkdir()
    rng = np.random.default_rng(0)
    for path in ("few/a/1.png", "few/b/1.png", *(f"one/a/{index}.png" for index in range(6))):
        picture(path, COLOURS["red"], rng)

    assert run(["head", "train", *FAST, "--out", "probe", *arguments]) == 2

    out, err = capsys.readouterr()
    assert_one_line(err, text)
    assert out == ""
    assert not list(Path().glob("probe*"))


def test_help_teaches_by_examples_and_the_output_must_be_named(here, capsys):
    assert run(["head", "train", "--help"]) == 0
    assert "relax head train photos --encoder" in capsys.readouterr().out
    assert run(["head", "train", "photos"]) == 2
    assert_one_line(capsys.readouterr().err, "Missing option '--out'", "see relax head train --help")
    assert run(["head"]) == 2
    out, err = capsys.readouterr()
    assert "train" in out
    assert err == ""


def test_the_interval_is_wilsons():
    """By its definition: the ends are the p whose distance to the share is 1.96 of their own standard errors."""
    for share, count in ((0.5, 10), (1.0, 4), (0.93, 1000)):
        for end in wilson(share, count):
            assert (share - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / count)
