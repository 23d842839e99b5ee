"""The page of a pair: every map of both pictures in the viewer, and how much of each goes beyond itself."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from relax.cli.app import run
from relax.plotting.questions import pair_figure
from relax.questions.pairs import PairExplanation, Towards, load_pair
from relax.report.pair import bare, pair_report
from tests.relax.report.conftest import wait_for_picture
from tests.relax.report.test_report import explanation


def towards(name, above, below):
    """Maps of 10 x 10: so many rows of `beyond` lie three standard errors above, or below, 0."""
    beyond = np.zeros((10, 10), np.float32)
    beyond[:above], beyond[10 - below :] = 0.3, -0.3
    errors = np.full((10, 10), 0.1, np.float32)
    record = {"image": f"/home/somebody/{name}", "similarity": "cosine"}
    signed = explanation(10, 10, record, importance=beyond, standard_error=errors)
    return Towards(explanation(10, 10, record), explanation(10, 10, record), signed, 0.625, 0.1, 0.7, 0.93)


@pytest.fixture
def pair():
    return PairExplanation(towards("cat.png", 3, 2), replace(towards("dog.png", 1, 0), correlation=0.2))


def test_the_shares_beyond_two_standard_errors_are_told(pair):
    findings = pair_report(pair).findings

    assert findings[0] == "The cosine similarity of cat.png and dog.png is 0.62."
    assert "In cat.png, 30% of the picture brings it closer to dog.png" in findings[1]
    assert "20% less close" in findings[1]
    assert "correlate at 0.93: what matters for the other is nearly what matters for the picture itself" in findings[1]
    assert "In dog.png, 10% of the picture brings it closer to cat.png" in findings[2]
    assert "hardly what matters for the picture itself" in findings[2]


def test_what_is_not_beyond_is_pale_and_the_rest_as_it_was(pair):
    strip = pair_report(pair).sections[0].blocks[0]

    kept = strip.thumbnails[0].pixels
    np.testing.assert_array_equal(kept[:3], pair.a.beyond.image[:3])
    assert kept[3:].min() >= 255 - 255 * 0.25 - 1
    assert (kept[3:].max(-1) == kept[3:].min(-1)).all()  # grey


def test_its_figure_names_the_pictures_without_their_folders(pair):
    drawn = pair_figure(bare(pair))

    words = " ".join(text.get_text() for text in drawn.texts)
    assert "cat.png" in words
    assert "somebody" not in words


def test_two_pictures_of_one_name_are_told_apart(pair):
    assert pair_report(PairExplanation(pair.a, pair.a)).title == "Why are cat.png (1) and cat.png (2) close?"


def test_each_map_is_in_the_viewer_with_the_other_picture_beside_it(pair, visit):
    page = visit(pair_report(pair))
    names = page.locator(".sheet .name").all_inner_texts()
    assert names[:3] == ["cat.png brought to dog.png", "cat.png beyond itself, to dog.png", "cat.png to itself"]
    assert page.inner_text("#neighbours li") == "dog.png\n0.625"

    page.locator(".strip button").nth(1).click()
    wait_for_picture(page, 5)
    assert page.inner_text("#name") == "dog.png beyond itself, to cat.png"
    page.keyboard.press("Escape")
    page.wait_for_selector("#pictures > .viewer")  # back in its place: a dialog tells of its closing a moment later
    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 6)

    assert "somebody" not in page.content()
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert [fault["help"] for fault in axe.Axe().run(page).response["violations"]] == []


def test_the_commands_write_it_at_once_or_later(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)).save(name)
    fast = ["--encoder", "random:timm:test_resnet", "--device", "cpu", "--masks", "8"]

    assert run(["pair", "a.png", "b.png", *fast, "--out", "out", "--report", "now.html"]) == 0
    assert "now.html" in capsys.readouterr().out
    assert run(["report", "out/a-b-pair.json", "--out", "later.html"]) == 0

    now, later = ((tmp_path / name).read_text() for name in ("now.html", "later.html"))
    assert "Why are a.png and b.png close?" in now
    assert now == later
    loaded = load_pair("out/a-b-pair.json")
    assert loaded.record() == json.loads((tmp_path / "out/a-b-pair.json").read_text())
    (tmp_path / "out/a-b-pair.json").write_text('{"a": {"similarity": "x"}, "b": {}}')
    with pytest.raises(ValueError, match=r"a-b-pair\.json is not the record of a pair"):
        load_pair("out/a-b-pair.json")
    assert run(["pair", "a.png", "b.png", *fast, "--report", "out"]) == 2
