"""What an audit will take is told before it begins, from seconds that are measured on a few of its pictures."""

import numpy as np
import pytest

import relax
from relax.auditing import forecast as module
from relax.auditing import run as audit_run
from relax.auditing.forecast import forecast
from relax.auditing.options import Options
from relax.cli.app import run
from relax.keywords import AuditKeywords
from relax.settings import Settings
from tests.relax.auditing.test_audit_run import SeesRed, write_pictures

SETTINGS = Settings.of({"masks": 100}, AuditKeywords, "audit")
OPTIONS = Options(None, None, 5, 10, None, None, ("pca",), SETTINGS)
TIMED = module.Timed(0.25, 0.5, 0.125, 1000, 0.5, 1.0, 384)


@pytest.fixture
def timed(monkeypatch):
    """A machine on which each step takes a known time, and comparing pictures twice that of the known audit."""
    monkeypatch.setattr(module, "_timed", lambda *_: TIMED)
    monkeypatch.setattr(module, "_pair", lambda _: 2 * module.PAIR)


def paths_in(folders, count):
    return [f"{folder}/{number}.png" for folder in folders for number in range(count)]


def test_each_step_is_multiplied_by_how_often_it_is_done(timed, tmp_path):
    told = forecast(tmp_path, paths_in("ab", 5000), relax.load_encoder("default", "cpu"), OPTIONS)

    assert told.pictures == 10_000
    assert told.seconds["embedding"] == pytest.approx(10_000 * (TIMED.reading + TIMED.passing))
    assert told.seconds["explaining and hiding"] == pytest.approx((2 * 5 * 100 + 2 * 10 * 49) * TIMED.passing)
    assert told.seconds["checking"] == pytest.approx(10_000 * TIMED.checking)
    assert told.seconds["comparing"] == pytest.approx(
        2 * (96**2 + 0.5 * 2 * 40**2) * 2 * module.PAIR
    )  # and two folders
    assert told.seconds["writing"] == pytest.approx(2 * module.OPENED + 10_000 * (TIMED.shrinking + 2 * module.WRITTEN))
    vectors = 2 * 10_000 + 2 * 10 * 49  # of the table and the index, and with each cell hidden
    assert told.disk == module.PAGE + module.ROW * 10_000 + vectors * 4 * 384 + 5 * TIMED.map_bytes


def test_workers_share_the_passes_and_no_other_step(timed, tmp_path):
    encoder, paths = relax.load_encoder("default", "cpu"), paths_in("ab", 300)
    alone, two = (forecast(tmp_path, paths, encoder, OPTIONS, workers=workers).seconds for workers in (1, 2))

    shared = {name for name in alone if two[name] == pytest.approx(alone[name] / 2)}
    assert shared == {"embedding", "explaining and hiding"}
    assert all(two[name] == alone[name] for name in alone.keys() - shared)


def test_it_is_told_once_before_the_first_picture_is_embedded(tmp_path, monkeypatch):
    write_pictures(tmp_path / "photos", 12, marked=0)
    monkeypatch.setattr(audit_run, "MANY", 12)
    told, stages = [], []

    audit = relax.audit(
        tmp_path / "photos",
        SeesRed(),
        tmp_path / "out",
        explain=0,
        hide=0,
        layouts=["pca"],
        progress=lambda stage, *_: stages.append(stage),
        told=lambda forecast: told.append((forecast, list(stages))),
    )

    ((forecast, before),) = told
    assert before == []
    assert forecast.pictures == len(audit.paths) == 12
    assert all(np.isfinite(seconds) and seconds >= 0 for seconds in forecast.seconds.values())
    assert str(forecast).startswith("12 pictures: about ")


def test_the_command_says_it_of_many_pictures_and_not_of_few(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "photos", 12, marked=0)
    few = ["audit", "photos", "--explain", "0", "--hide", "0", "--layouts", "pca", "--out", "out"]

    run(few)
    assert "12 pictures" not in capsys.readouterr().err
    monkeypatch.setattr(audit_run, "MANY", 12)
    run([*few, "--quiet"])
    assert "12 pictures" not in capsys.readouterr().err
    run(few)
    assert "note: 12 pictures: about " in capsys.readouterr().err


def test_pictures_of_which_none_can_be_read_have_no_forecast(tmp_path):
    (tmp_path / "0.png").write_text("no picture")

    assert forecast(tmp_path, ["0.png"], relax.load_encoder("default", "cpu"), OPTIONS) is None
