"""The command line does what its options say, names what failed in one line, and leaves no half-written file."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from encoders import network_head
from relax.cli.app import run
from relax.cli.console import MaskProgress
from relax.cli.outputs import ENDINGS, targets
from relax.files import written_aside
from relax.plotting.figure import figure_file

ENCODER = "random:timm:test_resnet"  # a real network with its preprocessing, small and without download
FAST = ("--encoder", ENCODER, "--masks", "8", "--cells", "3", "--device", "cpu")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with the image cat.png."""
    monkeypatch.chdir(tmp_path)
    picture("cat.png")
    return tmp_path


def picture(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def files_of(*stems):
    """Everything that is written for images of these stems."""
    return sorted(stem + ending for stem in stems for ending in ENDINGS)


def written(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def assert_one_line(text, *parts):
    """The text is one line of the command and holds the parts."""
    assert text.startswith("relax: ")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text


def test_explain_writes_the_figure_the_maps_and_how_they_were_made(here, capsys):
    assert run(["explain", "cat.png", *FAST, "--seed", "5", "--similarity", "l2"]) == 0

    assert written("relax-out") == files_of("cat")
    explanation = relax.Explanation.load("relax-out/cat.npz")
    same = relax.explain("cat.png", ENCODER, masks=8, cells=3, seed=5, similarity="l2", device="cpu")
    np.testing.assert_array_equal(explanation.importance, same.importance)
    np.testing.assert_array_equal(explanation.uncertainty, same.uncertainty)
    record = json.loads(Path("relax-out/cat.json").read_text())
    assert record["seed"] == 5
    assert record["similarity"] == "l2"
    assert record["masks"]["count"] == 8
    assert Image.open("relax-out/cat.png").width > 1000
    out, err = capsys.readouterr()
    files = ", ".join(f"cat{ending}" for ending in ENDINGS)
    assert re.search(rf"cat\.png +relax-out/{files} +8 ", out)
    assert err == ""


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--fill", "0.5", "--keep", "0.3"], {"fill": 0.5, "keep": 0.3}),
        (["--fill", "0.1,0.2,0.9"], {"fill": [0.1, 0.2, 0.9]}),
        (["--fill", "other.png"], {"fill": "other.png"}),
        (["--reference", "other.png"], {"reference": ["other.png"]}),
        (["--reference", "other.png", "--reference", "third.png"], {"reference": ["other.png", "third.png"]}),
        (["--preset", "paper", "--batch-size", "3"], {"preset": "paper"}),
        (["--regions", "superpixels"], {"regions": "superpixels"}),
        (["--within", "15,5,45,35"], {"within": (15, 5, 45, 35)}),
        (["--within", "masks"], {"within": "masks"}),
    ],
)
def test_every_option_reaches_the_library(here, options, settings):
    picture("other.png", seed=1)
    picture("third.png", seed=2)
    Path("masks").mkdir()
    Image.fromarray(np.pad(np.tri(30, 30, dtype=np.uint8), ((5, 5), (15, 15)))).save("masks/cat.png")

    assert run(["explain", "cat.png", *FAST, *options, "--quiet"]) == 0

    expected = relax.explain("cat.png", ENCODER, masks=8, cells=3, device="cpu", **settings)
    plain = relax.explain("cat.png", ENCODER, masks=8, cells=3, device="cpu")
    got = relax.Explanation.load("relax-out/cat.npz")
    np.testing.assert_allclose(got.importance, expected.importance, rtol=1e-5)
    assert not np.allclose(got.importance, plain.importance, rtol=1e-5)


def test_the_figure_has_the_format_and_panels_asked_for_and_the_overlay_lies_beside_it(here):
    assert run(["explain", "cat.png", *FAST, "--overlay", "--format", "svg", "--panels", "image,u_relax"]) == 0

    folder = here / "relax-out"
    assert {path.name for path in folder.iterdir()} == {"cat.svg", "cat.npz", "cat.json", "cat-overlay.png"}
    saved = relax.Explanation.load(folder / "cat.npz")
    assert (folder / "cat.svg").read_bytes() == figure_file(saved, "svg", panels=["image", "u_relax"])
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "cat-overlay.png")), relax.overlay(saved))


@pytest.mark.parametrize(("options", "target"), [([], None), (["--target", "7"], "7")])
def test_a_method_explains_a_class_of_the_networks_own_head(here, options, target):
    command = ["explain", "cat.png", "--encoder", ENCODER, "--device", "cpu", "--quiet"]

    assert run([*command, "--method", "gradcam", "--head", "network", *options]) == 0

    encoder, head = network_head(ENCODER, device="cpu")
    expected = relax.explain("cat.png", encoder, method="gradcam", head=head, target=target)
    without = relax.explain("cat.png", ENCODER, method="gradcam", device="cpu")
    got = relax.Explanation.load("relax-out/cat.npz")
    predicted = head.classes[int(head.scores(encoder(relax.read_image("cat.png"))).argmax())]
    np.testing.assert_allclose(got.importance, expected.importance, rtol=1e-4, atol=1e-8)
    assert not np.allclose(got.importance, without.importance, rtol=1e-3)
    assert got.provenance["target"] == (target or predicted)
    assert (got.provenance["method"], got.provenance["head"]["kind"]) == ("gradcam", "network")


