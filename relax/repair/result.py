"""What a repair is: the directions that a mark moves embeddings in, and the numbers of the chain before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from encoders import Encoder
from encoders.repaired import Directions, repaired
from relax.files import write_files
from relax.plotting.drawing import file_of
from relax.repair.directions import without
from relax.repair.steps import AS_IS, QUESTIONS, REPAIRED, Bench, Step
from relax.text import number

SENTENCES = {
    "marked neighbours": "Among the neighbours of marked pictures, marked ones are more frequent than in the archive "
    "by {:+.2f}; after the repair by {:+.2f}.",
    "new neighbours": "Pasting the mark in changes {:.0%} of a picture's neighbours; after the repair {:.0%}.",
    "accuracy lost": "When the mark moves, a head of the labels is right less often by {:.0%}; after the repair by "
    "{:.0%}.",
}

CHANCE = 0.5


@dataclass(frozen=True)
class Repair:
    """The chain from a mark to an encoder without it.

    Attributes:
        directions: (k, D) float32, orthonormal: what is taken out of embeddings.
        steps: The numbers, with intervals, on pictures that did not tell the directions.
        settings: How it was made, as JSON types.
        encoder: The encoder as it was.
        bench: What the steps were measured with; `bench.steps` measures them without other directions.
        examples: (rows, 3, side, side, 3) uint8: pictures, their twins, and the change aside.
    """

    directions: NDArray[np.float32]
    steps: tuple[Step, ...]
    settings: Mapping[str, Any]
    encoder: Encoder = field(repr=False)
    bench: Bench = field(repr=False)
    examples: NDArray[np.uint8] = field(repr=False)

    def __repr__(self) -> str:
        return f"Repair({len(self.directions)} directions of {self.directions.shape[1]} numbers; {self.findings[0]})"

    def __call__(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """(N, D) embeddings, or (D,), without the directions."""
        values = np.asarray(embeddings, np.float64)
        if values.shape[-1] != self.directions.shape[1]:
            raise ValueError(
                f"embeddings must have {self.directions.shape[1]} numbers each, as those of "
                f"{self.encoder.name!r}; got {values.shape}"
            )
        return without(values, self.directions.astype(np.float64)).astype(np.float32)

    @property
    def repaired(self) -> Encoder:
        """The encoder without the directions, for every function that takes one."""
        return repaired(self.encoder, torch.from_numpy(self.directions))

    def step(self, question: str, condition: str) -> Step:
        """One of the numbers.

        Raises:
            KeyError: If it was not asked.
        """
        for step in self.steps:
            if (step.question, step.condition) == (question, condition):
                return step
        raise KeyError(f"no step {question!r}, {condition!r}: there are {sorted({s.question for s in self.steps})}")

    @property
    def findings(self) -> tuple[str, ...]:
        """The chain in sentences."""
        before, after = self.step("told", AS_IS), self.step("told", REPAIRED)
        sentences = [
            f"A head tells which of two twins carries the mark in {before.value:.0%}, and in {after.value:.0%} after "
            f"{len(self.directions)} directions are taken out (chance: 50 %)."
        ]
        if before.low <= CHANCE:
            sentences.append("That is no more than chance: the encoder need not be repaired.")
        for question, words in SENTENCES.items():
            if any(step.question == question for step in self.steps):
                sentences.append(words.format(*(self.step(question, when).value for when in (AS_IS, REPAIRED))))
        return tuple(sentences)

    def lines(self) -> list[tuple[str, str, str, str]]:
        """Question, condition, value with its interval, and pictures, as text for a table."""
        return [
            (
                step.question,
                step.condition,
                "-" if not step.pictures else f"{number(step.value)} ({number(step.low)} to {number(step.high)})",
                str(step.pictures),
            )
            for step in self.steps
        ]

    def record(self) -> dict[str, Any]:
        """Everything but the directions and pictures, as JSON types."""
        return {
            "findings": list(self.findings),
            "questions": {name: question.what for name, question in QUESTIONS.items()},
            "steps": [step.record() for step in self.steps],
            "settings": dict(self.settings),
        }

    def save(self, path: str | Path) -> list[Path]:
        """Write PATH.safetensors (the directions, for `repaired:`), PATH.json (the numbers) and PATH.png, together.

        Returns:
            Their paths.
        """
        from relax.plotting.repair import repair_figure  # matplotlib

        directions = Directions.of(self.encoder, torch.from_numpy(self.directions))
        return write_files(
            Path(path),
            {
                ".safetensors": directions.to_bytes(),
                ".json": (json.dumps(self.record(), indent=2, allow_nan=False) + "\n").encode(),
                ".png": file_of(repair_figure(self)),
            },
        )
