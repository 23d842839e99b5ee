"""What an evaluation writes reads back as the same numbers, and every number of it is a plain mean."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from relax.metrics import METRICS, Evaluation, Outcome, read_outcomes

NAN = float("nan")
OUTCOMES = (
    Outcome("a.png", "relax", {"auc": 0.5, "entropy": 1 / 3}, 3001.0, curves={"deletion": (1.0, 0.25, 0.0)}),
    Outcome("b.png", "relax", {"auc": NAN, "entropy": 0.25}, 3000.0),
    Outcome("a.png", "centre", {"auc": 1.0, "entropy": 0.125}, score="cosine to the image itself"),
    Outcome("c.png", "", {}, failure="c.png: no picture"),
)


@pytest.fixture
def evaluation():
    return Evaluation(OUTCOMES, (METRICS["auc"], METRICS["entropy"]), {"seed": 3, "encoder": "default"})


def table(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_failures_and_costs_are_told_apart(evaluation):
    assert [outcome.failure for outcome in evaluation.failures] == ["c.png: no picture"]
    assert evaluation.passes["relax"] == 3000.5
    assert math.isnan(evaluation.passes["centre"])
    assert set(evaluation.passes) == {"relax", "centre"}


def test_the_summary_has_each_metric_with_its_direction_and_the_seed_of_the_settings(evaluation):
    by_name = {(mean.metric, mean.method): mean for mean in evaluation.summary()}

    assert list(by_name) == [("auc", "relax"), ("auc", "centre"), ("entropy", "relax"), ("entropy", "centre")]
    assert [mean.direction for mean in by_name.values()] == ["higher", "higher", "lower", "lower"]
    assert [mean.rank for mean in by_name.values()] == [2, 1, 2, 1]
    relax = by_name["auc", "relax"]
    assert (relax.mean, relax.images, relax.undefined, relax.passes) == (0.5, 1, 1, 3000.5)
    assert by_name["entropy", "relax"].mean == pytest.approx(7 / 24)
    values = {name: float(value) for name, value in zip("abcdef", np.random.default_rng(0).random(6), strict=True)}
    outcomes = tuple(Outcome(name, "relax", {"auc": value}) for name, value in values.items())
    lows = [
        Evaluation(outcomes, (METRICS["auc"],), settings).summary()[0].low
        for settings in ({"seed": 1}, {}, {"seed": 0})
    ]
    assert lows[1] == lows[2] != lows[0]


def test_the_files_hold_every_value(evaluation, tmp_path):
    paths = evaluation.save(tmp_path / "out")

    assert [path.name for path in paths] == [
        *("evaluation.csv", "curves.csv", "summary.csv", "summary.json", "evaluation.png")
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert table(paths[0]) == [
        ["image", "method", "metric", "value", "score"],
        ["a.png", "relax", "passes", "3001.0", ""],
        ["a.png", "relax", "auc", "0.5", ""],
        ["a.png", "relax", "entropy", repr(1 / 3), ""],
        ["b.png", "relax", "passes", "3000.0", ""],
        ["b.png", "relax", "auc", "", ""],
        ["b.png", "relax", "entropy", "0.25", ""],
        ["a.png", "centre", "passes", "", "cosine to the image itself"],
        ["a.png", "centre", "auc", "1.0", "cosine to the image itself"],
        ["a.png", "centre", "entropy", "0.125", "cosine to the image itself"],
    ]
    header, first, *rows = table(paths[2])
    assert header == [
        "metric",
        "direction",
        "method",
        "mean",
        "low",
        "high",
        "images",
        "undefined",
        "rank",
        "passes",
        "score",
    ]
    assert first == ["auc", "higher", "relax", "0.5", "", "", "1", "1", "2", "3000.5", ""]
    assert [row[:3] for row in rows] == [
        ["auc", "higher", "centre"],
        ["entropy", "lower", "relax"],
        ["entropy", "lower", "centre"],
    ]
    assert table(paths[1]) == [
        ["image", "method", "metric", "share", "score"],
        ["a.png", "relax", "deletion", "0.0", "1.0"],
        ["a.png", "relax", "deletion", "0.5", "0.25"],
        ["a.png", "relax", "deletion", "1.0", "0.0"],
    ]
    text = paths[3].read_text()
    assert text.endswith("}\n")
    assert "\n  " in text  # people read it
    summary = json.loads(text)
    assert summary["settings"] == {"seed": 3, "encoder": "default"}
    assert summary["failures"] == [{"image": "c.png", "method": "", "why": "c.png: no picture"}]
    assert summary["summary"][0] == {
        "metric": "auc",
        "direction": "higher",
        "method": "relax",
        "mean": 0.5,
        "low": None,
        "high": None,
        "images": 1,
        "undefined": 1,
        "rank": 2,
        "passes": 3000.5,
        "score": "",
    }


def test_what_was_written_reads_back(evaluation, tmp_path):
    evaluation.save(tmp_path)

    outcomes, settings = read_outcomes(tmp_path)

    assert settings == {"seed": 3, "encoder": "default"}
    assert [(outcome.image, outcome.method) for outcome in outcomes] == [
        ("a.png", "relax"),
        ("b.png", "relax"),
        ("a.png", "centre"),
    ]
    for outcome, written in zip(outcomes, OUTCOMES, strict=False):
        np.testing.assert_array_equal(list(outcome.values.values()), list(written.values.values()))
        assert list(outcome.values) == ["auc", "entropy"]
        np.testing.assert_array_equal(outcome.passes, written.passes)
        assert outcome.failure == ""
        assert outcome.score == written.score
        assert outcome.curves == written.curves


def test_names_with_commas_and_letters_of_any_kind_read_back(tmp_path):
    name = 'Größe, "ü".png'
    evaluation = Evaluation((Outcome(name, "relax", {"auc": 0.1}),), (METRICS["auc"],), {"encoder": "größe"})

    evaluation.save(tmp_path)

    outcomes, settings = read_outcomes(tmp_path)
    assert (outcomes[0].image, settings) == (name, {"encoder": "größe"})
    assert b"\r" not in (tmp_path / "evaluation.csv").read_bytes()


def test_a_picture_whose_name_is_a_formula_is_written_as_text_and_reads_back(tmp_path):
    name = "=cmd|' /C calc'!A0.png"
    evaluation = Evaluation((Outcome(name, "relax", {"auc": -0.1}),), (METRICS["auc"],), {})

    evaluation.save(tmp_path)

    assert [row[0] for row in table(tmp_path / "evaluation.csv")[1:]] == [f"'{name}"] * 2
    assert read_outcomes(tmp_path)[0][0].image == name
    assert table(tmp_path / "summary.csv")[1][3] == "-0.1"  # a number is no formula


@pytest.mark.parametrize("missing", ["evaluation.csv", "summary.json"])
def test_where_a_file_is_missing_there_is_nothing(evaluation, tmp_path, missing):
    evaluation.save(tmp_path)
    (tmp_path / missing).unlink()

    assert read_outcomes(tmp_path) == ([], {})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("summary.json", "{"),
        ("summary.json", "{}"),
        ("summary.json", "[]"),
        ("evaluation.csv", "image,method,metric,value\na,relax,auc,high\n"),
        ("evaluation.csv", "image,metric,value\na,auc,1\n"),
        ("evaluation.csv", "image,method,metric,value\na,relax\n"),
        ("evaluation.csv", "image,method,metric,value\na,relax,auc,1,2\n"),
        ("evaluation.csv", "image,method,metric,value\na,relax,auc," + "1" * 200_000),
        ("evaluation.csv", "image,method,metric,value\na,relax,auc,1e999\n"),
        ("summary.json", '{"settings": 3}'),
        ("summary.json", '{"settings": ["\\u001b"]}'),
    ],
)
def test_damaged_files_are_refused_with_the_way_out(evaluation, tmp_path, file, text):
    evaluation.save(tmp_path)
    (tmp_path / file).write_text(text)

    with pytest.raises(
        ValueError, match=r"holds an evaluation that cannot be read \(.*\): remove it, or name another"
    ) as caught:
        read_outcomes(tmp_path)
    assert str(caught.value).isprintable()


def test_all_files_are_written_or_none(evaluation, tmp_path, monkeypatch):
    written = []

    write = Path.write_bytes

    def full_after_two(path, content):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_after_two)

    with pytest.raises(OSError, match="No space left"):
        evaluation.save(tmp_path)

    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_without_its_costs_still_reads_back(evaluation, tmp_path):
    evaluation.save(tmp_path)
    table = (tmp_path / "evaluation.csv").read_text().splitlines(keepends=True)
    (tmp_path / "evaluation.csv").write_text("".join(row for row in table if "passes" not in row))

    outcomes, _ = read_outcomes(tmp_path)

    assert [outcome.image for outcome in outcomes] == ["a.png", "b.png", "a.png"]
    assert all(math.isnan(outcome.passes) for outcome in outcomes)
