"""One metric as data, and the case that it judges: a map, with whatever is at hand to judge it by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from relax.metrics.faithfulness import Curve
from relax.metrics.maps import Map, Mask, Values

if TYPE_CHECKING:  # torch comes with these, and the table of metrics does not need it
    from torch import Tensor

    from encoders import Encoder
    from relax.metrics.trial import Trial

Present = TypeVar("Present")
Family = Literal["localisation", "faithfulness", "complexity", "robustness", "sanity", "stand-in"]
Needs = Literal["map", "truth", "trial", "itself", "contrast", "again", "error", "others"]

NEEDS: dict[Needs, str] = {
    "map": "only the map",
    "truth": "a mask or boxes for the picture",
    "trial": "the picture and the encoder",
    "itself": "the picture, the encoder, and a map of the similarity to the picture itself",
    "contrast": "the picture, the encoder, a corpus and a foil",
    "again": "the method itself, to explain again",
    "error": "the method itself, and the standard error of its map",
    "others": "the method itself, and other references or classes",
}


class Explain(Protocol):
    """The method that made a map, which explains again with one argument changed; None leaves an argument as it was."""

    def __call__(
        self,
        *,
        image: Tensor | None = None,
        encoder: Encoder | None = None,
        reference: Any = None,
        target: Any = None,
        seed: int | None = None,
    ) -> Map:
        """The map (H, W) of the same method."""


@dataclass(frozen=True)
class Case:
    """One map, with whatever is at hand to judge it by.

    Attributes:
        importance: (H, W) in the frame of the picture, NaN where not known.
        truth: (H, W) bool, True = inside.
        trial: The picture before the encoder, with the score that was explained: a similarity, or a class.
        contrast: The same, with the similarity to a corpus minus that to a foil.
        again: The method that made the map.
        standard_error: (H, W) of the importance; NaN for methods that have none.
        others: Other references, drawn at random; other classes where the trial scores a class.
        seed: For metrics that draw at random.
    """

    importance: Map
    truth: Mask | None = None
    trial: Trial | None = None
    contrast: Trial | None = None
    again: Explain | None = None
    others: Sequence[Any] = ()
    seed: int = 0
    standard_error: Map | None = None

    @property
    def has(self) -> frozenset[Needs]:
        """What a metric may need to be computed for this case."""
        present: set[Needs] = {"map"}
        present |= {"truth"} if self.truth is not None else set()
        present |= {"trial"} if self.trial is not None else set()
        present |= {"itself"} if self.trial is not None and self.trial.of_itself else set()
        present |= {"contrast"} if self.contrast is not None else set()
        if self.again is not None and self.trial is not None:
            present |= {"again", "others"} if self.others else {"again"}
            present |= (
                {"error"} if self.standard_error is not None and np.isfinite(self.standard_error).any() else set()
            )
        return frozenset(present)

    @cached_property
    def in_view(self) -> Values:
        """(h, w) the map in the frame that the encoder sees."""
        return required(self.trial or self.contrast).in_view(self.importance)


@dataclass(frozen=True)
class Metric:
    """One way to judge a map.

    Attributes:
        name: What it is called in Python and on the command line.
        family: "localisation", "faithfulness", "complexity", "robustness", "sanity" or "stand-in".
        direction: Whether "higher" or "lower" is better.
        needs: What it cannot do without, a key of `NEEDS`.
        source: The paper.
        function: From a `Case` to the value, NaN where it has none, or to the curve whose area is the value.
        passes: Encoder passes of one map, without the one for the picture itself.
        explanations: How often the method explains again.
        by_default: Whether an evaluation that names no metric takes it; False where it fits some maps only, or
            another of its family says nearly the same.
    """

    name: str
    family: Family
    direction: Literal["higher", "lower"]
    needs: Needs
    source: str
    function: Callable[[Case], float | Curve]
    passes: int = 0
    explanations: int = 0
    by_default: bool = True

    def __call__(self, case: Case) -> float:
        """The value for one map.

        Raises:
            ValueError: If the case lacks what the metric needs; the message names it.
        """
        result = self.judge(case)
        return result.area if isinstance(result, Curve) else result

    def judge(self, case: Case) -> float | Curve:
        """The value for one map, or the curve whose area it is; errors as for a call."""
        if self.needs not in case.has:
            raise ValueError(f"metric {self.name} needs {NEEDS[self.needs]}, which this map comes without")
        result = self.function(case)
        return result if isinstance(result, Curve) else float(result)


def required(value: Present | None) -> Present:
    """The value of a case that `Metric.__call__` has made sure of."""
    assert value is not None  # noqa: S101
    return value
