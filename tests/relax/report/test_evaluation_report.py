"""The page of an evaluation says which method is ahead, and holds every mean, every figure and every failure."""

import numpy as np
import pytest

from relax.metrics import METRICS, Evaluation, Outcome
from relax.report import Chart, Grid, evaluation_report, write_report

BAD = "<script>alert(1)</script>.png"


@pytest.fixture
def evaluation():
    values = {"relax": 0.9, "random": 0.2}
    outcomes = [
        Outcome(f"{picture}.png", method, {"auc": value}, 10.0, curves={"insertion": (0.0, value, 1.0)})
        for picture in range(7)
        for method, value in values.items()
    ]
    outcomes.append(Outcome(BAD, "", {}, failure=f"{BAD}: not a PNG"))
    return Evaluation(tuple(outcomes), (METRICS["auc"],), {"encoder": {"name": "default"}, "seed": 0})


def test_findings_table_figures_and_failures_are_those_of_the_evaluation(evaluation):
    report = evaluation_report(evaluation)

    assert report.findings == (
        "7 pictures were scored through encoder default for relax, random.",
        "Localisation: relax is ahead of random on 7 pictures.",
    )
    blocks = [block for section in report.sections for block in section.blocks]
    assert sum(isinstance(block, Chart) for block in blocks) == 3
    means, failures = (block for block in blocks if isinstance(block, Grid))
    assert [row[:7] for row in means.rows] == [
        ("auc", "higher", "relax", pytest.approx(0.9), pytest.approx(0.9), pytest.approx(0.9), 1),
        ("auc", "higher", "random", *[pytest.approx(0.2)] * 3, 2),
    ]
    assert failures.rows == ((BAD, None, f"{BAD}: not a PNG"),)
    assert report.settings["seed"] == 0


def test_the_page_is_written_and_names_are_escaped(evaluation, tmp_path):
    text = write_report(evaluation_report(evaluation, "Ours"), tmp_path / "page.html").read_text()

    assert "<h1" in text
    assert "Ours" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert text.count("data:image/png;base64") == 3


def test_without_a_value_there_is_no_report():
    failed = Evaluation((Outcome("a.png", "relax", {}, failure="a.png: no picture"),), (), {})

    with pytest.raises(ValueError, match="evaluation has no values to report"):
        evaluation_report(failed)
    assert np.isnan(failed.passes.get("relax", np.nan))
