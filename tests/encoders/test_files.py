"""Files appear whole or not at all, several together or not at all, and a kill leaves nothing that stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from encoders.errors import EncoderError
from encoders.files import WriteError, sweep, written_aside, written_together
from encoders.heads.files import read_head_files, write_head_files

STUCK = """
import sys, time
from encoders.files import written_aside
with written_aside(sys.argv[1]) as aside:
    aside.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing_for(ending, number, monkeypatch):
    """Renames to names with this ending fail."""
    replace = Path.replace

    def failing(self, target):
        if str(target).endswith(ending):
            raise OSError(number, os.strerror(number), str(self), None, str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)


def test_a_full_disk_is_told_with_the_file_and_the_way_out(tmp_path):
    with pytest.raises(WriteError) as caught, written_aside(tmp_path / "map.npz") as aside:  # noqa: PT012
        aside.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    assert str(caught.value) == (
        f"{tmp_path / 'map.npz'} cannot be written (No space left on device): free some space, or write to another disk"
    )
    assert names(tmp_path) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"source\.png"), written_aside(tmp_path / "map.npz"):
        (tmp_path / "source.png").read_bytes()


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("ending", [".a", ".b", ".c"])
def test_if_one_file_cannot_be_renamed_all_are_as_they_were(tmp_path, monkeypatch, ending, older):
    paths = [tmp_path / f"file.{letter}" for letter in "abc"]
    if older:
        for path in paths:
            path.write_text("old")
    failing_for(ending, 13, monkeypatch)

    message = rf"file\{ending} cannot be written \(Permission denied\)$"
    with pytest.raises(WriteError, match=message), written_together(paths) as asides:  # noqa: PT012
        for aside in asides:
            aside.write_text("new")

    assert [path.read_text() for path in paths if path.exists()] == (["old"] * 3 if older else [])
    assert names(tmp_path) == ([path.name for path in paths] if older else [])


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_an_older_head_stays_if_the_new_one_cannot_be_written(tmp_path, monkeypatch, ending):
    write_head_files(tmp_path / "probe", {}, {"kind": "older"})
    failing_for(ending, 28, monkeypatch)

    with pytest.raises(WriteError, match=rf"probe\{ending} cannot be written \(No space left"):
        write_head_files(tmp_path / "probe", {}, {"kind": "newer"})

    assert read_head_files(tmp_path / "probe")[0]["kind"] == "older"
    assert names(tmp_path) == ["probe.json", "probe.safetensors"]


def test_no_new_weights_stay_without_their_card(tmp_path, monkeypatch):
    failing_for(".json", 28, monkeypatch)

    with pytest.raises(WriteError):
        write_head_files(tmp_path / "probe", {}, {"kind": "first"})

    assert names(tmp_path) == []
    with pytest.raises(EncoderError, match="is not there"):
        read_head_files(tmp_path / "probe")


@pytest.mark.skipif(sys.platform == "win32", reason="asks the locks of POSIX systems")
def test_what_a_killed_process_left_is_swept_and_what_another_is_writing_is_not(tmp_path):
    stuck = [
        subprocess.Popen([sys.executable, "-c", STUCK, tmp_path / name], stdout=subprocess.PIPE, text=True)
        for name in ("killed.npz", "alive.npz")
    ]
    for process in stuck:
        assert process.stdout.readline() == "writing\n"
    (tmp_path / ".mine.part").write_text("not of this package")
    stuck[0].kill()
    stuck[0].wait()
    assert len(names(tmp_path)) == 3

    with written_aside(tmp_path / "next.npz") as aside:
        aside.write_text("whole")

    left = names(tmp_path)
    stuck[1].send_signal(signal.SIGTERM)
    stuck[1].communicate()
    assert [name.split(".")[1] for name in left] == ["alive", "mine", "npz"]
    sweep(tmp_path)
    assert names(tmp_path) == [".mine.part", "next.npz"]
