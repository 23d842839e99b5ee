"""How the error of an importance fell while its masks came in: one point at each look at the maps so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from encoders.values import is_whole
from masking import GridSurrogate, RandomGrid
from relax.estimators.budget import CHECK
from relax.estimators.control import ControlledMoments
from relax.estimators.moments import Estimator

LARGEST = 2048  # pixels along a side of an encoder's input, when masks are drawn again for a file from anywhere


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

    def add(self, moments: Estimator, error: Tensor | None = None) -> None:
        """Take a look; a second one at the same masks, or one that finds no error yet, adds no point.

        Args:
            moments: The estimate.
            error: (h, w) the standard error where it is asked for, NaN elsewhere; None is that of all pixels.
        """
        error = moments.standard_error if error is None else error
        known = error[error.isfinite()]
        if known.numel() == 0 or (self.masks and self.masks[-1] >= moments.count):
            return
        self.masks.append(moments.count)
        self.largest.append(_rounded(float(known.max())))
        self.median.append(_rounded(float(known.median())))

    @classmethod
    def afterwards(cls, scores: Tensor, recipe: Mapping[str, Any]) -> Convergence:
        """The points of control variates, estimated anew for 256, 512, 1,024, ... of the masks, and all of them.

        Looking at a run that nobody watches would cost time, so this is done when somebody asks.

        Args:
            scores: (N,) of all masks.
            recipe: Of the grid that they come from, as its record says.

        Raises:
            ValueError: If the recipe, which may come from a file, is not that of a grid.
        """
        surrogate, curve = GridSurrogate(_grid(recipe)), cls()
        doublings = (CHECK << power for power in range(len(scores).bit_length()))
        for count in [*(count for count in doublings if count < len(scores)), len(scores)]:
            moments = ControlledMoments(surrogate)
            moments.add(scores[:count])
            curve.add(moments)
        return curve

    def record(self) -> dict[str, Any] | None:
        """The points as JSON types; None where there is none, as for masks that are not random."""
        return {name: list(values) for name, values in vars(self).items()} if self.masks else None


def _grid(recipe: Mapping[str, Any]) -> RandomGrid:
    size = recipe.get("image_size")
    if recipe.get("kind") != RandomGrid.kind or not isinstance(size, list) or len(size) not in (2, 3):
        raise ValueError(f"masks must be those of a {RandomGrid.kind}; got {recipe.get('kind')}")
    if not all(is_whole(side, 1) and side <= LARGEST for side in size) or math.prod(size) > LARGEST**2:
        raise ValueError(f"masks must be at most {LARGEST} pixels high and wide; got {size}")
    names = ("cells", "keep", "seed", "design")
    return RandomGrid(tuple(size), **{name: recipe[name] for name in names if name in recipe})


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
