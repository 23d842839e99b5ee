"""One run at a time writes to a folder; the others are told which, and a killed run holds nothing."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import relax
from relax.lock import InUse, sole_run

HOLDING = """
import sys
from pathlib import Path
from relax.lock import sole_run
with sole_run(Path(sys.argv[1]), "relax audit"):
    print("holding", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other_run(tmp_path):
    """Another process that holds the folder."""
    process = hold(tmp_path / "out")
    yield process
    process.kill()
    process.communicate()


def hold(folder):
    """A process that holds the folder until it is told to go on."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])},
    )
    assert process.stdout.readline() == "holding\n"
    return process


def test_a_second_run_is_told_who_holds_the_folder(tmp_path, other_run):
    message = (
        rf"out is in use by relax audit \(process {other_run.pid} on .+, since 20.+\): wait until it ends, or name"
    )

    with pytest.raises(InUse, match=message), sole_run(tmp_path / "out", "relax index"):
        pass


def test_a_killed_run_holds_nothing(tmp_path, other_run):
    other_run.kill()
    other_run.wait()

    with sole_run(tmp_path / "out", "relax index"):
        pass


def test_another_thread_is_another_run(tmp_path):
    refused = []

    def enter():
        try:
            with sole_run(tmp_path, "relax index"):
                pass
        except InUse as error:
            refused.append(str(error))

    with sole_run(tmp_path, "relax audit"):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()

    assert len(refused) == 1
    assert f"relax audit (process {os.getpid()} on " in refused[0]


def test_a_run_may_hold_its_folder_twice_and_leaves_nothing_in_it(tmp_path):
    with sole_run(tmp_path / "out", "relax audit"):
        with sole_run(tmp_path / "out", "relax index"):
            pass
        with pytest.raises(InUse):
            in_a_process(tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []
    in_a_process(tmp_path / "out")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere an open file cannot be removed")
def test_the_lock_of_a_run_that_ends_meanwhile_is_not_one_beside_that_of_a_third(tmp_path, monkeypatch, other_run):
    import fcntl

    flock, third = fcntl.flock, []

    def late(*arguments):
        """The file is open: now the run that made it ends, and a third makes another."""
        if not third:
            other_run.communicate("\n")
            third.append(hold(tmp_path / "out"))
        return flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)

    with pytest.raises(InUse), sole_run(tmp_path / "out", "relax index"):
        pass

    third[0].communicate("\n")
    assert list((tmp_path / "out").iterdir()) == []


def in_a_process(folder):
    """Enter and leave the folder in another process."""
    environment = {**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", HOLDING, folder], capture_output=True, text=True, env=environment, input="\n"
    )
    if "InUse" in done.stderr:
        raise InUse(done.stderr)
    assert done.returncode == 0, done.stderr


def test_what_killed_runs_left_is_swept_also_one_folder_below(tmp_path):
    for stray in (tmp_path / ".index.html.abcd1234.part", tmp_path / "maps" / ".a.npz.abcd1234.part"):
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("half")

    with sole_run(tmp_path, "relax audit"):
        assert sorted(path.name for path in tmp_path.rglob("*.part")) == []
