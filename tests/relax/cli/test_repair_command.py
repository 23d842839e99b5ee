"""`relax repair`: three files, the numbers in a table, and errors in one line."""

import pytest

import relax
from relax.cli.app import run
from tests.relax.repair.planted import write_pictures


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repairs")
    write_pictures(folder, count=20)
    relax.make_archive(folder / "pictures", "default", folder / "archive")
    return folder


def test_the_repaired_encoder_is_written_and_explains(archive, tmp_path, capsys):
    out = tmp_path / "out"
    marks = ("--marks", str(archive / "marks"), "--labels", "folders", "--directions", "2", "-k", "3")
    assert run(["repair", str(archive / "archive"), *marks, "--out", str(out), "--name", "red"]) == 0

    said = capsys.readouterr().out
    assert "A head tells which of two twins carries the mark" in said
    assert "marked neighbours" in said
    assert sorted(path.name for path in out.iterdir()) == ["red.json", "red.png", "red.safetensors"]
    encoder = f"repaired:{out / 'red.safetensors'}"
    explanation = relax.explain(archive / "pictures/ant/ant0.png", encoder, masks=16)
    assert explanation.provenance["encoder"]["name"] == encoder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--marks", "nowhere"], "--marks"),
        (["--marks", "MARKS", "--fill", "blurr"], "--fill must be one of mean, blur, noise; got 'blurr'"),
        (["--marks", "MARKS", "--directions", "0"], "directions must be a whole number, 1 or more; got 0"),
        (["--marks", "MARKS", "--name", "a/b"], "--name must be a file name without folders; got 'a/b'"),
    ],
)
def test_wrong_usage_is_one_line(archive, tmp_path, capsys, arguments, message):
    chosen = [str(archive / "marks") if argument == "MARKS" else argument for argument in arguments]
    assert run(["repair", str(archive / "archive"), *chosen, "--out", str(tmp_path / "out")]) == 2

    complaint = capsys.readouterr().err.strip()
    assert message in complaint
    assert len(complaint.splitlines()) == 1
    assert not (tmp_path / "out").exists()
