"""An option means the same in every command that has it, and a misspelt word is one line that names the option."""

import csv
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from masking import FILLS
from relax.cli import evaluate as evaluate_command
from relax.cli.app import app, run
from relax.cli.head import head_app
from relax.questions.evaluation import DEFAULT_METHODS

MISSPELT = {
    "similarity": "cosin",
    "regions": "grids",
    "design": "sobel",
    "fill": "blurr",
    "estimator": "plane",
    "preset": "papers",
    "method": "gradcamm",
    "methods": "relax,gradcamm",
    "metrics": "deletion,insertio",
    "kind": "flet",
    "metric": "cosin",
    "layouts": "pca,tnse",
    "axis": "axail",
    "map": "importence",
}
ARGUMENTS = {
    "explain": ["explain", "cat.png"],
    "compare": ["compare", "cat.png"],
    "pair": ["pair", "cat.png", "dog.png"],
    "enough": ["enough", "cat.png"],
    "repair": ["repair", ".", "--marks", "."],
    "evaluate": ["evaluate", "cat.png"],
    "volume": ["volume", "brain.nii"],
    "export": ["export", "cat.npz", "--source", "cat.dcm", "--out", "map.dcm"],
    "audit": ["audit", "."],
    "index": ["index", ".", "--out", "archive"],
    "train": ["head", "train", ".", "--out", "head"],
}
PARAMETERS = {
    command.callback.__name__: set(inspect.signature(command.callback).parameters)
    for command in (*app.registered_commands, *head_app.registered_commands)
}
FAST = ("--masks", "8", "--cells", "3", "--device", "cpu", "--quiet")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with the images cat.png and dog.png."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("cat.png", "dog.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(name)
    return tmp_path


def test_every_command_with_such_an_option_is_tried():
    """A command of which nothing is misspelt here takes no words."""
    without = {name for name, parameters in PARAMETERS.items() if not parameters & set(MISSPELT)}

    assert set(PARAMETERS) - without == set(ARGUMENTS)
    assert set(MISSPELT) == set.union(*PARAMETERS.values()) & set(MISSPELT)


@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command in ARGUMENTS for option in MISSPELT if option in PARAMETERS[command]],
)
def test_a_misspelt_word_is_wrong_usage_that_names_the_option(here, capsys, command, option):
    before = sorted(Path().iterdir())

    assert run([*ARGUMENTS[command], f"--{option}", MISSPELT[option]]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"relax: --{option} must be ")
    assert f"got {MISSPELT[option].split(',')[-1]!r}" in err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("command", [["compare", "cat.png", "--encoders", "default"], ["compare", "cat.png"]])
def test_a_fill_that_is_neither_a_word_nor_an_image_is_wrong_usage(here, capsys, command):
    """Unlike blurr, gold is like no word of the table, so that it could be a file."""
    assert run([*command, "--fill", "gold"]) == 2

    err = capsys.readouterr().err
    assert err.startswith(f"relax: --fill must be {', '.join(FILLS)}, a number, three numbers r,g,b or the path of")
    assert err.endswith("got gold: no such file\n")


def test_evaluate_has_the_methods_of_its_function_by_default():
    assert evaluate_command.DEFAULT_METHODS.split(",") == [*DEFAULT_METHODS]


def test_compare_hides_with_the_fill(here):
    assert run(["compare", "cat.png", "--methods", "relax", "--fill", "0.5", *FAST]) == 0

    same_as_with_the_fill("relax-out/cat-relax.npz", "cat.png")


def test_compare_lists_encoders_whose_items_have_commas(here):
    """Three numbers for mean and std are of one spec; a comma before a word begins the next."""
    usual, bright = "random:timm:test_vit", "random:timm:test_vit?mean=0.9,0.8,0.7&std=0.2,0.2,0.2"

    assert run(["compare", "cat.png", "--encoders", f"{usual}, {bright}", *FAST]) == 0

    costs = json.loads(Path("relax-out/cat-compare.json").read_text())["costs"]
    assert [row["name"] for row in costs] == [usual, bright]
    assert costs[0]["lowest"] != costs[1]["lowest"]


def test_pair_hides_with_the_fill(here):
    assert run(["pair", "cat.png", "dog.png", "--fill", "0.5", *FAST]) == 0

    same_as_with_the_fill("relax-out/cat-dog-pair-a-to-itself.npz", "cat.png")
    same_as_with_the_fill("relax-out/cat-dog-pair-b-to-itself.npz", "dog.png")


def test_volume_hides_with_the_fill(here):
    nib = pytest.importorskip("nibabel", reason="the extra [medical] is not installed")
    voxels = np.random.default_rng(0).normal(size=(24, 20, 5)).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), "brain.nii")

    assert run(["volume", "brain.nii", "--slices", "2", "--fill", "0.5", *FAST]) == 0

    keywords = {"indices": [2], "masks": 8, "cells": 3, "device": "cpu"}
    expected, plain = (relax.explain_volume("brain.nii", **keywords, **fill).importance for fill in ({"fill": 0.5}, {}))
    written = nib.load("relax-out/brain-importance.nii.gz").get_fdata()
    np.testing.assert_allclose(written, expected, rtol=1e-5)
    assert not np.allclose(written, plain, rtol=1e-5, equal_nan=True)


def test_evaluate_hides_with_the_fill_in_maps_and_metrics(here):
    methods = ["relax", "centre"]  # the map of centre has no fill, so its value shows that of the metric
    command = ["evaluate", "cat.png", "--methods", ",".join(methods), "--metrics", "deletion", "--fill", "0.5", *FAST]

    assert run(command) == 0

    keywords = {"methods": methods, "metrics": ["deletion"], "masks": 8, "cells": 3, "device": "cpu"}
    expected, plain = (relax.evaluate(["cat.png"], **keywords, **fill) for fill in ({"fill": 0.5}, {}))
    with Path("relax-out/evaluation.csv").open(newline="") as stream:
        written = {row["method"]: float(row["value"]) for row in csv.DictReader(stream) if row["metric"] == "deletion"}
    assert written == pytest.approx({row.method: row.values["deletion"] for row in expected.outcomes})
    for row in plain.outcomes:
        assert written[row.method] != pytest.approx(row.values["deletion"])


def same_as_with_the_fill(path, image):
    """The map in the file is that of fill=0.5, not that of the default."""
    keywords = {"masks": 8, "cells": 3, "device": "cpu"}
    importance = relax.Explanation.load(path).importance

    np.testing.assert_allclose(importance, relax.explain(image, **keywords, fill=0.5).importance, rtol=1e-5)
    assert not np.allclose(importance, relax.explain(image, **keywords).importance, rtol=1e-5)
