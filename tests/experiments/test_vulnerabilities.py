"""The check for vulnerabilities fails on one, says how far it went, and never calls what it could not ask harmless."""

import sys

from experiments.vulnerabilities import answers, verdict

HOLE = {"id": "CVE-2030-1", "fix_versions": ["2.1", "3.0"], "aliases": [], "description": "long"}
GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [HOLE, {**HOLE, "id": "CVE-2030-2", "fix_versions": []}]}
UNKNOWN = {"name": "new", "skip_reason": "not found"}


def test_a_vulnerability_fails_the_check_and_names_the_way_out():
    code, text = verdict([GOOD, BAD, UNKNOWN])

    assert code == 1
    assert text.splitlines() == [
        "bad 2.0: CVE-2030-1, fixed in 2.1 and 3.0",
        "bad 2.0: CVE-2030-2, fixed in no version",
        "vulnerabilities: 2 known, 2 packages checked; no answer for new",
    ]


def test_none_is_said_only_of_what_was_checked():
    assert verdict([GOOD, UNKNOWN]) == (0, "vulnerabilities: none known, 1 packages checked; no answer for new")


def test_without_any_answer_the_check_is_skipped_with_the_reason():
    assert verdict([], "no route to host") == (0, "vulnerabilities: check skipped, no route to host")
    assert verdict([UNKNOWN, UNKNOWN]) == (
        0,
        "vulnerabilities: check skipped, the database answers for none of 2 packages: not found",
    )


def tool(script):
    """A stand-in for pip-audit, whose arguments end in the file of pins, --output and the file of answers."""
    return sys.executable, "-c", f"import sys, json; pins, report = sys.argv[-3], sys.argv[-1]\n{script}"


def test_the_pins_are_asked_about_and_the_answers_read():
    script = """
names = [line.split("==")[0] for line in open(pins).read().splitlines()]
json.dump({"dependencies": [{"name": name} for name in names]}, open(report, "w"))
sys.exit(1)  # as if there was a vulnerability
"""
    assert answers(["a==1", "b==2"], tool(script)) == ([{"name": "a"}, {"name": "b"}], "")


def test_a_failure_of_the_tool_is_a_reason():
    assert answers(["a==1"], tool("sys.exit('one\\ntwo: unreachable')")) == ([], "two: unreachable")
    assert answers(["a==1"], tool("sys.exit(3)")) == ([], "exit code 3 without a word")
