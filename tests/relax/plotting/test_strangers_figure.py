"""The figure of strange pictures has a dot for each picture, and its page a chapter with the areas."""

import numpy as np
import pytest

from relax.metrics import Evaluation, Outcome, metrics_named
from relax.questions.strangers import Sight, Strangers
from relax.report import evaluation_report


@pytest.fixture
def strangers():
    """Three known pictures and two strange ones, which the distance separates and the uncertainty does not."""
    values = [(0.1, 0.8, 0.1), (0.3, 0.7, 0.2), (0.2, 0.9, 0.15), (0.2, 0.6, 0.5), (0.15, 0.65, 0.7)]
    return Strangers(tuple(Sight(str(n), n > 2, *row) for n, row in enumerate(values)), 2)


def test_each_picture_is_a_dot_in_the_row_of_its_kind(strangers):
    panels = strangers.plot().axes

    assert [panel.get_title(loc="left").splitlines()[1][:10] for panel in panels] == [
        "AUROC 0.42",
        "AUROC 1.00",
        "AUROC 1.00",
    ]
    for panel, name in zip(panels, ("uncertainty", "importance", "distance"), strict=True):
        known, strange = (np.asarray(kind.get_offsets()) for kind in panel.collections)
        assert known[:, 0] == pytest.approx([getattr(sight, name) for sight in strangers.sights[:3]])
        assert strange[:, 0] == pytest.approx([getattr(sight, name) for sight in strangers.sights[3:]])
        assert (abs(known[:, 1]) < 0.5).all()
        assert (abs(strange[:, 1] - 1) < 0.5).all()


def test_the_page_has_a_chapter_and_the_findings_say_it(strangers):
    evaluation = Evaluation((Outcome("a", "relax", {"entropy": 0.5}, 3.0),), tuple(metrics_named(["entropy"])), {})

    report = evaluation_report(evaluation, strangers=strangers)

    (chapter,) = (part for part in report.sections if part.title == "Pictures of another kind")
    table = chapter.blocks[1].rows
    assert [(row[0], round(row[1], 3)) for row in table] == [("uncertainty", 0.417), ("importance", 1), ("distance", 1)]
    assert any(finding.startswith("The distance flags strange pictures (AUROC 1.00") for finding in report.findings)
    assert not any(part.title == chapter.title for part in evaluation_report(evaluation).sections)


def test_it_is_written_beside_the_tables(strangers, tmp_path):
    names = [path.name for path in strangers.save(tmp_path)]

    assert names == ["strange.csv", "strange.json", "strange.png"]
    assert (tmp_path / "strange.png").read_bytes().startswith(b"\x89PNG")
