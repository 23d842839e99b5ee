"""Results hold the command that asked for them, but nothing of it that tells who a patient is."""

import re
import shlex

import pytest
from PIL import Image

from relax.cli.command_line import FIRST, LONGEST, recorded


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a picture that has a space in its name."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("my cat.png")
    return tmp_path


def test_an_ordinary_command_can_be_typed_again(here):
    assert recorded(["explain", "my cat.png", "--masks", "300"]) == "relax explain 'my cat.png' --masks 300"


def test_results_of_the_app_do_not_tell_its_visitors_how_it_was_started(here):
    assert recorded(["serve", "--encoder", "file:/home/jane/run.pt?arch=resnet18"]) is None


def test_characters_that_move_the_cursor_are_question_marks(here):
    assert recorded(["explain", "a\x1b[31m.png"]) == "relax explain 'a?[31m.png'"


def test_of_thousands_of_pictures_the_first_stand_there_with_all_options(here):
    command = recorded(["explain", *(f"{number}.png" for number in range(3000)), "--masks", "300", "--quiet"])

    assert command.startswith("relax explain 0.png 1.png ")
    assert command.endswith(f"{FIRST - 2}.png --masks 300 --quiet … and {3000 - FIRST + 1} more")
    assert len(recorded(["explain", "x" * 9999])) == LONGEST


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scans/Zebedee.dcm", "--masks", "300"], "dicom-HASH --masks 300"),
        (["scans/Zebedee.dcm#frame=1", "--out", "Quagmire maps"], "dicom-HASH#frame=1 --out …"),
        (["scans/1.dcm", "--out=quagmire", "--within", "lesion of Zebedee.png"], "scans/1.dcm '--out=…' --within …"),
        (["scans", "zebedee"], "scans …"),
        (["1951-04-23"], "…"),
        (["a.png", "--reference", "scans/Zebedee.dcm"], "a.png --reference dicom-HASH"),
    ],
)
def test_what_tells_the_patient_of_a_file_is_left_out(here, arguments, expected):
    """A path that exists is a hash, as everywhere; whatever else tells a name, number or date of its header is …."""
    pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
    from tests.relax.io.dicom.test_dicom import patient

    for name in ("scans/Zebedee.dcm", "scans/1.dcm", "1951-04-23/2.dcm"):
        (here / name).parent.mkdir(exist_ok=True)
        patient(here / name)

    command = recorded(["explain", *arguments])

    words = ["HASH".join(re.split("[0-9a-f]{12}", word)) for word in shlex.split(command)]
    assert words == ["relax", "explain", *shlex.split(expected)]
