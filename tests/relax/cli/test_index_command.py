"""`relax index` and `relax search` make, update and read archives, and say in one line what failed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from relax.archive.parts import kept_images
from relax.cli.app import run

FAST = ("--encoder", "random:timm:test_resnet", "--device", "cpu")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with six pictures in photos and its folder."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        picture(f"photos/{'sub/' if number > 3 else ''}{number}.png", number)
    return tmp_path


def picture(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def numbers(out):
    """The one row of the table, by its titles."""
    titles, values = out.splitlines()[:2]
    return dict(zip(titles.split(), values.split(), strict=True))


def counts(out):
    row = numbers(out)
    return tuple(int(row[title]) for title in ("images", "new", "changed", "unchanged", "removed", "failed"))


def test_a_folder_is_indexed_updated_and_searched(here, capsys):
    assert run(["index", "photos", "--out", "archive", *FAST]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert counts(out) == (6, 6, 0, 0, 0, 0)
    assert "written: Index(6 x 96, kind='flat', metric='cosine') in archive" in out

    picture("photos/new\nname.png", 9)
    Path("photos/1.png").unlink()
    picture("photos/2.png", 8)
    assert run(["index", "photos", "--out", "archive", *FAST, "--kind", "hnsw", "--metric", "l2"]) == 0
    out, _ = capsys.readouterr()
    assert counts(out) == (6, 1, 1, 4, 1, 0)
    assert "kind='hnsw', metric='l2'" in out

    assert run(["search", "archive", "photos/new\nname.png", "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split(maxsplit=1) == ["0.00000", str(here / "photos/new\\nname.png")]
    assert [float(line.split()[0]) for line in lines] == sorted(
        (float(line.split()[0]) for line in lines), reverse=True
    )
    best = relax.load_archive("archive").search("photos/new\nname.png", 2)[1]
    assert lines[1] == f"{best.similarity:9.5f}  {best.path}"

    assert run(["search", "archive", "photos/0.png", "-k", "2", "--json", "--sheet", "sheet.html"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)  # nothing else is on stdout
    assert [hit["path"] for hit in answer["hits"]] == [
        hit.path for hit in relax.load_archive("archive").search("photos/0.png", 2)
    ]
    assert (answer["images"], answer["measure"], answer["encoder"]) == (6, "l2", FAST[1])
    assert err == "relax: written: sheet.html\n"
    assert Path("sheet.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("sheet.gif", "--sheet must end in .html, .png, .svg or .pdf; got sheet.gif"),
        ("photos.png", "--sheet must be a file; photos.png is a folder"),
        ("photos/0.png", "--sheet photos/0.png would replace the query: choose another name"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_before_anything_is_read(here, capsys, sheet, message):
    Path("photos.png").mkdir()

    assert run(["search", "no-archive", "photos/0.png", "--sheet", sheet]) == 2

    assert message in capsys.readouterr().err


def test_images_that_fail_are_named_and_the_others_are_done(here, capsys):
    Path("photos/broken.png").write_text("no")

    assert run(["index", "photos", "--out", "archive", *FAST]) == 1

    out, err = capsys.readouterr()
    assert counts(out) == (6, 6, 0, 0, 0, 1)
    formats = "PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, PPM, AVIF or HEIC"
    assert err == (
        f"relax: broken.png: not a {formats} image, or too damaged to tell; left out\n"
        "relax: note: archive/passed_over.csv lists what is passed over or left out, and why\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "nowhere", "--out", "x", *FAST], "DIR nowhere: no such file or folder"),
        (
            ["index", "photos", "--out", "x", *FAST, "--kind", "tree"],
            "kind must be one of flat, hnsw, ivfpq; got 'tree'",
        ),
        (
            ["index", "photos", "--out", "x", *FAST, "--batch-size", "many"],
            "Invalid value for '--batch-size': must be a whole number",
        ),
        (["index", "photos", "--out", "photos/0.png", *FAST], "File exists"),
        (["index", "photos", *FAST], "Missing option '--out'"),
        (["search", "nowhere", "photos/0.png"], "nowhere holds no archive: run relax index DIR --out nowhere"),
        (["search", "nowhere", "photos/0.png", "-k", "0"], "greater than or equal to 1; see relax search --help"),
    ],
)
def test_wrong_usage_is_one_line_and_starts_nothing(here, capsys, arguments, message):
    assert run(arguments) == 2

    out, err = capsys.readouterr()
    assert re.search(message, err)
    assert (out, err.count("\n")) == ("", 1)
    assert not Path("x").exists()


def test_searching_with_what_is_no_image_is_said(here, capsys):
    run(["index", "photos", "--out", "archive", *FAST, "--quiet"])
    assert capsys.readouterr() == ("", "")

    assert run(["search", "archive", "archive/archive.json"]) == 2

    assert capsys.readouterr().err.startswith("relax: archive/archive.json: not a PNG")


SLOW = """
import sys, time
import encoders.encoder
from relax.archive import parts as archive_parts
from relax.cli.app import main

archive_parts.PART_IMAGES = 1
embed = encoders.encoder.Encoder.embed
encoders.encoder.Encoder.embed = lambda self, view: (time.sleep(0.3), embed(self, view))[1]
main()
"""


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(here, capsys):
    for number in range(6, 20):
        picture(f"photos/{number}.png", number)
    arguments = ["index", "photos", "--out", "archive", *FAST, "--batch-size", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    while kept_images(Path("archive")) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    kept = kept_images(Path("archive"))

    assert process.returncode == 130
    assert 2 <= kept < 20
    assert err == f"relax: stopped; {kept} images are embedded and kept in archive; run the same command to continue\n"
    assert run(arguments) == 0
    assert counts(capsys.readouterr().out) == (20, 20, 0, 0, 0, 0)
    assert len({row.path for row in relax.load_archive("archive").rows}) == 20


def test_help_needs_neither_torch_nor_faiss():
    code = (
        "import sys; from relax.cli.app import run; run(['index', '--help']); run(['search', '--help']); "
        "assert not {'torch', 'faiss', 'pyarrow'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
