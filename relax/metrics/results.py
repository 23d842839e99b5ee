"""The values of many pictures, methods and metrics: their summary, and the files that keep them.

evaluation.csv      image, method, metric, value: every value; empty where a metric has none; "passes" is the cost;
                    score: what the metrics of faithfulness judge the map by
summary.csv         mean, 95 % interval, number of images and rank of each method, metric by metric
summary.json        the same, with the settings and what failed

In the tables, text that a spreadsheet would take for a formula has an apostrophe in front (`relax.text.csv_text`).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from encoders.errors import one_line
from relax.files import written_together
from relax.metrics.maps import UNDEFINED
from relax.metrics.metric import Metric
from relax.metrics.summary import Mean, summarise
from relax.records import read_json
from relax.text import cell_text, csv_text

ROW = ("image", "method", "metric", "value", "score")
PASSES = "passes"  # the row of evaluation.csv that says what the explanation cost
FILES = ("evaluation.csv", "summary.csv", "summary.json")


@dataclass(frozen=True)
class Outcome:
    """The values, or the failure, of one method on one picture.

    Attributes:
        image: Name of the picture.
        method: Name of the method; "" where the picture itself could not be used.
        values: By metric, NaN where it has no value.
        passes: Encoder passes of the explanation.
        failure: Why there are no values, in one line; "" if there are.
        score: What hiding pixels was to change for the metrics of faithfulness, such as "probability of 'cat'".
    """

    image: str
    method: str
    values: Mapping[str, float]
    passes: float = UNDEFINED
    failure: str = ""
    score: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Methods scored on pictures.

    Attributes:
        outcomes: One per picture and method.
        metrics: In the order requested.
        settings: How it was made, as JSON types.
    """

    outcomes: tuple[Outcome, ...]
    metrics: tuple[Metric, ...]
    settings: dict[str, Any]

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes without values."""
        return [outcome for outcome in self.outcomes if outcome.failure]

    @property
    def passes(self) -> dict[str, float]:
        """Mean encoder passes per picture, by method."""
        by_method: dict[str, list[float]] = {}
        for outcome in self.outcomes:
            if not outcome.failure:
                by_method.setdefault(outcome.method, []).append(outcome.passes)
        return {method: float(np.mean(passes)) for method, passes in by_method.items()}

    def summary(self) -> list[Mean]:
        """Mean, 95 % interval over pictures and rank of each method, metric by metric."""
        rows = [
            (outcome.method, metric, value) for outcome in self.outcomes for metric, value in outcome.values.items()
        ]
        directions = {metric.name: metric.direction for metric in self.metrics}
        return summarise(rows, directions, self.passes, self._scores(), seed=int(self.settings.get("seed", 0)))

    def save(self, folder: str | Path) -> list[Path]:
        """Write evaluation.csv (one value a row), summary.csv and summary.json; all three or none. Returns the paths.

        Raises:
            OSError: If the folder cannot be written to.
        """
        paths = [Path(folder) / name for name in FILES]
        means = self.summary()
        failures = [
            {"image": outcome.image, "method": outcome.method, "why": outcome.failure} for outcome in self.failures
        ]
        summary = {
            "settings": self.settings,
            "summary": [without_nan(asdict(mean)) for mean in means],
            "failures": failures,
        }
        columns = [field.name for field in fields(Mean)]
        texts = (
            csv_text([ROW, *self._rows()]),
            csv_text([columns, *([_cell(getattr(mean, name)) for name in columns] for mean in means)]),
            json.dumps(summary, indent=2, allow_nan=False) + "\n",
        )
        with written_together(paths) as asides:
            for aside, text in zip(asides, texts, strict=True):
                aside.write_text(text, encoding="utf-8", newline="")
        return paths

    def _scores(self) -> dict[tuple[str, str], str]:
        """What is scored, by (metric, method); nothing for metrics that score nothing."""
        scores: dict[str, str] = self.settings.get("scores") or {}
        judging = [metric.name for metric in self.metrics if metric.needs == "trial"]
        return {(metric, method): score for metric in judging for method, score in scores.items()}

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for outcome in self.outcomes:
            if not outcome.failure:
                yield outcome.image, outcome.method, PASSES, _cell(outcome.passes), outcome.score
                for metric, value in outcome.values.items():
                    yield outcome.image, outcome.method, metric, _cell(value), outcome.score


def read_outcomes(folder: str | Path) -> tuple[list[Outcome], dict[str, Any]]:
    """Read back what `Evaluation.save` wrote: outcomes with values, and the settings. Nothing, where there is nothing.

    Raises:
        ValueError: If the files are not whole.
    """
    table, _, summary = (Path(folder) / name for name in FILES)
    if not table.exists() or not summary.exists():
        return [], {}
    try:
        settings = dict(read_json(summary.read_bytes())["settings"])
        by_map: dict[tuple[str, str, str], dict[str, float]] = {}
        with table.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream)
            for row in rows:
                if None in row or None in row.values():
                    raise ValueError(f"line {rows.line_num} of {table.name} has more or fewer cells than its header")
                value = float(row["value"]) if row["value"] else UNDEFINED
                if math.isinf(value):
                    raise ValueError(f"line {rows.line_num} of {table.name} has an infinite value")
                key = cell_text(row["image"]), cell_text(row["method"]), cell_text(row.get("score") or "")
                by_map.setdefault(key, {})[row["metric"]] = value
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{folder} holds an evaluation that cannot be read ({one_line(error)}): remove it, or name another folder"
        ) from None
    outcomes = [
        Outcome(image, method, values, values.pop(PASSES, UNDEFINED), score=score)
        for (image, method, score), values in by_map.items()
    ]
    return outcomes, settings


def _cell(value: object) -> str:
    """Text that reads back as the same number; nothing for NaN."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return str(value)


def without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN is not JSON: null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
