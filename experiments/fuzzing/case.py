"""A case: a number that says which sample is damaged, and how. The same number is always the same case."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fuzzing.judge import Verdict, judge_answer, judge_error, judge_use
from experiments.fuzzing.memory import growing
from experiments.fuzzing.mutations import ANY, pick
from experiments.fuzzing.samples import Sample
from experiments.fuzzing.structures import STRUCTURES


@dataclass(frozen=True)
class Case:
    """A damaged sample."""

    number: int
    sample: Sample
    mutation: str
    content: bytes

    @classmethod
    def of(cls, number: int, seed: int, samples: tuple[Sample, ...], folder: Path) -> Case:
        """Damage a sample; half of the cases of a format with a structure keep to it.

        Args:
            number: Of the case.
            seed: Of all cases.
            samples: Taken in turn.
            folder: Where `write_samples` wrote them.
        """
        rng = np.random.default_rng([seed, number])
        sample = samples[number % len(samples)]
        structural = STRUCTURES.get(sample.format, ())
        mutation = pick(rng, structural if structural and rng.random() < 0.5 else ANY)
        good = (folder / sample.name / sample.file).read_bytes()
        try:
            content = mutation(good, rng)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise RuntimeError(f"case {number}: {mutation.__name__} of {sample.name} fails") from error
        return cls(number, sample, mutation.__name__, content)

    def run(self, folder: Path, limit: float) -> dict[str, Any]:
        """Bring the damaged file to its door, and judge what comes back.

        Args:
            folder: Of the samples; the file is put back afterwards.
            limit: Seconds of processor time.
        """
        path = folder / self.sample.name / self.sample.file
        good = path.read_bytes()
        path.write_bytes(self.content)
        start = time.process_time()
        try:
            with growing() as growth:
                verdict = self._verdict(path)
        finally:
            path.write_bytes(good)
        seconds = time.process_time() - start
        verdict = judge_use(verdict, seconds, growth.mib, limit)
        verdict = Verdict(verdict.outcome, verdict.detail.replace(f"{folder}{os.sep}", ""))  # another one each time
        return self.row(verdict, seconds=round(seconds, 2), mib=round(growth.mib))

    def row(self, verdict: Verdict, **measured: float) -> dict[str, Any]:
        """What is noted of it."""
        row = {"case": self.number, "format": self.sample.format, "sample": self.sample.name, "mutation": self.mutation}
        return {**row, "outcome": verdict.outcome, "detail": verdict.detail, **measured}

    def _verdict(self, path: Path) -> Verdict:
        door = self.sample.door
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                answer = door.read(path)
            except Exception as error:
                return judge_error(door, path, error)
        return judge_answer(door, answer, [str(warning.message) for warning in warned])
