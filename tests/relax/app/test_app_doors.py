"""What the app refuses: other pages, other names, other visitors, files of this machine, too much of anything."""

import base64
import http.client
import io
import json
import os
import signal
import threading
import time
import urllib.request
import webbrowser
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from relax.app.limits import Limits
from relax.app.refusals import Refusal
from relax.app.visitors import Visitors, safe_name
from relax.cli.app import run


def bring(ask, secret, path, role="image"):
    return ask("PUT", f"/picture/{role}", path.read_bytes(), secret, X_Name=path.name)


def refused(answer, status, words):
    assert answer[0] == status
    assert words in answer[1]["words"]


def test_another_page_of_the_same_browser_cannot_use_it(ask, secret):
    refused(ask("POST", "/visitor"), 403, "the header x-relax-visitor is missing")
    assert ask("OPTIONS", "/visitor", Origin="http://evil.example", Access_Control_Request_Method="POST")[0] == 405
    assert ask("GET", "/", Host="evil.example")[0] == 400  # a name that was pointed here
    assert ask("GET", "/", Host="localhost")[0] == 200


def test_without_the_secret_there_is_nothing_of_a_visitor(ask, secret, picture):
    bring(ask, secret, picture())

    for method, path in (("GET", "/file/.npz"), ("GET", "/viewer"), ("GET", "/lines"), ("POST", "/explanation")):
        refused(ask(method, path, "{}", secret=secret[:-1]), 410, "load it again")


def test_a_form_names_no_file_and_no_encoder_of_this_machine(ask, secret, picture):
    path = picture()
    bring(ask, secret, path)

    def answer(**form):
        return ask("POST", "/explanation", {"masks": 4, **form}, secret)

    refused(answer(fill=str(path)), 422, "fill must be mean, blur, noise, drop, a grey 0.5 or a colour")
    refused(answer(fill={"image": str(path)}), 422, "fill must be")
    refused(answer(encoder="file:/etc/passwd"), 422, "encoder must be the number of one that is served, 0 to 2")
    refused(answer(encoder=3), 422, "encoder must be the number of one that is served, 0 to 2")
    refused(answer(reference="/etc/passwd"), 422, "reference is no field of the form")
    refused(answer(method="rise"), 422, "method must be one of relax, gradcam")  # it needs a head
    refused(answer(masks=4001), 422, "masks must be 4,000 or fewer here; got 4,001")
    refused(answer(cells=0), 422, "cells must be")
    refused(answer(seed="1"), 422, "seed must be")
    refused(ask("PUT", "/example/image/passwd", None, secret), 422, "example must be one of chelsea.png")
    refused(ask("GET", "/file/.exe", None, secret), 409, "there is no map yet")


def test_what_is_not_there_yet_is_said(ask, secret):
    refused(ask("POST", "/explanation", {}, secret), 409, "there is no picture yet")
    refused(ask("POST", "/explanation", {"more": 5}, secret), 409, "there is no map to which masks can be added")
    refused(ask("POST", "/explanation", "[]", secret), 400, "the form must be an object")
    refused(ask("POST", "/painted", "x" * 1_000_001, secret), 413, "the form is too large")


def test_a_file_beyond_the_limit_is_refused_whatever_it_claims(app, ask, secret, monkeypatch):
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1000")

    refused(ask("PUT", "/picture/image", b"x" * 1001, secret), 413, "larger than the 1,000 bytes")
    chunks = iter([b"x" * 600] * 2)  # without a length
    refused(ask("PUT", "/picture/image", chunks, secret), 413, "larger than the 1,000")

    assert [path for path in app.service.folder.rglob("*") if path.is_file()] == []


def test_a_method_without_masks_gives_its_map_and_one_that_cannot_work_says_why(ask, secret, picture):
    bring(ask, secret, picture())

    def last_event(method):
        status, content = ask("POST", "/explanation", {"method": method, "encoder": 1}, secret)
        assert status == 200, content
        return content if isinstance(content, dict) else json.loads(content.splitlines()[-1])

    event = last_event("centre")
    assert event["kind"] == "done"
    assert "this method has no standard error" in event["words"]
    assert not event["more"]

    event = last_event("attention")
    assert event["kind"] == "failed"
    assert "attention" in event["words"]


