"""`relax.load` gives a saved explanation back, and names what is something else."""

import re

import numpy as np
import pytest
from PIL import Image

import relax
from tests.relax.report.test_report import explanation


def test_what_was_saved_is_read(tmp_path):
    saved = explanation()

    loaded = relax.load(saved.save(tmp_path / "cat.npz"))

    np.testing.assert_array_equal(loaded.importance, saved.importance)
    assert loaded.provenance == saved.provenance


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat.png", "is a picture: use relax.explain('{path}')"),
        ("cat.json", "is a record without maps: use the .npz file beside it"),
        ("head.safetensors", "is weights: use encoders.load_head('{path}')"),
    ],
)
def test_another_file_is_named_with_what_reads_it(tmp_path, name, words):
    path = tmp_path / name
    Image.new("RGB", (4, 4)).save(path, "PNG")

    message = f"path must be a saved explanation, an .npz file; {path} {words.format(path=path)}"
    with pytest.raises(ValueError, match=re.escape(message)):
        relax.load(path)


@pytest.mark.parametrize(
    ("inside", "words"),
    [("archive.json", "an archive: use relax.load_archive("), ("evaluation.csv", "an evaluation"), ("x", "a folder")],
)
def test_a_folder_is_named_by_what_is_in_it(tmp_path, inside, words):
    (tmp_path / inside).write_text("")

    with pytest.raises(ValueError, match=re.escape(f"{tmp_path} is {words}")):
        relax.load(tmp_path)


def test_a_missing_or_foreign_file_is_an_error_as_of_the_class(tmp_path):
    (tmp_path / "x.npz").write_text("nothing")

    with pytest.raises(FileNotFoundError):
        relax.load(tmp_path / "cat.png")
    with pytest.raises(ValueError, match=r"x\.npz is not a saved explanation"):
        relax.load(tmp_path / "x.npz")
