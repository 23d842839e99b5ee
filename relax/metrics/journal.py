"""Outcomes of an evaluation that is under way, kept one by one, so that a kill loses only the map at hand."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from relax.files import writing
from relax.metrics.maps import UNDEFINED
from relax.metrics.results import Outcome, without_nan
from relax.records import read_json


class Journal:
    """A file with a line of JSON for each outcome, in the folder of an evaluation.

    Its name holds a digest of the settings, so that each evaluation has its own, and finds it again.

    Attributes:
        path: The file.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        key = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        self.path = folder / f".evaluation-{key}.jsonl"

    def add(self, outcome: Outcome, digest: str) -> None:
        """Append an outcome, and wait until it is on the disk.

        Args:
            outcome: One with values.
            digest: Of the files of its picture.

        Raises:
            WriteError: If it cannot be written; earlier outcomes stay.
        """
        row = {"image": outcome.image, "digest": digest, "method": outcome.method, "passes": outcome.passes}
        row |= {"score": outcome.score, "curves": dict(outcome.curves)}
        row = {**without_nan(row), "values": without_nan(outcome.values)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(row)}\n")  # on a line of its own, also behind half a line
            file.flush()
            os.fsync(file.fileno())

    def read(self, digests: Mapping[str, str]) -> list[Outcome]:
        """The outcomes of pictures whose files still have these digests; half a line, of a kill, is passed over."""
        if not self.path.is_file():
            return []
        outcomes = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                row = read_json(line)
                values = {str(name): _number(value) for name, value in row["values"].items()}
                passes, score = _number(row["passes"]), str(row["score"])
                curves = {str(name): tuple(map(float, scores)) for name, scores in row["curves"].items()}
                outcome = Outcome(str(row["image"]), str(row["method"]), values, passes, score=score, curves=curves)
                digest = row["digest"]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if digests.get(outcome.image) == digest:
                outcomes.append(outcome)
        return outcomes

    def delete(self) -> None:
        """Forget the outcomes, once they are in the files of the evaluation."""
        self.path.unlink(missing_ok=True)


def _number(value: float | None) -> float:
    number = UNDEFINED if value is None else float(value)
    if math.isinf(number):
        raise ValueError("no metric has an infinite value")
    return number