def test_a_large_picture_is_looked_at_small_and_kept_whole(ask, secret, tmp_path):
    """Maps in the frame of a photograph take longer than their masks."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)).save(tmp_path / "l.png")
    bring(ask, secret, tmp_path / "l.png")

    _, content = ask("POST", "/explanation", {"encoder": 0, "masks": 160, "cells": 3}, secret)
    events = [json.loads(line) for line in content.splitlines()]
    looks = [event for event in events if event["kind"] in ("look", "done")]

    assert [look["masks"] for look in looks] == [128, 160]
    for look in looks:
        layer = Image.open(io.BytesIO(base64.b64decode(look["overlay"].partition(",")[2])))
        assert layer.size == (720, 540)
    _, record = ask("GET", "/file/.json", None, secret)
    assert (record["width"], record["height"]) == (800, 600)


def test_who_leaves_while_it_runs_makes_room_for_the_next(app, ask, secret, picture):
    """The first one asks for 4,000 masks at 1 ms and closes the page."""
    first = ask("POST", "/visitor", secret="")[1]["visitor"]
    for visitor in (first, secret):
        bring(ask, visitor, picture())
    connection = http.client.HTTPConnection(urlsplit(app.address).netloc, timeout=30)
    connection.request("POST", "/explanation", b'{"encoder": 2, "masks": 4000}', {"X-Relax-Visitor": first})
    answer = connection.getresponse()
    while json.loads(answer.readline())["kind"] != "progress":
        pass
    start = time.monotonic()
    answer.close()
    connection.close()

    status, content = ask("POST", "/explanation", {"encoder": 1, "masks": 8}, secret)

    assert status == 200
    assert json.loads(content.splitlines()[-1])["kind"] == "done"
    assert time.monotonic() - start < 3
    ask("DELETE", "/visitor", secret=first)


def test_who_is_silent_for_too_long_is_let_go(tmp_path, picture):
    visitors = Visitors(tmp_path / "visitors", Limits(visitors=1, silence=60))
    secret = visitors.welcome()
    visitor = visitors.known(secret)
    path = visitor.room_for("cat.png")
    path.write_bytes(b"")
    with pytest.raises(Refusal, match="1 pages are open, and no more are served at once"):
        visitors.welcome()

    visitor.seen -= 61
    visitors.sweep()

    assert not path.exists()
    with pytest.raises(Refusal, match="load it again"):
        visitors.known(secret)
    visitors.welcome()


def test_a_quarter_of_a_picture_painted_out_has_the_similarity_worked_out_by_hand(ask, secret, tmp_path):
    """Of 8 x 8 pixels the upper half is white, and the left quarter is hidden in black: 6 of the 8 white blocks stay.

    With three colours each, the cosine is 18 / sqrt(24 x 18), and the distance sqrt(6).
    """
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")
    bring(ask, secret, tmp_path / "half.png")
    hidden = np.zeros((4, 8), np.uint8)
    hidden[:, :2] = 1
    layer = {"rows": 4, "columns": 8, "hidden": base64.b64encode(hidden.tobytes()).decode()}

    status, answer = ask("POST", "/painted", {"form": {"encoder": 1, "fill": "0"}, "layer": layer}, secret)

    assert status == 200, answer
    assert answer["share"] == pytest.approx(0.25)
    assert answer["scores"]["cosine"] == pytest.approx({"whole": 0.75**0.5, "all": 0})
    assert answer["scores"]["l2"] == pytest.approx({"whole": -(6**0.5), "all": -(24**0.5)})
    refused(ask("POST", "/painted", {"layer": {**layer, "rows": 5}}, secret), 422, "must have 5 x 8 pixels; got 32")
    refused(ask("POST", "/painted", {"layer": {**layer, "rows": 10**9}}, secret), 422, "1 to 512 rows and columns")


def test_a_patient_is_named_by_a_hash_in_results_and_nowhere_in_the_output(ask, secret, tmp_path, capfd):
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, pydicom.uid.generate_uid()
    data.PatientName, data.Modality = "Mustermann^Erika", "OT"
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = np.arange(256, dtype=np.uint8).tobytes()
    path = tmp_path / "Mustermann.dcm"
    data.save_as(path, enforce_file_format=True)

    status, told = bring(ask, secret, path)
    assert status == 200, told
    assert told["name"].startswith("dicom-")
    ask("POST", "/explanation", {"encoder": 1, "masks": 8, "cells": 2}, secret)
    _, record = ask("GET", "/file/.json", None, secret)
    assert record["image"] == told["name"]
    assert "ustermann" not in json.dumps(record)
    assert ask("PUT", "/picture/image", b"DICM", secret, X_Name="Mustermann.dcm")[0] == 422
    assert told["choices"]
    refused(ask("POST", "/picture/image", {"choice": "frame=2"}, secret), 422, "frame")
    refused(ask("POST", "/picture/image", {"choice": "/../a"}, secret), 422, "NAME=VALUE")
    status, told = ask("POST", "/picture/image", {"choice": "#frame=1&window=100,50"}, secret)
    assert status == 200, told
    ask("POST", "/explanation", {"encoder": 1, "masks": 8, "cells": 2}, secret)
    _, lines = ask("GET", "/lines", None, secret)
    assert lines["command"] == (
        "relax explain 'Mustermann.dcm#frame=1&window=100,50' --encoder blocks --cells 2 --masks 8 --batch-size 32"
    )
    assert ask("GET", "/file/.json", None, secret)[1]["read"]["window"]
    output = capfd.readouterr()
    assert "ustermann" not in output.out + output.err


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\a.dcm", "a.dcm"),
        ("..", "picture"),
        ("", "picture"),
        (".hidden.png", "hidden.png"),
        ("dicomdir", "picture"),
        ("a" * 300 + ".nii.gz", "a" * 113 + ".nii.gz"),
    ],
)
def test_a_file_name_has_no_folders_and_keeps_its_end(said, kept):
    assert safe_name(said) == kept


def test_a_taken_port_and_an_unknown_host_are_wrong_usage(app, capsys):
    port = app.address.rstrip("/").rpartition(":")[2]

    assert run(["serve", "--port", port]) == 2
    assert run(["serve", "--host", "no.such.host.invalid"]) == 2
    assert run(["serve", "--encoder", "timmm:x", "--port", "0"]) == 2

    taken, unknown, spec = capsys.readouterr().err.splitlines()
    assert taken == f"relax: --port {port} is taken: choose another, or --port 0 for any free one"
    assert unknown.startswith("relax: --host no.such.host.invalid is no name or address of this machine")
    assert "timmm" in spec


def test_without_the_extra_the_command_says_how_to_install_it(capsys, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith(("relax.app.", "uvicorn", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    assert run(["serve"]) == 2

    assert capsys.readouterr().err == (
        'relax: relax serve needs uvicorn; install it with: pip install "relax-explainer[app]"\n'
    )


def test_ctrl_c_ends_it_with_a_run_in_flight_and_leaves_nothing(capsys, monkeypatch, tmp_path, picture):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    opened, seen = [], []

    def use(address):
        opened.append(address)

        def visitor():
            def ask(method, path, body, secret="", name="cat.png"):
                request = urllib.request.Request(address + path, body, method=method)
                request.add_header("X-Relax-Visitor", secret)
                request.add_header("X-Name", name)
                return urllib.request.urlopen(request, timeout=30)

            secret = json.load(ask("POST", "visitor", b""))["visitor"]
            ask("PUT", "picture/image", picture().read_bytes(), secret)
            answer = ask("POST", "explanation", b'{"masks": 20000}', secret)
            answer.readline()
            seen.extend((tmp_path / "tmp").rglob("cat.png"))
            os.kill(os.getpid(), signal.SIGINT)
            answer.read()

        threading.Thread(target=visitor, daemon=True).start()

    monkeypatch.setattr(webbrowser, "open", use)

    assert run(["serve", "--port", "0", "--open", "--device", "cpu"]) == 130

    out, err = capsys.readouterr()
    assert out == f"relax serve: {opened[0]} (Ctrl-C ends it)\n"
    assert opened[0].startswith("http://127.0.0.1:")
    assert err == "relax: stopped; nothing of a visitor is left on the disk\n"
    assert len(seen) == 1
    assert [*(tmp_path / "tmp").iterdir()] == []


def test_listening_for_everybody_is_said_aloud(capsys, monkeypatch):
    monkeypatch.setattr("relax.app.listening.Stopping.run", lambda self, sockets: None)

    assert run(["serve", "--host", "0.0.0.0", "--port", "0"]) == 0

    assert "warning: everybody who can reach 0.0.0.0 can use this app" in capsys.readouterr().err
