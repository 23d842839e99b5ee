"""`relax words`: texts and files in; figure, numbers and page out; wrong usage in one line."""

import json

import pytest

from relax.cli.app import run
from relax.words.explanation import TextExplanation
from tests.encoders.words.conftest import bert_folder

__all__ = ["bert_folder"]
TEXT = "the patient has no fever."


@pytest.fixture
def encoder(bert_folder):
    return ["--encoder", f"hf:{bert_folder}"]


def test_a_text_is_explained_into_three_files(encoder, tmp_path, capsys):
    assert run(["words", "explain", TEXT, *encoder, "--out", str(tmp_path), "--masks", "64"]) == 0

    out = capsys.readouterr().out
    assert "relax: cosine to the whole text; all words shown 1.0000" in out
    assert f"written: {tmp_path / 'text.png'}, text.json, text.html" in out
    assert TextExplanation.load(tmp_path / "text.json").words == ("the", "patient", "has", "no", "fever.")
    assert 'id="attention-data"' in (tmp_path / "text.html").read_text()


def test_a_file_is_read_and_json_is_printed(encoder, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("\ufeffthe patient. no fever!", encoding="utf-8")

    assert run(["words", "explain", str(tmp_path / "note.txt"), *encoder, "--by", "sentences", "--json"]) == 0

    record = json.loads(capsys.readouterr().out)
    assert record["words"] == ["the patient.", "no fever!"]
    assert record["provenance"]["estimator"] == {"name": "exact", "subsets": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_methods_are_compared(encoder, tmp_path, capsys):
    options = ["--methods", "relax,leave_one_out", "--masks", "64", "--out", str(tmp_path), "--name", "mine"]
    assert run(["words", "compare", TEXT, *encoder, *options]) == 0

    assert "leave_one_out" in capsys.readouterr().out
    record = json.loads((tmp_path / "mine-compare.json").read_text())
    assert list(record["explanations"]) == ["relax", "leave_one_out"]
    assert (tmp_path / "mine-compare.html").stat().st_size > 10_000


def test_the_lines_of_a_file_are_compared_with_each_other(encoder, tmp_path, capsys):
    (tmp_path / "lines.txt").write_text("the patient\n\n  no fever\na cat\n")

    assert run(["words", "similar", str(tmp_path / "lines.txt"), *encoder, "--out", str(tmp_path)]) == 0

    assert "nearest by cosine" in capsys.readouterr().out
    record = json.loads((tmp_path / "lines-similar.json").read_text())
    assert record["texts"] == ["the patient", "no fever", "a cat"]
    assert (tmp_path / "lines-similar.png").stat().st_size > 5000


def test_what_can_be_chosen_is_listed(capsys):
    assert run(["words", "encoders"]) == 0

    out = capsys.readouterr().out
    for word in ("minilm", "open_clip:", "kernel_shap", "attention", "sentences", "mean"):
        assert word in out
    assert run(["words"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", " "], "text must have words; got white space alone"),
        (["explain", "nowhere.txt"], "nowhere.txt is not there"),
        (["explain", TEXT, "--method", "shap"], "--method must be one of relax, kernel_shap"),
        (["explain", TEXT, "--by", "letters"], "by must be one of words, tokens, sentences"),
        (["explain", TEXT, "--masks", "3"], "masks must be from 64"),
        (["explain", TEXT, "--name", "a/b"], "--name must be the name of files without a folder"),
        (["explain", TEXT, "--image", "cat.png"], "image needs an encoder of two towers"),
        (["explain", "cat " * 40], "text has 42 tokens"),
        (["compare", TEXT, "--methods", "relax,foo"], "--methods must be one of"),
        (["similar", "one"], "texts must be two or more"),
    ],
)
def test_wrong_usage_is_one_line(encoder, capsys, arguments, message):
    assert run(["words", *arguments, *encoder]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a" * 500_000])
def test_a_file_that_is_no_text_is_refused(encoder, tmp_path, capsys, content):
    (tmp_path / "a.txt").write_bytes(content)

    assert run(["words", "explain", str(tmp_path / "a.txt"), *encoder]) == 2
    assert "a.txt must" in capsys.readouterr().err
