"""`relax concepts` from the command line: what it writes, prints and refuses."""

import numpy as np
import pytest
from PIL import Image

from relax.cli.app import run
from tests.relax.concepts.planted import planted_pictures

ENCODER = ["--encoder", "random:default"]


@pytest.fixture
def folder(tmp_path):
    for number, (pixels, masks) in enumerate(planted_pictures(6)):
        for name, values in (("images", pixels), *((f"masks/{name}", mask) for name, mask in masks.items())):
            (tmp_path / "concepts" / name).mkdir(parents=True, exist_ok=True)
            content = (np.asarray(values, float) * 255).astype(np.uint8)
            Image.fromarray(content).save(tmp_path / "concepts" / name / f"{number}.png")
    return tmp_path / "concepts"


def test_a_folder_is_dissected(folder, tmp_path, capsys):
    out = tmp_path / "out"
    (folder / "images" / "9.png").write_bytes(b"no picture")
    Image.new("L", (8, 8)).save(folder / "masks" / "stripes" / "9.png")

    code = run(["concepts", "dissect", str(folder), *ENCODER, "--shuffles", "9", "--show", "1", "--out", str(out)])

    printed = capsys.readouterr()
    assert code == 1
    assert "9.png" in printed.err
    assert "overlap with a concept above the published limit" in printed.out
    assert {path.name for path in out.iterdir()} >= {"dissection.html", "units.csv", "pairs.csv", "dissection.json"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "stages.99"], "--layer must be one that returns a map or tokens; 'stages.99' is not there"),
        (["--quantile", "2"], "--quantile is the share of cells above a threshold, in (0, 1); got 2"),
    ],
)
def test_wrong_usage_is_told_in_one_line(folder, tmp_path, capsys, options, message):
    assert run(["concepts", "dissect", str(folder), *ENCODER, *options, "--out", str(tmp_path / "out")]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_concepts_are_tested_without_labels_and_a_number_asked_for(folder, tmp_path, capsys):
    images, out = folder / "images", tmp_path / "out"
    for name, count in (("few", 2), ("enough", 5), ("others", 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            noise = np.random.default_rng(number).integers(0, 255, (48, 48, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{name}{number}.png")
    common = [*ENCODER, "--random", str(tmp_path / "others"), "--shuffles", "19", "--fit", "means", "--out", str(out)]

    assert run(["concepts", "tcav", str(images), "--concept", str(tmp_path / "few"), *common]) == 2
    assert "concept 'few' must have 5 pictures or more, better 30; got 2" in capsys.readouterr().err
    assert (
        run(["concepts", "tcav", str(images), "--concept", str(tmp_path / "enough"), *common, "--dimension", "0"]) == 0
    )

    printed = capsys.readouterr().out
    assert "concepts move the number 0 of the embedding of 6 pictures" in printed
    assert {path.name for path in out.iterdir()} == {
        *("tcav.csv", "tcav.json", "tcav.png", "tcav.html", "cavs.safetensors")
    }


def test_groups_are_found_in_a_folder(folder, tmp_path, capsys):
    out = tmp_path / "out"

    assert run(["concepts", "find", str(folder / "images"), *ENCODER, "--how", "kmean", "--out", str(out)]) == 2
    assert "--how must be one of clusters, nmf; got 'kmean'" in capsys.readouterr().err
    options = ["--count", "3", "--judged", "1", "--out", str(out)]
    assert run(["concepts", "find", str(folder / "images"), *ENCODER, *options]) == 0

    assert "3 groups of cells of layer" in capsys.readouterr().out
    assert {path.suffix for path in out.iterdir()} == {".csv", ".json", ".png", ".html", ".safetensors"}


def test_the_group_alone_shows_its_help(capsys):
    assert run(["concepts"]) == 2
    assert "dissect" in capsys.readouterr().out
