"""Ctrl-C and SIGTERM leave the files of the masks so far, marked as stopped early."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from relax.cli.app import run
from relax.cli.console import MaskProgress
from relax.cli.outputs import ENDINGS
from relax.plotting.caption import recipe

ENCODER = "random:timm:test_resnet"
SETTINGS = ["--encoder", ENCODER, "--cells", "3", "--device", "cpu", "--batch-size", "8"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with the image cat.png."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("cat.png")
    return tmp_path


def record():
    return json.loads(Path("relax-out/cat.json").read_text())


def stop_after(masks, sent, monkeypatch):
    """Send a signal to this process once so many masks are done."""
    usual = MaskProgress.masks

    def counted(self, done, total):
        usual(self, done, total)
        if done >= masks:
            signal.raise_signal(sent)

    monkeypatch.setattr(MaskProgress, "masks", counted)


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_files_of_the_masks_so_far_marked_as_stopped_early(
    here, capsys, monkeypatch, sent, expected
):
    with monkeypatch.context() as patch:
        stop_after(24, sent, patch)
        code = run(["explain", "cat.png", *SETTINGS, "--masks", "900"])

    assert code == expected
    assert capsys.readouterr().err == (
        "relax: stopped; 0 of 1 images are done, in relax-out; cat.png has files from 24 of 900 masks\n"
    )
    assert sorted(path.name for path in Path("relax-out").iterdir()) == sorted(f"cat{ending}" for ending in ENDINGS)
    assert record()["stopped_early"] == {"after": 24, "of": 900}
    stopped = relax.Explanation.load("relax-out/cat.npz")
    assert "STOPPED EARLY, of 900" in recipe(stopped.provenance)
    alone = relax.explain("cat.png", ENCODER, masks=24, cells=3, batch_size=8, device="cpu")
    np.testing.assert_allclose(stopped.importance, alone.importance, rtol=1e-6)


def test_files_from_more_masks_are_not_replaced_by_a_run_that_is_stopped(here, capsys, monkeypatch):
    assert run(["explain", "cat.png", *SETTINGS, "--quiet", "--masks", "40"]) == 0

    with monkeypatch.context() as patch:
        stop_after(24, signal.SIGINT, patch)
        assert run(["explain", "cat.png", *SETTINGS, "--quiet", "--masks", "900"]) == 130

    assert record()["masks"]["count"] == 40
    assert "0 of 1 images are done" in capsys.readouterr().err


def test_an_assessment_that_is_stopped_leaves_the_map_without_it(here, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(48, signal.SIGINT, patch)
        code = run(["explain", "cat.png", *SETTINGS, "--masks", "32", "--trust"])

    assert code == 130
    assert "cat.png has files from all masks and no --trust" in capsys.readouterr().err
    assert record()["masks"]["count"] == 32
    assert not {"stopped_early", "trust"} & set(record())


def explain(*arguments):
    return run(["explain", "cat.png", *SETTINGS, "--quiet", *arguments])


def test_more_masks_for_an_earlier_result_give_what_one_run_gives(here):
    assert explain("--masks", "30") == 0
    assert explain("--more", "26") == 0

    continued = relax.Explanation.load("relax-out/cat.npz")
    alone = relax.explain("cat.png", ENCODER, masks=56, cells=3, batch_size=8, device="cpu")
    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_allclose(getattr(continued, name), getattr(alone, name), rtol=1e-5, atol=1e-7)
    assert record()["masks"]["count"] == 56
    assert record()["earlier"]["masks"] == 30


def test_what_was_stopped_goes_on(here, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(24, signal.SIGINT, patch)
        assert explain("--masks", "40") == 130

    assert explain("--more", "16") == 0

    assert record()["masks"]["count"] == 40
    assert "stopped_early" not in record()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--more", "8", "--seed", "3"],
            1,
            "cat.png: relax-out/cat.npz cannot be continued: seed is 0 there and 3 here",
        ),
        (
            ["--more", "8", "--out", "new"],
            1,
            "cat.png: new/cat.npz is not there: --more adds masks to an earlier result",
        ),
        (["--more", "8", "--method", "random"], 1, 'cat.png: relax-out/cat.npz is for method "relax" without a head'),
        (["--more", "8", "--masks", "40"], 2, "--more adds to earlier masks: leave --masks out"),
        (["--more", "0"], 2, "--more must be 1 or more; got 0"),
    ],
    ids=str,
)
def test_more_masks_are_refused_in_one_line_that_says_why(here, capsys, arguments, code, message):
    assert explain("--masks", "16") == 0
    before = Path("relax-out/cat.npz").read_bytes()

    assert explain(*arguments) == code

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert Path("relax-out/cat.npz").read_bytes() == before
