"""Outcomes of an evaluation kept in a folder as they come, so that a kill loses only the map at hand.

The same evaluation, run again with the same folder, computes only what is missing. What is kept belongs to the settings
and to the contents of pictures and truths: whatever changed is computed anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from torch import Tensor

from relax.crew import Crew
from relax.io.errors import ImageError
from relax.io.images import ImageSource, read_image
from relax.metrics import Evaluation, Outcome, Truth, metrics_named, read_outcomes
from relax.metrics.journal import Journal
from relax.provenance import origin
from relax.questions.plan import Plan, TruthSource
from relax.questions.workers import in_order

MADE_BY = ("workers", "threads", "commit", "command")  # in which a run that goes on may differ


@dataclass
class Kept:
    """The outcomes so far, in memory and on the disk.

    Attributes:
        folder: Of the evaluation.
        plan: What is evaluated.
        digests: Of the contents of each picture and its truth, by the picture's name.
        journal: The file of the outcomes of this run.
        outcomes: Those of earlier runs and of this one.
    """

    folder: Path
    plan: Plan
    digests: Mapping[str, str]
    journal: Journal
    outcomes: list[Outcome]

    @classmethod
    def open(cls, folder: str | Path, plan: Plan, digests: Mapping[str, str]) -> Kept:
        """Find what earlier runs, whole or killed, left of what this plan would compute again.

        Raises:
            ValueError: If the folder holds an evaluation that cannot be read.
        """
        folder = Path(folder)
        journal = Journal(folder, plan.record)
        outcomes, settings = read_outcomes(folder)
        digests_then = settings.pop("digests", {})
        for name in ("scores", *MADE_BY):  # the former follow from the methods, of which there may be more now
            settings.pop(name, None)
        unchanged = {image for image, digest in digests.items() if digest == digests_then.get(image)}
        saved = [outcome for outcome in outcomes if outcome.image in unchanged] if settings == plan.record else []
        by_map = {(outcome.image, outcome.method): outcome for outcome in [*saved, *journal.read(digests)]}
        kept = [outcome for outcome in by_map.values() if outcome.method in plan.methods]
        return cls(folder, plan, digests, journal, kept)

    @property
    def done(self) -> set[tuple[str, str]]:
        """(picture, method) of the outcomes."""
        return {(outcome.image, outcome.method) for outcome in self.outcomes}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; failures are tried again next time.

        Raises:
            WriteError: If it cannot be written; earlier ones stay.
        """
        if not outcome.failure:
            self.journal.add(outcome, self.digests[outcome.image])
        self.outcomes.append(outcome)

    def save(self, crew: Crew) -> tuple[Evaluation, list[Path]]:
        """Write the files of the evaluation that the outcomes amount to; `forget` the journal once all is written.

        Args:
            crew: Who made them.

        Raises:
            WriteError: If a file cannot be written.
        """
        evaluation = evaluation_of(self.plan, self.outcomes, list(self.digests), crew)
        evaluation.settings["digests"] = dict(self.digests)
        return evaluation, evaluation.save(self.folder)

    def forget(self) -> None:
        """Delete the journal, whose outcomes are in the files of the evaluation."""
        self.journal.delete()


def evaluation_of(plan: Plan, outcomes: Sequence[Outcome], names: Sequence[str], crew: Crew) -> Evaluation:
    """The evaluation that these outcomes of pictures amount to, in the order of their names, and how it was made."""
    outcomes = in_order(outcomes, names, plan.methods)
    measured = dict.fromkeys(metric for outcome in outcomes for metric in outcome.values)
    metrics = tuple(metrics_named(measured)) if measured else ()
    return Evaluation(tuple(outcomes), metrics, {**plan.record, "scores": plan.scores, **crew.record(), **origin()})


def digest_of(image: ImageSource, truth: TruthSource = None) -> str:
    """SHA-256 of a picture, of its file or else its pixels, and of its truth; of what cannot be read, of its name."""
    if isinstance(image, str | os.PathLike) and os.path.isfile(image):
        own = Path(image).read_bytes()
    else:
        try:
            own = read_image(image, channels=None).numpy().tobytes()
        except ImageError as error:
            own = str(error).encode()
    return sha256(own).hexdigest() + _digest_of_truth(truth)


def _digest_of_truth(truth: TruthSource) -> str:
    if truth is None:
        return ""
    if isinstance(truth, str | Path):
        truth = Truth(Path(truth))
    if isinstance(truth, Truth):
        return truth.digest
    values = np.asarray(truth.cpu() if isinstance(truth, Tensor) else truth)
    return sha256(f"{values.dtype} {values.shape} ".encode() + values.tobytes()).hexdigest()
