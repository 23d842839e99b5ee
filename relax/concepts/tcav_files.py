"""A concept test as files: a table, a record, a chart, a page, and the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

from relax.concepts.files import as_json, rounded, write_folder
from relax.concepts.significance import LEVEL
from relax.plotting.drawing import file_of
from relax.report.content import Chart, Grid, Report, Section
from relax.report.page import page
from relax.text import csv_text

if TYPE_CHECKING:
    from relax.concepts.tcav import ConceptTest

COLUMNS = (
    *("concept", "pictures", "accuracy", "accuracy_p", "score", "spread", "sensitivity", "p", "corrected_p"),
    *("meaningful", "published_p", "published_error"),
)


def save_test(test: ConceptTest, folder: Path) -> list[Path]:
    """Write tcav.csv, tcav.json, tcav.png, tcav.html and cavs.safetensors."""
    chart = file_of(test.plot())
    vectors = {score.concept: np.ascontiguousarray(score.direction, np.float32) for score in test.scores}
    about = {"layer": test.layer, "cells": str(test.record["cells"]), "encoder": str(test.record["encoder"]["name"])}
    return write_folder(
        folder,
        {
            "tcav.csv": csv_text([COLUMNS, *_rows(test)]).encode(),
            "tcav.json": as_json(_record(test)),
            "tcav.png": chart,
            "tcav.html": page(concept_report(test, chart)).encode(),
            "cavs.safetensors": save(vectors, metadata=about),
        },
    )


def concept_report(test: ConceptTest, chart: bytes) -> Report:
    """The page of a concept test, for `relax.write_report`."""
    about = (
        "A concept's vector tells its pictures from random ones in the layer. Accuracy is that on pictures held out, "
        "50 % being chance. The score is the share of the pictures along whose vector the number asked for rises; "
        f"sensitivity is the mean cosine of its gradient and the vector, and p its chance among "
        f"{test.record['shuffles']} sets of pictures drawn without regard to the concept."
    )
    picture = Chart(
        chart,
        "Large dots: the concepts, filled where accuracy and sensitivity are both beyond chance, with the accuracy of "
        "their vectors. Small dots: pictures that are no concept.",
        " ".join(test.sentences()),
    )
    note = (
        f"Meaningful: p of the accuracy and corrected p (Benjamini and Hochberg) are at most {LEVEL:g}. The published "
        "t-test is not used; published error says how often it calls pictures significant that are no concept."
    )
    return Report(
        f"Do concepts move the {test.target}?",
        tuple(test.sentences()),
        (Section("Against chance", (about,), (picture, Grid("Concepts", COLUMNS, tuple(_rows(test)), note))),),
        settings=test.record,
        about_maps=False,
    )


def _rows(test: ConceptTest) -> list[tuple[Any, ...]]:
    return [
        tuple(int(value) if isinstance(value, bool) else rounded(value) if isinstance(value, float) else value
              for value in (getattr(score, name) for name in COLUMNS))
        for score in test.scores
    ]  # fmt: skip


def _record(test: ConceptTest) -> dict[str, Any]:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(test)]
    shuffled = {score.concept: [rounded(float(value)) for value in score.shuffled] for score in test.scores}
    return {**test.record, "sentences": [*test.sentences()], "concepts": rows, "shuffled": shuffled,
            "failed": test.failed}  # fmt: skip
