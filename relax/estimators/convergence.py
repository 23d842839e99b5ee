"""How the error of an importance fell while its masks came in: one point at each look at the maps so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relax.estimators.moments import Estimator


@dataclass
class Convergence:
    """The standard error of the importance against the number of masks, at the encoder's input size.

    Attributes:
        masks: Masks at each look, ascending.
        largest: Largest standard error over the pixels then, in the unit of the importance.
        median: Their median.
    """

    masks: list[int] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    median: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> Convergence:
        """The points of a `record`."""
        return cls(**{name: list(values) for name, values in (record or {}).items()})

    def add(self, moments: Estimator) -> None:
        """Take a look; a second one at the same masks, or one that finds no error yet, adds no point."""
        error = moments.standard_error
        known = error[error.isfinite()]
        if known.numel() == 0 or (self.masks and self.masks[-1] >= moments.count):
            return
        self.masks.append(moments.count)
        self.largest.append(_rounded(float(known.max())))
        self.median.append(_rounded(float(known.median())))

    def record(self) -> dict[str, Any] | None:
        """The points as JSON types; None where there is none, as for masks that are not random."""
        return {name: list(values) for name, values in vars(self).items()} if self.masks else None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
