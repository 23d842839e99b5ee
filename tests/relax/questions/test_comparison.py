"""Methods and encoders lie side by side under the same settings; what fails is said and the others are there."""

import csv
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import relax
from encoders import network_head
from relax.cli.app import run
from relax.questions.comparison import compare_encoders, compare_methods, costs
from relax.questions.likeness import likenesses

CNN, VIT = "random:timm:test_resnet", "random:timm:test_vit"


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.chelsea()[::3, ::3]).save("cat.png")
    return "cat.png"


def test_each_map_is_what_explain_gives_for_the_method_alone(picture):
    encoder, head = network_head(CNN)

    comparison = compare_methods(
        picture, ["relax", "rise", "saliency", "centre"], encoder, head=head, masks=40, cells=5
    )

    alone = {
        "relax": relax.explain(picture, encoder, masks=40, cells=5),
        "rise": relax.explain(picture, encoder, method="rise", head=head, masks=40, cells=5),
        "saliency": relax.explain(picture, encoder, method="saliency", head=head, cells=5),
        "centre": relax.explain(picture, encoder, method="centre", cells=5),
    }
    assert list(comparison.explanations) == list(alone)
    assert not comparison.failures
    for name, explanation in alone.items():
        np.testing.assert_allclose(
            comparison.explanations[name].importance, explanation.importance, rtol=1e-5, atol=1e-8
        )


def test_a_method_that_cannot_work_says_so_and_the_others_are_drawn(picture):
    comparison = compare_methods(picture, ["attention", "relax", "rise", "random"], CNN, masks=20)

    assert list(comparison.explanations) == ["relax", "random"]
    assert "attention" in comparison.failures["attention"]
    assert "rise needs a head" in comparison.failures["rise"]
    texts = [text.get_text() for text in relax.figure(comparison).findobj(lambda a: hasattr(a, "get_text"))]
    assert any("not drawn: rise: rise needs a head" in text.replace("\n", " ") for text in texts)


def test_encoders_share_masks_and_on_request_one_colour_scale(picture):
    comparison = compare_encoders(picture, ["random:default", VIT], masks=30, shared_scale=True)

    low = min(np.nanmin(explanation.importance) for explanation in comparison.explanations.values())
    high = max(np.nanmax(explanation.importance) for explanation in comparison.explanations.values())
    assert comparison.limits == (pytest.approx(low), pytest.approx(high))
    assert compare_encoders(picture, ["random:default"], masks=30).limits is None
    recipes = [explanation.provenance["masks"] for explanation in comparison.explanations.values()]
    for key in ("kind", "cells", "keep", "seed", "count"):
        assert recipes[0][key] == recipes[1][key]
    # The random part of a mask does not depend on the size that an encoder sees.
    from masking import RandomGrid

    small, large = RandomGrid((64, 64)).draw(0, 5), RandomGrid((160, 160)).draw(0, 5)
    assert all(torch.equal(a, b) for a, b in zip(small, large, strict=True))


def test_every_panel_states_its_passes_time_and_unit(picture):
    comparison = compare_methods(picture, ["relax", "lafam"], CNN, masks=25)

    texts = [text.get_text() for text in relax.figure(comparison).findobj(lambda a: hasattr(a, "get_text"))]

    assert "a relax" in texts
    assert any(re.match(r"26 passes, \d+\.\d s", text) for text in texts)
    assert "mean cosine similarity" in texts
    assert "mean activation" in texts


def test_costs_are_one_row_per_explanation(picture):
    rows = costs(compare_methods(picture, ["random", "relax"], CNN, masks=25))

    assert [row["name"] for row in rows] == ["random", "relax"]
    assert [row["passes"] for row in rows] == [0, 26]
    assert all(row["lowest"] < row["highest"] for row in rows)


