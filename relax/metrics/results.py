"""The values of many pictures, methods and metrics: their summary, and the files that keep them.

evaluation.csv      image, method, metric, value: every value; empty where a metric has none; "passes" is the cost;
                    score: what the metrics of faithfulness judge the map by
curves.csv          image, method, metric, share, score: the curves of insertion and deletion
summary.csv         mean, 95 % interval, number of images and rank of each method, metric by metric
summary.json        the same, with the settings, what failed, and which method is ahead
evaluation.png      ranks, metrics and curves with their intervals

In the tables, text that a spreadsheet would take for a formula has an apostrophe in front (`relax.text.csv_text`).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.errors import one_line
from relax.files import written_together
from relax.metrics.curves import Band, bands
from relax.metrics.maps import UNDEFINED
from relax.metrics.metric import Metric
from relax.metrics.paired import Standing, standings
from relax.metrics.summary import Mean, summarise
from relax.records import read_json
from relax.text import cell_text, csv_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = ("image", "method", "metric", "value", "score")
PASSES = "passes"  # the row of evaluation.csv that says what the explanation cost
POINT = ("image", "method", "metric", "share", "score")
FILES = ("evaluation.csv", "curves.csv", "summary.csv", "summary.json", "evaluation.png")


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
        curves: By metric, the scores (S,) while pixels are shown or hidden, at evenly spaced shares from 0 to 1.
    """

    image: str
    method: str
    values: Mapping[str, float]
    passes: float = UNDEFINED
    failure: str = ""
    score: str = ""
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


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

    def __repr__(self) -> str:
        methods, images = ({getattr(outcome, name): None for outcome in self.outcomes} for name in ("method", "image"))
        failed = f", {len(self.failures):,} of {len(self.outcomes):,} maps failed" if self.failures else ""
        metrics = ", ".join(metric.name for metric in self.metrics)
        return f"Evaluation of {', '.join(methods)} on {len(images):,} pictures{failed}\nby {metrics or 'no metric'}"

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
        return summarise(rows, directions, self.passes, self.scores, seed=int(self.settings.get("seed", 0)))

    def standings(self) -> list[Standing]:
        """Family by family: the mean rank of each method, and which of them cannot be told from the best."""
        return standings(self)

    def sentences(self) -> list[str]:
        """Which method is ahead, family by family, or that so few pictures cannot tell."""
        return [standing.sentence() for standing in self.standings()]

    def bands(self) -> dict[tuple[str, str], dict[str, Band]]:
        """The mean curve of each method with its interval, by metric and what is scored."""
        return bands(self.outcomes, self.scores)

    def plot(self, *parts: str) -> Figure:
        """Draw it; `figure.savefig(path)` writes a PNG, SVG or PDF.

        Args:
            parts: "ranks" of the methods family by family, "metrics" with their intervals, "curves" of insertion and
                deletion; all three if none is named.

        Raises:
            ValueError: If there is no such part, or nothing was scored.
        """
        from relax.plotting.evaluation import evaluation_figure  # matplotlib takes a while to load

        return evaluation_figure(self, parts)

    def save(self, folder: str | Path) -> list[Path]:
        """Write evaluation.csv (one value a row), curves.csv, summary.csv, summary.json and evaluation.png.

        All or none are written; curves and figure only where there are some. Returns the paths.

        Raises:
            OSError: If the folder cannot be written to.
        """
        means = self.summary()
        failures = [
            {"image": outcome.image, "method": outcome.method, "why": outcome.failure} for outcome in self.failures
        ]
        summary = {
            "settings": self.settings,
            "summary": [without_nan(asdict(mean)) for mean in means],
            "ahead": self.sentences(),
            "failures": failures,
        }
        columns = [field.name for field in fields(Mean)]
        table = [columns, *([_cell(getattr(mean, name)) for name in columns] for mean in means)]
        contents = {
            "evaluation.csv": csv_text([ROW, *self._rows()]).encode(),
            "curves.csv": csv_text([POINT, *self._points()]).encode(),
            "summary.csv": csv_text(table).encode(),
            "summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
            **({"evaluation.png": self._repr_png_()} if means else {}),
        }
        paths = [Path(folder) / name for name in contents]
        with written_together(paths) as asides:
            for aside, content in zip(asides, contents.values(), strict=True):
                aside.write_bytes(content)
        return paths

    def _repr_png_(self) -> bytes:
        """The figure in a notebook."""
        from relax.plotting.drawing import file_of  # matplotlib takes a while to load

        return file_of(self.plot())

    @property
    def scores(self) -> dict[tuple[str, str], str]:
        """What is scored, by (metric, method); nothing for metrics that score nothing."""
        scores: dict[str, str] = self.settings.get("scores") or {}
        judging = [metric.name for metric in self.metrics if metric.needs in ("trial", "itself")]
        return {(metric, method): score for metric in judging for method, score in scores.items()}

    def _points(self) -> Iterator[tuple[str, ...]]:
        for outcome in self.outcomes:
            for metric, scores in outcome.curves.items():
                for place, score in enumerate(scores):
                    share = round(place / (len(scores) - 1), 6)
                    yield outcome.image, outcome.method, metric, _cell(share), _cell(score)

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
    table, points, summary = (Path(folder) / name for name in ("evaluation.csv", "curves.csv", "summary.json"))
    if not table.exists() or not summary.exists():
        return [], {}
    try:
        settings = dict(read_json(summary.read_bytes())["settings"])
        by_map: dict[tuple[str, str, str], dict[str, float]] = {}
        for row in _rows_of(table):
            key = cell_text(row["image"]), cell_text(row["method"]), cell_text(row.get("score") or "")
            by_map.setdefault(key, {})[row["metric"]] = _finite(row["value"]) if row["value"] else UNDEFINED
        curves: dict[tuple[str, str], dict[str, list[float]]] = {}
        for row in _rows_of(points) if points.exists() else ():
            of_map = curves.setdefault((cell_text(row["image"]), cell_text(row["method"])), {})
            of_map.setdefault(row["metric"], []).append(_finite(row["score"]))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{folder} holds an evaluation that cannot be read ({one_line(error)}): remove it, or name another folder"
        ) from None
    outcomes = []
    for (image, method, score), values in by_map.items():
        scored = {metric: tuple(scores) for metric, scores in curves.get((image, method), {}).items()}
        passes = values.pop(PASSES, UNDEFINED)
        outcomes.append(Outcome(image, method, values, passes, score=score, curves=scored))
    return outcomes, settings


def _rows_of(table: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV, each with a cell for every column.

    Raises:
        ValueError: If a row has more or fewer cells.
    """
    with table.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f"line {rows.line_num} of {table.name} has more or fewer cells than its header")
            yield row


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell} is no finite number")
    return value


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
