"""Labels come from folders or a CSV as documented, in an order that does not depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders import EncoderError
from encoders.heads.data import labelled_images


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_the_first_folder_is_the_class_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.PNG", "cat/b.jpg", "cat/old/a.tif", "cat/notes.txt", "cat/.b.jpg", ".trash/1.png", "top.png")

    data = labelled_images(tmp_path)

    assert data.classes == ("cat", "dog")
    assert [str(path.relative_to(tmp_path)) for path in data.paths] == ["cat/b.jpg", "cat/old/a.tif", "dog/1.PNG"]
    assert data.labels == (0, 0, 1)
    assert data.images == {"cat": 2, "dog": 1}
    assert data.without([0]).images == {"cat": 1, "dog": 1}
    assert data.without([0, 1]).images == {"cat": 0, "dog": 1}


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "10/a.png", "9/a.png", "0/a.png")

    assert labelled_images(tmp_path).classes == ("0", "9", "10")


def test_a_csv_has_paths_from_its_own_folder(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        f'\ufefflabel,path,note\nb,x/1.png,\na,"x/2, too.png",n\nb,{tmp_path}/3.png,\nb,x/1.png,again\n',
        encoding="utf-8",
    )

    data = labelled_images(file)

    assert data.classes == ("a", "b")
    assert data.paths == (tmp_path / "x/1.png", tmp_path / "x/2, too.png", tmp_path / "3.png")
    assert data.labels == (1, 0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\n1.png,a\n", r"must be a CSV with the header path,label; got \['file', 'label'\]"),
        ("", "must be a CSV with the header path,label; got None"),
        ("path,label\n", "must have at least one line below its header; it has none"),
        ("path,label\n1.png,a\n2.png\n", "line 3 must have a path and a label"),
        ("path,label\n,a\n", "line 2 must have a path and a label"),
        ("x" * 5000, r"must be a CSV with the header path,label; got \['x+\.\.\."),
        (f"path,label\n{'p' * 5000},a\n{'p' * 5000},{'b' * 5000}\n", r"line 3 calls an image 'b+\.\.\., after 'a'"),
        ("path,label\n1.png,a\n1.png,b\n", "line 3 calls an image 'b', after 'a': keep one"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)

    with pytest.raises(EncoderError, match=message) as caught:
        labelled_images(tmp_path / "labels.csv")

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_what_holds_no_labels_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "flat/1.png")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")

    with pytest.raises(EncoderError, match=r"must hold one folder of images per class, as .*/cat/1.png; it has none"):
        labelled_images(tmp_path / "flat")
    with pytest.raises(EncoderError, match=r"images must be a folder per class or a CSV; got '.*none', which is not"):
        labelled_images(tmp_path / "none")
    with pytest.raises(EncoderError, match=r"picture.csv cannot be read as a CSV \(.*\): save it as UTF-8 text"):
        labelled_images(tmp_path / "picture.csv")