def test_the_command_writes_a_figure_the_costs_and_the_maps(picture, tmp_path, capsys):
    code = run(["compare", picture, "--encoder", CNN, "--methods", "relax,lafam,attention", "--masks", "20"])

    out, err = capsys.readouterr()
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("relax: attention")
    assert re.search(r"relax +21 ", out)
    folder = tmp_path / "relax-out"
    assert sorted(p.name for p in folder.iterdir()) == [
        "cat-compare.json", "cat-compare.png", "cat-lafam.npz", "cat-relax.npz",
    ]  # fmt: skip
    written = json.loads((folder / "cat-compare.json").read_text())
    assert [row["name"] for row in written["costs"]] == ["relax", "lafam"]
    (pair,) = written["likeness"]
    maps = [relax.Explanation.load(folder / f"cat-{name}.npz").importance for name in ("relax", "lafam")]
    (expected,) = likenesses(dict(zip(("relax", "lafam"), maps, strict=True)))
    assert pair == asdict(expected)
    assert re.search(rf"relax +lafam +{pair['rank_correlation']:.2f} +{pair['ssim']:.2f}", out)
    assert list(written["failures"]) == ["attention"]
    assert relax.Explanation.load(folder / "cat-relax.npz").importance.shape == (100, 151)


def test_a_folder_is_compared_picture_by_picture_with_means(picture, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for name, crop in (("a", np.s_[:60, :80]), ("b", np.s_[40:, 60:]), ("c", np.s_[20:80, 20:90])):
        Image.fromarray(skimage.data.chelsea()[::3, ::3][crop]).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "d.png").write_text("no picture")

    code = run(["compare", "photos", "--encoders", f"{CNN},{VIT}", "--masks", "20", "--format", "svg"])

    out, err = capsys.readouterr()
    assert code == 1
    failure, note = err.splitlines()
    assert "d.png" in failure
    folder = tmp_path / "relax-out"
    assert "passed_over.csv" in note
    assert "d.png" in (folder / "passed_over.csv").read_text()
    assert {path.name for path in folder.glob("*.svg")} == {f"{name}-compare.svg" for name in "abc"}
    rows = list(csv.DictReader((folder / "likeness.csv").open()))
    assert [(row["image"], row["first"], row["second"]) for row in rows] == [
        (f"photos/{name}.png", CNN, VIT) for name in "abc"
    ]
    record = json.loads((folder / "likeness.json").read_text())
    rank, ssim = record["means"]
    assert (record["images"], rank["images"], rank["measure"], ssim["measure"]) == (3, 3, "rank_correlation", "ssim")
    assert rank["mean"] == pytest.approx(np.mean([float(row["rank_correlation"]) for row in rows]))
    assert rank["low"] <= rank["mean"] <= rank["high"]
    assert f"{rank['mean']:.2f}" in out


def test_an_encoder_that_cannot_be_loaded_is_named_and_the_others_are_drawn(picture, tmp_path, capsys):
    assert run(["compare", picture, "--encoders", f"{CNN},timm:nosuch", "--masks", "20"]) == 1

    assert "timm:nosuch" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "relax-out" / "cat-compare.json").read_text())["failures"]) == ["timm:nosuch"]


def test_the_command_explains_a_class_of_the_networks_own_head(picture, capsys):
    code = run(
        ["compare", picture, "--encoder", CNN, "--head", "network", "--methods", "rise,gradcam", "--masks", "20"]
    )

    assert code == 0
    assert "mean probability" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cat.png", "--methods", "relax,nonsense"], "--methods must be one of relax, rise"),
        (["cat.png", "--methods", ","], "methods must be one or more names; got none"),
        (["cat.png", "--methods", "relax", "--cells", "0"], "cells must be a whole number"),
        (["cat.png", "--panels", "overlai"], "--panels must be one of image, overlay, "),
        (["cat.png", "--format", "pgn"], "--format must be one of png, svg, pdf; got 'pgn': did you mean 'png'?"),
        (["cat.png", "--theme", "drak"], "--theme must be one of light, dark; got 'drak': did you mean 'dark'?"),
        (["cat.png", "--encoder", "timm:nosuch"], "encoder 'timm:nosuch' is not known"),
        (["cat.png", "--methods", "rise", "--encoder", CNN], "rise needs a head"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(picture, arguments, message, capsys):
    assert run(["compare", *arguments]) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_image_is_exit_1(picture, capsys):
    assert run(["compare", "dog.png", "--encoder", CNN, "--methods", "random"]) == 1
    assert "dog.png: no such file" in capsys.readouterr().err


def test_the_methods_are_listed_with_needs_and_cost(capsys):
    assert run(["methods"]) == 0

    out = capsys.readouterr().out
    assert re.search(r"integrated-gradients +gradient +needs gradients +passes: a gradient per step \+ 2", out)
    columns = {line.index(" passes: ") for line in out.splitlines() if " passes: " in line}
    assert len(columns) == 1
