"""The mutants that mutmut notes are read back as places, changes and a score; judgements outlive the next run."""

import json

import pytest

from experiments.benchmarks.mutants import changed_line, judged, mutants, outcome, score, survivor

SOURCE = """def shown(values):
    if not values:
        raise ValueError("no values")
    return values[0] + 1


class Sum:
    @classmethod
    def of(cls, values):
        return sum(values)
"""

GENERATED = """def x_shown__mutmut_orig(values):
    if not values:
        raise ValueError("no values")
    return values[0] + 1

def x_shown__mutmut_1(values):
    if values:
        raise ValueError("no values")
    return values[0] + 1

def x_shown__mutmut_2(values):
    if not values:
        raise ValueError("XXno valuesXX")
    return values[0] + 1

def x_shown__mutmut_3(values):
    if not values:
        raise ValueError("no values")
    return values[0] - 1

class Sum:
    def xǁSumǁof__mutmut_orig(cls, values):
        return sum(values)

    def xǁSumǁof__mutmut_1(cls, values):
        return sum(None)
"""


@pytest.fixture
def folder(tmp_path):
    """What a run of mutmut leaves behind."""
    (tmp_path / "masking").mkdir()
    (tmp_path / "masking" / "part.py").write_text(SOURCE)
    (tmp_path / "masking" / "other.py").write_text("NOTHING = 1\n")
    (tmp_path / "mutants" / "masking").mkdir(parents=True)
    (tmp_path / "mutants" / "masking" / "part.py").write_text(GENERATED)
    codes = {"x_shown__mutmut_1": 1, "x_shown__mutmut_2": 0, "x_shown__mutmut_3": 33, "xǁSumǁof__mutmut_1": -24}
    noted = {"exit_code_by_key": {f"masking.part.{name}": code for name, code in codes.items()}}
    (tmp_path / "mutants" / "masking" / "part.py.meta").write_text(json.dumps(noted))
    return tmp_path


def test_every_mutant_has_its_place_and_its_change(folder):
    rows = [
        tuple(mutant[key] for key in ("line", "function", "change", "outcome")) for mutant in mutants("masking", folder)
    ]

    assert rows == [
        (2, "shown", "if not values: -> if values:", "killed"),
        (3, "shown", 'raise ValueError("no values") -> raise ValueError("XXno valuesXX")', "survived"),
        (4, "shown", "return values[0] + 1 -> return values[0] - 1", "no tests"),
        (10, "Sum.of", "return sum(values) -> return sum(None)", "timeout"),
    ]


def test_the_score_counts_what_was_seen_among_all(folder):
    assert score(list(mutants("masking", folder))) == {
        "mutants": 4,
        "run": 4,
        "killed": 2,
        "score": 0.5,
        "outcomes": {"killed": 1, "no tests": 1, "survived": 1, "timeout": 1},
    }


def test_mutants_that_were_not_run_are_not_counted_as_run():
    rows = [{"outcome": outcome(code)} for code in (1, None, -11, 0)]

    assert (score(rows)["run"], score(rows)["killed"], score(rows)["score"]) == (3, 2, round(2 / 3, 4))


def test_a_judgement_outlives_the_next_run_and_a_new_survivor_is_to_do(folder):
    _, message, change, _ = mutants("masking", folder)
    known = {("masking/part.py", "shown", change["change"]): "equivalent: for once"}

    assert judged(message, {}) == "not worth it: the words of a message"
    assert judged(change, {}) == "to do"
    assert survivor(change, known)["judgement"] == "equivalent: for once"
    assert "message" not in survivor(change, known)


@pytest.mark.parametrize(
    ("change", "judgement"),
    [
        ("zip(a, b, strict=True) -> zip(a, b, strict=False)", "not worth it: a guard"),
        ("zip(a, b, strict=True) -> zip(a, b, )", "not worth it: a guard"),
        ("cast(Tensor, x) -> cast(None, x)", "equivalent: a type"),
        ("torch.zeros(3, device=x.device) -> torch.zeros(3, device=None)", "not worth it: the tests have one device"),
        ("torch.zeros(3, device=x.device) -> torch.zeros(3, )", "not worth it: the tests have one device"),
        ("x.to(self.device) -> x.to(None)", "not worth it: the tests have one device"),
        ('torch.einsum("na,nb->ab", x, y) -> torch.einsum("NA,NB->AB", x, y)', "equivalent: other letters"),
        ("x.to(self.device) + 1 -> x.to(self.device) - 1", "to do"),
        ("zip(a, b, strict=True) -> zip(a, None, strict=True)", "to do"),
    ],
)
def test_some_kinds_of_change_answer_themselves(change, judgement):
    mutant = {"file": "a.py", "function": "f", "change": change, "message": False}

    assert judged(mutant, {}).startswith(judgement)


def test_a_change_of_the_signature_is_shown_without_mangled_names():
    before = ["def x_mean__mutmut_orig(values, start: int = 0):", "    return 1"]
    after = ["def x_mean__mutmut_2(values, start: int = 1):", "    return 1"]

    assert changed_line(before, after) == (0, "def mean(values, start: int = 0): -> def mean(values, start: int = 1):")
