"""Workers of Ray leave the files that one process leaves, also when one of them is killed."""

import os
import signal
import sys

import pytest

from relax import cluster
from relax import crew as module
from relax.bulk.explaining import _by_crew, explain_all
from relax.cluster import check_workers
from relax.crew import Crew
from relax.files import WriteError
from relax.settings import Settings
from tests.relax.bulk.test_bulk_run import FAST, Colours, files, picture


def fatal(marker):
    """An encoder that kills its process at the sixth batch, unless the marker is there; sent by Ray as it is."""

    class Fatal:
        def __init__(self):
            self.batches, self.marker = 0, str(marker)

        def __call__(self, pixels):
            self.batches += 1
            if self.batches == 6 and not os.path.exists(self.marker):
                with open(self.marker, "w"):
                    os.kill(os.getpid(), signal.SIGKILL)
            return pixels.mean((2, 3)) + pixels[:, :, ::2].amax((2, 3))

    return Fatal()


@pytest.fixture
def photos(tmp_path):
    for number in range(8):
        picture(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


def test_two_workers_of_which_one_is_killed_leave_the_same_files(photos, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    monkeypatch.setitem(sys.modules, "open_clip", object())  # versions of what is loaded here alone make no difference
    on_sigterm = signal.getsignal(signal.SIGTERM)
    (tmp_path / "alone").touch()
    explain_all(photos, fatal(tmp_path / "alone"), out=tmp_path / "one", shard=2, **FAST)
    counted = []

    maps = explain_all(
        photos,
        fatal(tmp_path / "killed"),
        out=tmp_path / "two",
        shard=2,
        workers=2,
        progress=lambda done, of: counted.append(done),
        **FAST,
    )

    assert (tmp_path / "killed").exists()
    assert len(maps) == 8
    assert counted == [0, 2, 4, 6, 8]
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert not (tmp_path / "two" / "parts").exists()
    assert signal.getsignal(signal.SIGTERM) is on_sigterm


def test_ray_that_cannot_start_leaves_sigterm_as_it_was(monkeypatch):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    monkeypatch.setattr(cluster, "STORE_BYTES", 1)  # less than Ray takes
    on_sigterm = signal.getsignal(signal.SIGTERM)

    with pytest.raises(ValueError, match="object store"):
        next(cluster.spread(dict, [0], workers=2))

    assert signal.getsignal(signal.SIGTERM) is on_sigterm


def test_ray_that_gives_up_is_told_in_a_line(monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")

    def give_up(**_):
        raise Exception("The current node timed out during startup.\nThis could happen.")

    monkeypatch.setattr(ray, "init", give_up)

    with pytest.raises(
        ConnectionError, match=r"^Ray did not start \(The current node timed out .* less to do, or without"
    ):
        next(cluster.spread(dict, [0], workers=2))


def test_an_address_at_which_nothing_listens_is_refused_at_once():
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with pytest.raises(ConnectionError, match=r"HOST:PORT .* nothing answers at 127\.0\.0\.1:1 \(.*refused"):
        check_workers(None, "127.0.0.1:1")


@pytest.mark.parametrize(("place", "error"), [("shards", WriteError), (None, module.EncoderError)])
def test_what_a_worker_cannot_do_is_raised_here(photos, tmp_path, monkeypatch, place, error):
    """The ways of an error to this process, without another one."""
    monkeypatch.setattr(module, "spread", lambda make, items, *_: (work(item) for work in [make()] for item in items))
    monkeypatch.setattr(module, "check_workers", lambda *_: None)
    explain_all(photos / "0.png", Colours(), out=tmp_path / "out", **FAST)
    if place:
        (tmp_path / "out" / place).rename(tmp_path / "away")
        (tmp_path / "out" / place).touch()
    encoder = Colours() if place else Colours.__call__
    crew = Crew(2, None, lambda: module_loaded(encoder))
    steps = _by_crew(crew, module_loaded(Colours()), tmp_path / "out", Settings.of(FAST), False, [0])

    with pytest.raises(error, match=r"shards.* cannot be written" if place else "has another name in a worker"):
        next(steps)


def module_loaded(encoder):
    import encoders

    return encoders.load(encoder)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    check_workers(1, None)
    with pytest.raises(ImportError, match=r'pip install "relax-explainer\[ray\]"'):
        check_workers(2, None)
    with pytest.raises(ImportError, match=r'pip install "relax-explainer\[ray\]"'):
        check_workers(None, "auto")
    with pytest.raises(ValueError, match="workers must be a number of processes, 1 or more; got 0"):
        check_workers(0, None)
    with pytest.raises(ValueError, match="ray must be the address of a Ray cluster; got 3"):
        check_workers(None, 3)
