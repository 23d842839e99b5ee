"""Pictures of a run are read ahead: the next one while one is explained, each with its own warnings and errors."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image

from relax.bulk.explaining import explain_all
from relax.bulk.plan import Planned
from relax.bulk.preparing import prepared
from relax.io.errors import ImageError
from relax.notes import collected, heeded, quiet
from relax.scene import Scene, load_encoder
from relax.settings import Hiding
from tests.relax.bulk.test_bulk_run import FAST, Colours, picture


def test_the_next_picture_is_read_while_one_is_in_use_and_is_let_go():
    encoder, read = load_encoder(Colours()), {"first": threading.Event(), "second": threading.Event()}

    def make(address):
        read[address].set()
        return Scene.of(torch.rand(3, 40, 30), encoder, Hiding())

    pictures = prepared([Planned(name, name) for name in read], make)
    first = next(pictures)

    assert read["second"].wait(10)
    assert first.scene.image.shape == (1, 3, 40, 30)
    assert first.scene.image.untyped_storage().nbytes() == 4
    pictures.close()


def test_a_picture_that_cannot_be_read_has_its_error_and_the_next_is_read():
    def make(address):
        if address == "b":
            raise ImageError("no picture")
        return Scene.of(torch.rand(3, 8, 8), load_encoder(Colours()), Hiding())

    a, b, c = prepared([Planned(name, name) for name in "abc"], make)

    assert str(b.error) == "no picture"
    assert a.scene is not None
    assert c.scene is not None


def test_warnings_belong_to_the_picture_that_they_are_of_and_none_is_shown(tmp_path):
    """Every other picture is nearly one shade, of which reading warns while the one before it is explained."""
    for number in range(9):
        picture(tmp_path / "photos" / f"{number}.png", number)
        if number % 2:
            Image.fromarray(np.full((20, 24, 3), 7 * number, np.uint8)).save(tmp_path / "photos" / f"{number}.png")

    with warnings.catch_warnings(record=True) as shown:
        maps = explain_all(tmp_path / "photos", Colours(), out=tmp_path / "out", **FAST)

    notes = {
        row["name"]: row["notes"] for table in maps.tables() for row in table.select(["name", "notes"]).to_pylist()
    }
    assert maps.failed == {}
    assert {name for name, texts in notes.items() if any("nearly all its values" in text for text in texts)} == {
        "1.png", "3.png", "5.png", "7.png"
    }  # fmt: skip
    assert all(name in text for name, texts in notes.items() for text in texts if "nearly all" in text)
    assert not shown


def test_a_thread_that_is_quiet_silences_no_other():
    """As where one picture is decoded while another, which warns, is explained."""
    began, over = threading.Event(), threading.Event()

    def decoding():
        with collected() as notes, quiet():
            began.set()
            over.wait(10)
            warnings.warn("of the decoder", UserWarning, stacklevel=1)
        return notes

    with heeded(), ThreadPoolExecutor(1) as pool:
        decoded = pool.submit(decoding)
        began.wait(10)
        with collected() as notes:
            warnings.warn("of a picture", UserWarning, stacklevel=1)
        over.set()

    assert notes == ["of a picture"]
    assert decoded.result() == []
