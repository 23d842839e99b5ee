"""Every command lists the same images in a folder: whatever can be read. What it passes over, it says."""

import os
import socket

import pytest

from encoders.folders import ALWAYS, BY_EXTRA, Listing, ending_of, image_endings
from encoders.heads.data import labelled_images
from relax.archive.files import list_images
from relax.metrics.truth import find_truths
from relax.references import image_files


@pytest.fixture
def folder(tmp_path):
    """photos/cat/ with two images of unusual endings, five files that nobody may open, and three others."""
    cat = tmp_path / "photos" / "cat"
    cat.mkdir(parents=True)
    for name in ("a.jfif", "b.JP2", "notes.txt", "data.csv.gz", "README", ".hidden.png"):
        (cat / name).touch()
    os.mkfifo(cat / "pipe.png")
    (cat / "link.png").symlink_to("pipe.png")
    (cat / "loop.png").symlink_to("loop.png")
    (cat / "device.png").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as end:
        before = os.getcwd()
        os.chdir(cat)  # the path of a socket is limited to about a hundred bytes
        end.bind("socket.png")
        os.chdir(before)
    return tmp_path / "photos"


TOLD = (
    r"passed over as no images: {0}device.png \(a device\), {0}link.png \(a named pipe\), "
    r"{0}loop.png \(a link to itself\), {0}pipe.png \(a named pipe\), {0}socket.png \(a socket\), "
    r"1 without ending, 1 .csv.gz, 1 .txt$"
)


def test_pipes_devices_sockets_and_links_to_itself_are_named_and_the_rest_is_counted_by_ending(folder):
    with pytest.warns(UserWarning, match=TOLD.format("cat/")):
        rows, failed, _ = list_images(folder, True, folder / "out")
    assert (list(rows), failed) == (["cat/a.jfif", "cat/b.JP2"], [])

    with pytest.warns(UserWarning, match=TOLD.format("cat/")):
        assert [path.name for path in labelled_images(folder).paths] == ["a.jfif", "b.JP2"]

    with pytest.warns(UserWarning, match=TOLD.format("")):
        assert [path.name for path in image_files(folder / "cat")] == ["a.jfif", "b.JP2"]

    with pytest.warns(UserWarning, match=TOLD.format("")):
        assert [truth.path.name for truth in find_truths([folder / "b.png"], folder / "cat")] == ["b.JP2"]


def test_a_folder_of_images_only_is_listed_without_a_word(tmp_path, recwarn):
    (tmp_path / "a.png").touch()
    (tmp_path / "below").mkdir()

    assert Listing(tmp_path).walk().images == [tmp_path / "a.png"]
    assert not recwarn.list


def test_a_link_that_leads_nowhere_is_a_failure(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere.png")

    assert list_images(tmp_path, True, tmp_path / "out")[1][0].reason == "cannot be read: No such file or directory"
    with (
        pytest.warns(UserWarning, match=r"a\.png \(cannot be read: No such file or directory\)"),
        pytest.raises(ValueError, match="holds no image"),
    ):
        image_files(tmp_path)


def test_many_are_counted(tmp_path):
    for number in range(13):
        os.mkfifo(tmp_path / f"{number:02}.png")

    with pytest.warns(UserWarning, match=r"09.png \(a named pipe\), 3 more$"):
        Listing(tmp_path).walk().warn()


def test_what_an_extra_would_read_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("encoders.folders.image_endings", lambda: ALWAYS)
    (tmp_path / "a.heic").touch()
    (tmp_path / "b.nii.gz").touch()

    with pytest.warns(UserWarning, match="passed over") as caught:
        Listing(tmp_path, ALWAYS).walk().warn()

    told = str(caught.list[0].message)
    assert '1 .heic (to read them: pip install "relax-explainer[heif]")' in told
    assert '1 .nii.gz (to read them: pip install "relax-explainer[medical]")' in told


def test_endings_are_distinct_and_in_lower_case(tmp_path):
    every = [*ALWAYS, *(ending for endings in BY_EXTRA.values() for ending in endings)]

    assert len(every) == len(set(every))
    assert all(ending == ending.lower() for ending in every)
    assert set(ALWAYS) <= set(image_endings()) <= set(every)
    assert ending_of(tmp_path / "A.NII.GZ") == ".nii.gz"
