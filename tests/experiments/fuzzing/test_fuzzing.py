"""A damaged file ends in a plausible answer or a clear error, and the judge that says so sees every fault."""

import json
import sys
import warnings
import zlib

import numpy as np
import pytest

from experiments import fuzz
from experiments.fuzzing.case import Case
from experiments.fuzzing.doors import Door
from experiments.fuzzing.judge import GOOD, judge_answer
from experiments.fuzzing.mutations import ANY
from experiments.fuzzing.runner import Runner
from experiments.fuzzing.samples import SAMPLES, write_samples
from experiments.fuzzing.structures import STRUCTURES
from tests.experiments.fuzzing import planted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")
CASES = 4 * len(SAMPLES)  # some two hundred; experiments/results/fuzz.json is of ten thousand


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    return folder


def test_damaged_files_of_every_format_end_in_an_answer_or_a_clear_error(good):
    runner = Runner("experiments.fuzzing.samples:SAMPLES", SAMPLES, good, seed=1)

    rows = list(runner.run(range(CASES)))

    assert [row for row in rows if row["outcome"] not in GOOD] == []
    assert {row["sample"] for row in rows} == {sample.name for sample in SAMPLES}
    for outcome in GOOD:
        assert sum(row["outcome"] == outcome for row in rows) > CASES / 10


def test_the_judge_sees_every_fault_and_the_run_goes_on_after_it(tmp_path):
    write_samples(tmp_path, planted.SAMPLES)
    table = "tests.experiments.fuzzing.planted:SAMPLES"
    runner = Runner(table, planted.SAMPLES, tmp_path, seed=0, limit=6, waiting=5)

    rows = list(runner.run(range(len(planted.SAMPLES))))

    assert {row["sample"]: row["outcome"] for row in rows} == {
        name: outcome for name, (_, outcome) in planted.DOORS.items()
    }
    assert next(row["detail"] for row in rows if row["sample"] == "crash") == "killed by SIGSEGV"
    for sample in planted.SAMPLES:
        assert (tmp_path / sample.name / sample.file).read_bytes() == planted.GOOD


def test_an_answer_that_is_told_of_by_a_warning_is_not_silent():
    verdict = judge_answer(Door(lambda path: {}), {"values": [float("nan")]}, ["3 % of the pixels are NaN"])

    assert (verdict.outcome, verdict.detail) == ("right", "warned: 3 % of the pixels are NaN")


def test_good_samples_are_right_without_a_warning(good):
    for sample in SAMPLES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = sample.door.read(good / sample.name / sample.file)
        assert judge_answer(sample.door, answer, []).outcome == "right", sample.name


def test_a_number_is_always_the_same_case(good):
    for number in range(len(SAMPLES)):
        first, second = (Case.of(number, 5, SAMPLES, good) for _ in range(2))
        assert first == second
    assert Case.of(0, 5, SAMPLES, good).content != Case.of(0, 6, SAMPLES, good).content


@pytest.mark.parametrize("kind", sorted({sample.format for sample in SAMPLES}))
def test_every_mutation_changes_files_and_fails_on_none(kind, good):
    files = [good / sample.name / sample.file for sample in SAMPLES if sample.format == kind]
    for mutation in (*STRUCTURES.get(kind, ()), *ANY):
        rng = np.random.default_rng(0)
        data = [file.read_bytes()[: 1 << 20 if mutation in ANY else None] for file in files]
        changed = [mutation(content, rng) != content for content in data for _ in range(10)]
        assert sum(changed) > len(changed) / 3, mutation.__name__


def test_damage_that_keeps_to_the_structure_of_png_has_right_checksums(good):
    data = (good / "png_grey" / "a.png").read_bytes()
    for number in range(20):
        for mutation in STRUCTURES["png"]:
            changed, start = mutation(data, np.random.default_rng(number)), 8
            while start < len(changed):
                stop = start + 8 + int.from_bytes(changed[start : start + 4], "big")
                assert int.from_bytes(changed[stop : stop + 4], "big") == zlib.crc32(changed[start + 4 : stop])
                start = stop + 4


def test_the_command_writes_the_table_and_goes_on_where_it_was_stopped(run_experiment, tmp_path, capsys):
    options = ("--cases", "4", "--kept", tmp_path / "runs")
    kept = tmp_path / "runs" / f"fuzz-0-{fuzz.code_digest()}.jsonl"
    kept.parent.mkdir()
    row = {"case": 0, "format": "png", "sample": "png_grey", "mutation": "zeros", "outcome": "crash", "detail": "x"}
    kept.write_text(json.dumps(row) + "\n")

    rows, summary = run_experiment(fuzz, "fuzz", *options)

    assert len(kept.read_text().splitlines()) == 4
    assert [(row["format"], row["cases"], row["crash"]) for row in rows] == [("png", "4", "1")]
    assert summary["faults"] == [row]
    assert summary["outcomes"]["crash"] == 1
    assert sum(summary["outcomes"].values()) == summary["cases"] == 4

    capsys.readouterr()
    run_experiment(fuzz, "fuzz", "--case", "2", "--kept", tmp_path / "runs")

    shown = capsys.readouterr().out
    assert '"case": 2' in shown
    assert (tmp_path / "runs" / "case-2-a.png").is_file()
