"""`relax influence` answers in sentences, tables, JSON and pictures, and says in one line what is wrong."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relax.archive.archive import make_archive
from relax.cli.app import run

SPEC = "random:timm:test_resnet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six dark and six light pictures, their archive, and a query."""
    root = tmp_path_factory.mktemp("command")
    for kind, middle in (("dark", 50), ("light", 200)):
        (root / "photos" / kind).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(number).integers(middle - 40, middle + 40, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / kind / f"{number}.png")
    Image.new("RGB", (30, 30), (190,) * 3).save(root / "query.png")
    make_archive(root / "photos", SPEC, root / "archive", progress=False)
    return root


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_neighbours_are_told_as_sentences_a_table_and_json(here, capsys):
    assert run(["influence", "neighbours", "archive", "query.png", "-k", "4"]) == 0
    out = capsys.readouterr().out
    assert "Their votes: light 100.0%." in out
    assert "The 4 nearest of 12 pictures vote" in out
    assert out.count("light/") == 4

    assert run(["influence", "neighbours", "archive", "query.png", "-k", "4", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["decision"] == {"light": pytest.approx(1)}
    assert record["query"] == "query.png"


def test_a_mixture_is_written_as_a_figure(here, capsys):
    assert run(["influence", "mixture", "archive", "query.png", "--most", "3", "--sheet", "mixture.png"]) == 0

    out, err = capsys.readouterr()
    assert "explain" in out
    assert "parts of the mixture" in out
    assert err == "relax: written: mixture.png\n"
    assert Path("mixture.png").stat().st_size > 10_000


def test_influence_on_a_head_is_written_as_a_page_and_a_table(here, capsys):
    assert run(["influence", "head", "archive", "query.png", "--sheet", "head.html", "--table", "all.csv"]) == 0

    out = capsys.readouterr().out
    assert "The head says light" in out
    assert "most helpful" in out
    rows = [*csv.DictReader(Path("all.csv").read_text().splitlines())]
    assert len(rows) == 12
    assert rows[0]["label"] == "light"
    assert "most helpful" in Path("head.html").read_text()


def test_doubtful_labels_are_ranked(here, capsys):
    table = Path("flipped.csv")
    rows = [(f"{kind}/{number}.png", kind) for kind in ("dark", "light") for number in range(6)]
    table.write_text("path,label\n" + "\n".join(f"{p},{'light' if p == 'dark/2.png' else k}" for p, k in rows))

    assert run(["influence", "labels", "archive", "--labels", str(table)]) == 0

    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("most doubtful")) + 1
    assert lines[first].split()[:2] == ["dark/2.png", "light"]
    assert "others say dark" in lines[first]
    told = [line.split() for line in lines[first:] if "/" in line]
    assert len(told) == 12
    assert [words for words in told if words[-1] == words[1]] == []  # what others say is told where it is another
    assert any("say" not in words for words in told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["neighbours", "nowhere", "query.png"], "nowhere holds no archive"),
        (["neighbours", "archive", "gone.png"], "gone.png"),
        (["neighbours", "archive", "query.png", "-k", "0"], "k must be a whole number, 1 or more; got 0"),
        (["neighbours", "archive", "query.png", "--labels", "gone.csv"], "metadata gone.csv: no such file"),
        (["mixture", "archive", "query.png", "--sheet", "m.txt"], "--sheet must end in .html"),
        (["mixture", "archive", "photos"], "IMAGE must be one picture"),
        (["head", "archive", "query.png", "--how", "traceing"], "--how must be one of leave-one-out"),
        (["head", "archive", "query.png", "--label", "lite"], "label must be one of dark, light; got 'lite'"),
        (["head", "archive", "query.png", "--head", "gone"], "gone"),
        (["labels", "archive", "--by", "loss"], "--by must be one of left-out-loss"),
        (["labels", "archive", "--penalty", "-1"], "penalty must be above 0; got -1"),
    ],
)
def test_wrong_usage_is_one_line(here, capsys, arguments, message):
    assert run(["influence", *arguments]) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_help_comes_without_a_command(capsys):
    assert run(["influence"]) == 2

    out = capsys.readouterr().out
    for name in ("neighbours", "mixture", "head", "labels"):
        assert name in out


def test_rules_are_printed_with_their_fidelity(here, capsys):
    assert run(["influence", "rules", "archive", "--target", "folders", "--sheet", "rules.png"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The rules agree for 100.0% (")
    tree = lines[2:4]
    assert [line[:3] for line in tree] == ["├─ ", "└─ "]
    assert {line.split(" → ")[1].split(":")[0] for line in tree} == {"dark", "light"}
    assert "50% of the held-out pictures (2), right for 100% (34% to 100%)" in tree[0]
    assert len(lines) == 4  # each rule once
    assert run(["influence", "rules", "archive", "--target", "similarity"]) == 2
    assert "query must be given for the target similarity" in capsys.readouterr().err


def test_a_hierarchy_is_told_as_a_tree_with_its_fidelity_and_drawn(here, capsys):
    assert run(["influence", "hierarchy", "archive", "--levels", "2", "--sheet", "tree.svg", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "2 groups explain " in out
    assert "a cloud without groups" in out
    assert "\n1: 6 pictures (50%), as " in out
    assert err == "relax: written: tree.svg\n"

    assert run(["influence", "hierarchy", "archive", "--on", "features", "--json", "--quiet"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [level["groups"] for level in record["levels"]] == [2]
    assert {node["picture"].split("/")[0] for node in record["nodes"]} == {"dark", "light"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--levels", "2,four"], "--levels must be whole numbers, such as 2,4,8; got 2,four"),
        (["--levels", "2,3"], "levels must have at most 2 groups"),
        (["--on", "words"], "--on"),
        (["--linkage", "single"], "--linkage"),
    ],
)
def test_an_impossible_hierarchy_is_refused(here, capsys, options, message):
    assert run(["influence", "hierarchy", "archive", *options, "--quiet"]) != 0
    assert message in capsys.readouterr().err
