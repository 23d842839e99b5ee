"""`relax diff` writes a page, a record, a table and a file to load, from a folder or from two archives."""

import csv
import json

import pytest

import relax
from relax.archive.archive import make_archive
from relax.cli.app import run
from tests.relax.differences import planted

SPECS = ("random:timm:test_resnet", "random:timm:test_vit")
QUICK = ["--explain", "0", "--redraws", "19", "--groups", "2", "--layout", "pca", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty pictures, and an archive by each of two encoders."""
    root = tmp_path_factory.mktemp("command")
    pixels, _, _ = planted.pictures(30)
    planted.write(root / "photos", pixels)
    for name, spec in zip("ab", SPECS, strict=True):
        make_archive(root / "photos", spec, root / name, progress=False)
    return root


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_a_folder_is_embedded_by_both_and_four_files_are_written(here, capsys):
    arguments = ["diff", "photos", "--encoders", ",".join(SPECS), "--out", "folder", *QUICK]

    assert run([each for each in arguments if each != "--quiet"]) == 0

    out = capsys.readouterr().out
    assert "The encoders share" in out
    assert "written: folder/diff.html, diff.json, diff.csv, diff.npz" in out
    record = json.loads((here / "folder/diff.json").read_text())
    assert record["encoders"] == dict(zip("AB", SPECS, strict=True))
    assert record["settings"]["pictures"] == 30
    with (here / "folder/diff.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 30
    assert relax.Differences.load("folder/diff.npz").record()["groups"] == record["groups"]


def test_two_archives_give_the_same_as_their_folder(here):
    assert run(["diff", "photos", "--encoders", ",".join(SPECS), "--out", "of-folder", *QUICK]) == 0
    assert run(["diff", "a", "b", "--out", "of-archives", *QUICK]) == 0

    assert (here / "of-folder/diff.csv").read_text() == (here / "of-archives/diff.csv").read_text()
    assert not (here / "of-archives/archive-a").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos"], "--encoders must be two, A and B, to compare over a folder; got None"),
        (["photos", "--encoders", "default"], "--encoders must be two, A and B, to compare over a folder"),
        (["a", "b", "--encoders", "default,sscd"], "--encoders must be left out with archives, which have theirs"),
        (["a", "photos"], "photos holds no archive: run relax index DIR --out photos"),
        (["nowhere"], "DIR nowhere: no such file or folder"),
        (["a", "b", "--redraws", "3"], "--redraws must be a whole number, 19 or more; got 3"),
        (["a", "b", "--layout", "tsnee"], "--layout must be one of pca, tsne, umap; got 'tsnee': did you mean 'tsne'?"),
    ],
)
def test_wrong_usage_is_named(here, capsys, arguments, message):
    assert run(["diff", *arguments]) == 2

    assert message in capsys.readouterr().err