def test_what_fails_is_named_and_the_others_are_done(here, capsys):
    Path("text.png").write_text("no picture")
    Path("folder").mkdir()
    picture("dog [b]x[-b].v2.png")

    code = run(["explain", "missing.png", "cat.png", "text.png", "folder", "dog [b]x[-b].v2.png", *FAST])

    out, err = capsys.readouterr()
    assert code == 1
    lines = err.splitlines()
    assert lines[0] == "relax: missing.png: no such file"
    assert lines[1].startswith("relax: text.png: not a PNG")
    assert lines[2] == "relax: folder: is a folder; name the images in it, such as FOLDER/*.png"
    assert lines[3] == "relax: 3 of 5 images failed; see above"
    assert lines[4:] == ["relax: note: relax-out/passed_over.csv lists what is passed over or left out, and why"]
    assert written("relax-out") == sorted([*files_of("cat", "dog [b]x[-b].v2"), "passed_over.csv"])
    assert "dog [b]x[-b].v2.png" in out


def test_quiet_says_nothing_but_errors(here, capsys):
    assert run(["explain", "cat.png", *FAST, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_tolerance_that_is_not_reached_is_said(here, capsys):
    assert run(["explain", "cat.png", *FAST, "--tolerance", "1e-9"]) == 0

    assert_one_line(capsys.readouterr().err, "relax: note: cat.png:", "tolerance 1e-09")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--masks", "1"], "masks must be a whole number, 2 or more; got 1"),
        (["--masks", "3e3"], "Invalid value for '--masks': must be a whole number; got '3e3'"),
        (["--tolerance", "small"], "Invalid value for '--tolerance': must be a number; got 'small'"),
        (["--keep", "1"], "keep"),
        (["--keep", "nan"], "keep"),
        (["--cells", "0"], "cells"),
        (["--seed", "-1"], "seed"),
        (["--tolerance", "0"], "tolerance"),
        (["--batch-size", "0"], "--batch-size must be a whole number, 1 or more"),
        (["--batch-size", "x"], "Invalid value for '--batch-size': must be a whole number or \"auto\"; got 'x'"),
        (
            ["--similarity", "cosin"],
            "--similarity must be one of cosine",
        ),
        (["--regions", "hexagons"], "regions must be one of"),
        (["--preset", "papers"], "preset must be one of"),
        (["--pooling", "max"], "pooling"),
        (["--device", "tpu9"], "device"),
        (["--fill", "2"], "--fill must lie in [0, 1], as the image's pixels do; got 2"),
        (
            ["--fill", "gray"],
            "--fill must be mean, ",
        ),
        (["--reference", "nowhere.png"], "nowhere.png: no such file"),
        (["--encoder", "timn:resnet18"], "timn:resnet18"),
        (["--out", "cat.png"], "--out cat.png cannot be a folder"),
        (["--bogus"], "--bogus"),
        (["--masks", "1", "--encoder", "timn:resnet18"], "masks must be"),  # options first: loading takes long
    ],
)
def test_wrong_usage_is_one_line_before_any_work(here, capsys, options, text):
    assert run(["explain", "cat.png", *FAST, *options]) == 2

    out, err = capsys.readouterr()
    assert_one_line(err, text)
    assert out == ""
    assert not Path("relax-out").exists() or written("relax-out") == []


def test_a_missing_image_argument_and_an_unknown_command_are_wrong_usage(here, capsys):
    assert run(["explain"]) == 2
    assert_one_line(capsys.readouterr().err, "Missing argument 'IMAGE'", "see relax explain --help")
    assert run(["explian", "cat.png"]) == 2
    assert_one_line(capsys.readouterr().err, "explian")


