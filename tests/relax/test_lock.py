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
import sys, time
from pathlib import Path
from relax.lock import sole_run
with sole_run(Path(sys.argv[1]), "relax audit"):
    print("holding", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_run(tmp_path):
    """Another process that holds the folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path / "out"], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "holding\n"
    yield process
    process.kill()
    process.communicate()


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


def in_a_process(folder):
    """Enter and leave the folder in another process."""
    code = HOLDING.replace("sleep(60)", "sleep(0)")
    environment = {**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment)
    if "InUse" in done.stderr:
        raise InUse(done.stderr)
    assert done.returncode == 0, done.stderr


def test_what_killed_runs_left_is_swept_also_one_folder_below(tmp_path):
    for stray in (tmp_path / ".index.html.abcd1234.part", tmp_path / "maps" / ".a.npz.abcd1234.part"):
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("half")

    with sole_run(tmp_path, "relax audit"):
        assert sorted(path.name for path in tmp_path.rglob("*.part")) == []
