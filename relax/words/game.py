"""What methods work on: the similarity as a function of which parts of a text are shown, and what they say of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BATCH = 64  # subsets between two reports of progress


@dataclass
class Game:
    """What the parts of a text do together: the similarity as a function of which of them are shown.

    Attributes:
        score: From masks (N, P) to (N,) float64.
        count: Parts, P.
        masks: How many subsets may be asked for.
        keep: Chance that a part is shown.
        seed: The only source of randomness.
        report: Called with (subsets done, in all).
        done: Subsets that were embedded so far.
    """

    score: Callable[[Tensor], Tensor]
    count: int
    masks: int
    keep: float
    seed: int
    report: Callable[[int, int], None] | None = None
    total: int = 0
    done: int = field(default=0)

    def __call__(self, masks: Tensor) -> Tensor:
        """(N,) float64 similarities under masks (N, P)."""
        scores: list[Tensor] = []
        for batch in masks.split(BATCH):
            scores.append(self.score(batch))
            self.done += len(batch)
            if self.report is not None:
                self.report(min(self.done, self.total), self.total)
        return torch.cat(scores)

    @property
    def enumerable(self) -> bool:
        """Whether all subsets are no more than the masks."""
        return self.count < 40 and 2**self.count <= self.masks


@dataclass(frozen=True)
class Values:
    """What a method says of every part.

    Attributes:
        importance: (P,) float64.
        baseline: The value of a part that makes no difference.
        uncertainty: (P,), None where the method has none; likewise the standard error.
        standard_error: (P,).
        settings: For the record.
    """

    importance: Tensor
    baseline: float = 0.0
    uncertainty: Tensor | None = None
    standard_error: Tensor | None = None
    settings: dict[str, Any] = field(default_factory=dict)