def test_debug_shows_where_an_error_came_from(here, capsys):
    assert run(["explain", "missing.png", *FAST, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_help_teaches_by_examples(capsys):
    assert run(["--help"]) == 0
    assert "explain" in capsys.readouterr().out
    assert run(["explain", "--help"]) == 0
    text = capsys.readouterr().out
    assert "relax explain cat.png --tolerance 0.002" in text
    for option in ("--encoder", "--masks", "--similarity", "--reference", "--cells", "--keep", "--fill", "--seed"):
        assert option in text
    assert run([]) == 2
    assert "Usage: relax" in capsys.readouterr().out


def test_flags_stand_in_the_help_without_a_type_as_they_take_no_value(capsys):
    for arguments in (["--help"], ["explain", "--help"], ["head", "train", "--help"]):
        assert run(arguments) == 0
        text = capsys.readouterr().out
        assert re.search(r"--help +-h +Show this message", text)
        assert "bool" not in text


def test_encoders_are_listed_by_kind_and_by_name(capsys):
    assert run(["encoders"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^default ", listed, re.MULTILINE)
    assert re.search(r"^num_heads +attention heads.*\(timm, torchvision, hub, file\)$", listed, re.MULTILINE)
    assert run(["encoders", "resnet18"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("torchvision:resnet18 ") for line in lines)
    assert all("resnet18" in line for line in lines)
    assert run(["encoders", "no-such-network"]) == 2
    assert_one_line(capsys.readouterr().err, "'no-such-network'")


def test_images_of_one_name_get_names_of_their_own(here):
    picture("a/cat.png", seed=1)
    picture("b/cat.jpg", seed=2)

    assert run(["explain", "a/cat.png", "b/cat.jpg", "a/cat.png", *FAST, "--quiet"]) == 0

    assert written("relax-out") == files_of("cat-2", "cat-3", "cat")
    sources = [json.loads(Path(f"relax-out/{name}.json").read_text())["image"] for name in ("cat", "cat-2", "cat-3")]
    assert sources == ["a/cat.png", "b/cat.jpg", "a/cat.png"]


def test_a_name_goes_first_to_the_image_that_has_it():
    chosen = targets(["a/cat.png", "b/Cat.png", "cat-2.png", "cat.v2.png"], Path("out"))

    assert [target.name for target in chosen] == ["cat", "Cat-3", "cat-2", "cat.v2"]


def test_no_input_is_ever_replaced(here, capsys):
    picture("fill.png", seed=1)
    before = {name: Path(name).read_bytes() for name in ("cat.png", "fill.png")}
    picture("b/fill.jpg", seed=2)

    assert run(["explain", "cat.png", "b/fill.jpg", *FAST, "--fill", "fill.png", "--out", "."]) == 0

    assert {name: Path(name).read_bytes() for name in before} == before
    assert "cat-2.png, cat-2.npz, cat-2.json" in capsys.readouterr().out
    assert Path("fill-2.npz").exists()


def test_running_again_replaces_what_was_made(here):
    for seed in ("1", "2"):
        assert run(["explain", "cat.png", *FAST, "--seed", seed, "--quiet"]) == 0

    assert written("relax-out") == files_of("cat")
    assert json.loads(Path("relax-out/cat.json").read_text())["seed"] == 2


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_one_line_and_leaves_only_whole_files(here, capsys, sent, expected):
    """A real interrupt, sent once the first image is done and while the others are being explained."""

    def interrupt():
        limit = time.monotonic() + 60
        while not Path("relax-out/cat.png").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), sent)

    others = [picture(f"{index}.png", seed=index) for index in range(30)]
    thread = threading.Thread(target=interrupt)
    thread.start()

    code = run(["explain", "cat.png", *others, *FAST, "--quiet"])

    thread.join()
    assert code == expected
    assert_one_line(capsys.readouterr().err, " of 31 images are done, in relax-out", "relax: stopped; ")
    names = written("relax-out")
    assert {"cat.json", "cat.npz", "cat.png"} <= set(names)
    assert len(names) < 93
    assert not [name for name in names if name.endswith(".part")]


def test_ctrl_c_before_anything_is_done_says_so(here, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("relax.cli.prepare.load_encoder", interrupted)

    assert run(["explain", "cat.png"]) == 130
    assert_one_line(capsys.readouterr().err, "stopped", "relax: stopped")


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "map.json"
    path.write_text("old")

    def write():
        with written_aside(path) as aside:
            aside.write_text("half of the n")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        write()

    assert path.read_text() == "old"
    assert written(tmp_path) == ["map.json"]


def test_progress_counts_masks_over_all_images():
    progress = MaskProgress(3, visible=False)
    task = progress.bar.tasks[0]

    progress.start("folder/cat.png")
    progress.masks(50, 100)
    assert (task.description, task.completed, task.total) == ("1/3 cat.png", 50, 300)
    progress.finish()  # stopped early: the 50 masks that were not needed are gone from the total
    progress.start("dog.png")
    progress.masks(100, 100)
    assert (task.description, task.completed, task.total) == ("2/3 dog.png", 150, 250)
    progress.finish()
    progress.finish()  # failed before its first mask
    assert progress.done == 3


def test_python_m_relax_is_the_command():
    done = subprocess.run([sys.executable, "-m", "relax", "--version"], capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert done.stdout == f"relax {relax.__version__}\n"
    assert done.stderr == ""
