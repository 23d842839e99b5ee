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
    assert "STOPPED EARLY, of 900 masks" in recipe(stopped.provenance)
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
