"""Does the map depend on what it claims to explain: on the network's weights, and on the reference or the class?

A map that looks the same for a network that has learnt nothing is a picture of the picture. Both tests correlate the
ranks of two maps: lower is better, and 1 means that the map does not depend on the network or the reference at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from relax.metrics.maps import Map, known_in_both, spearman

if TYPE_CHECKING:  # torch comes with it, and the table of metrics does not need it
    from encoders import Encoder

STAGES = 3
Other = TypeVar("Other")


@dataclass(frozen=True)
class Stage:
    """One stage of the cascade.

    Attributes:
        layer: The lowest layer that is random by now, with all above it.
        share: Share of the layers that are random.
        correlation: Of the map's ranks with those for the trained network; NaN where a map is constant.
    """

    layer: str
    share: float
    correlation: float


def encoder_randomisation(
    explain: Callable[[Encoder], Map], encoder: Encoder, importance: Map, *, stages: int = STAGES, seed: int = 0
) -> list[Stage]:
    """Make the layers random from the top down, and see how long the map stays the same.

    Args:
        explain: From an encoder to the map (H, W) of the same picture; called once per stage.
        encoder: The trained one; a copy of it is made random.
        importance: (H, W), its map.
        stages: How many stages, evenly spaced over the layers; the last has made every layer random.
        seed: What the weights are drawn from.

    Raises:
        ValueError: If the encoder is a function, or has no weights.

    Source: Sanity Checks for Saliency Maps (Adebayo et al., NeurIPS 2018), cascading randomisation.
    """
    from relax.metrics.random_weights import randomised

    return [
        Stage(layer, share, spearman(*known_in_both(importance, explain(changed))))
        for layer, share, changed in randomised(encoder, stages=stages, seed=seed)
    ]


def target_randomisation(explain: Callable[[Other], Map], importance: Map, others: Sequence[Other]) -> float:
    """Mean rank correlation of a map with those for other references or classes, in [-1, 1].

    Args:
        explain: From another reference or class (in whatever form) to the map (H, W) of the same picture.
        importance: (H, W) the map for the reference or class that was explained.
        others: Others of the kind, drawn at random from those that could have been explained.

    Source: the random logit test (Sixt, Granz & Landgraf, ICML 2020); without a head, of references instead of classes.
    """
    if not others:
        raise ValueError("others must hold one or more other references or classes; got none")
    return float(np.mean([spearman(*known_in_both(importance, explain(other))) for other in others]))
