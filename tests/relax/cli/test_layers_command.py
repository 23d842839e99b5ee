"""`relax layers` lists what layers return, and commands take layers, tokens, dimensions and directions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from relax.cli.app import run
from tests.relax.baselines.small import drawn

SPEC = "random:timm:test_vit"


def test_layers_are_listed_with_shapes_cells_and_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers", SPEC, "blocks.?"]) == 0
    table = capsys.readouterr().out.splitlines()

    assert table[0].split() == ["name", "kind", "returns", "cells", "shape", "parameters", "compute"]
    assert table[1].split()[:6] == ["blocks.0", "Block", "tokens", "10", "x", "10"]
    assert [line.split()[0] for line in table[1:-1]] == [f"blocks.{number}" for number in range(6)]
    assert "6 of " in table[-1]
    assert "million multiply-adds a picture" in table[-1]


def test_json_has_every_field_and_shares_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers", SPEC, "--all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert [row["name"] for row in rows] == [layer.name for layer in relax.layers(SPEC)]
    assert rows[-1]["share"] == 1
    block = next(row for row in rows if row["name"] == "blocks.3")
    assert (block["layout"], block["grid"], block["prefix"]) == ("tokens", [10, 10], 1)
    blocks = [row["share"] for row in rows if row["kind"] == "Block"]
    assert len(blocks) == 6
    assert 0.8 < sum(blocks) < 1


def test_what_cannot_be_listed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers", SPEC, "stages"]) == 2
    assert f"relax: no layer of {SPEC} has 'stages' in its name: leave it out, or give --all" in capsys.readouterr().err


def test_explain_takes_a_token_of_a_layer_and_a_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = (drawn(40, 40, 3).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save("noise.png")
    np.save("units.npy", drawn(5, 64).numpy())
    common = ["noise.png", "--encoder", SPEC, "--masks", "16", "--cells", "4", "--quiet"]

    assert run(["explain", *common, "--layer", "blocks.1", "--token", "2,3", "--direction", "units.npy#row=4"]) == 0

    record = relax.load("relax-out/noise.npz").provenance
    assert (record["encoder"]["layer"], record["encoder"]["token"]) == ("blocks.1", [2, 3])
    assert record["reference"] == "direction units.npy#row=4"
    in_python = relax.explain(
        "noise.png", SPEC, layer="blocks.1", token=(2, 3), direction="units.npy#row=4", masks=16, cells=4
    )
    np.testing.assert_array_equal(relax.load("relax-out/noise.npz").importance, in_python.importance)
    compare = ["compare", *common[:1], "--encoders", f"{SPEC},random:default", *common[3:], "--token", "1,1"]
    assert run([*compare, "--out", "compared"]) == 0
    tokens = [relax.load(path).provenance["encoder"]["token"] for path in Path("compared").glob("noise-*.npz")]
    assert tokens == [[1, 1], [1, 1]]
    assert run(["explain", *common, "--dimension", "7", "--out", "seven"]) == 0
    assert relax.load("seven/noise.npz").provenance["dimension"] == 7
    assert run(["explain", *common, "--token", "2"]) == 2
    assert run(["explain", *common, "--token", "x,1"]) == 2
    assert run(["explain", *common, "--dimension", "3", "--reference", "noise.png"]) == 2
    assert run(["explain", *common, "--layer", "block.1"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith('relax: --token must be "class", or row and column of a cell')
    assert "row and column, such as 3,7; got 'x,1'" in errors[1]
    assert errors[2].startswith("relax: --dimension asks another question than reference")
    assert "has no layer 'block.1': did you mean blocks.1" in errors[3]
