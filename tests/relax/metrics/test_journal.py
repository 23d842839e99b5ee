"""Outcomes are on the disk as soon as they come, and half a line, of a kill or a full disk, costs only itself."""

import math
import re

import pytest

from relax.files import WriteError
from relax.metrics import Outcome
from relax.metrics.journal import Journal

SETTINGS = {"seed": 3, "encoder": "default"}
FIRST = Outcome("a.png", "relax", {"auc": 0.1, "entropy": 1 / 3}, 17.0)
SECOND = Outcome("ü\n.png", "random", {"auc": 0.5})


def test_what_was_added_reads_back(tmp_path):
    journal = Journal(tmp_path / "out", SETTINGS)
    undefined = Outcome("b.png", "relax", {"auc": math.nan}, 3.0)
    for outcome in (FIRST, SECOND, undefined):
        journal.add(outcome, "1")

    first, second, third = Journal(tmp_path / "out", dict(reversed(SETTINGS.items()))).read(
        dict.fromkeys(("a.png", "ü\n.png", "b.png"), "1")
    )

    assert first == FIRST
    assert (second.image, second.method, second.values) == (SECOND.image, SECOND.method, SECOND.values)
    assert math.isnan(second.passes)
    assert math.isnan(third.values["auc"])


def test_other_settings_have_another_journal(tmp_path):
    Journal(tmp_path, SETTINGS).add(FIRST, "1")

    assert Journal(tmp_path, {**SETTINGS, "seed": 4}).read({"a.png": "1"}) == []


def test_a_picture_that_changed_is_left_out(tmp_path):
    Journal(tmp_path, SETTINGS).add(FIRST, "1")

    assert Journal(tmp_path, SETTINGS).read({"a.png": "2"}) == []


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_is_passed_over_and_the_next_is_whole(tmp_path, cut):
    journal = Journal(tmp_path, SETTINGS)
    journal.add(SECOND, "1")
    content = journal.path.read_bytes()
    journal.path.write_bytes(content + content[:cut])
    journal.add(FIRST, "1")

    assert journal.read({"a.png": "1", SECOND.image: "1"})[-1] == FIRST
    assert len(journal.read({"a.png": "1", SECOND.image: "1"})) == 2


@pytest.mark.parametrize("damage", [b"1e999", b"Infinity", b'"x"', b"[]"])
def test_a_line_whose_value_is_none_is_passed_over(tmp_path, damage):
    journal = Journal(tmp_path, SETTINGS)
    journal.add(FIRST, "1")
    journal.path.write_bytes(re.sub(rb'"passes": [^,]+', b'"passes": ' + damage, journal.path.read_bytes()))

    assert journal.read({"a.png": "1"}) == []


def test_a_disk_that_is_full_is_named(tmp_path):
    (tmp_path / Journal(tmp_path, SETTINGS).path.name).mkdir()

    with pytest.raises(WriteError, match=r"evaluation-\w+\.jsonl cannot be written"):
        Journal(tmp_path, SETTINGS).add(FIRST, "1")
