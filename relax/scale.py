"""Whether a map says anything: does hiding move the embedding, and does the encoder know the picture from its pieces?

The numbers are those of `relax.yardsticks`, which says on which encoders the two limits were measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from encoders.errors import STEADY
from relax.maps import ExplanationLike
from relax.text import number

HARDLY = 0.99  # mean cosine of the masked views from which hiding hardly moves the embedding
SHUFFLED = 0.95  # cosine of the shuffled pieces from which, if hiding moves more, what is where hardly counts


def yardsticks_in_words(provenance: dict[str, Any]) -> list[str]:
    """Cosines of what is not the picture, as a short phrase; empty for records without them."""
    cosines = _cosines(provenance)
    masked = (cosines.get("masked") or {}).get("mean")
    parts = [
        f"{name} {_number(value)}"
        for name, value in (
            ("masked views", masked),
            ("region hidden" if provenance.get("within") else "all hidden", cosines.get("hidden")),
            ("pieces shuffled", cosines.get("shuffled")),
            ("references", cosines.get("references")),
        )
        if value is not None
    ]
    return [f"cosine to the image: {', '.join(parts)}"] if parts else []


class Doubt(NamedTuple):
    """Why a map may say little, and the numbers that show it."""

    reason: str
    numbers: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.numbers}"


def doubts(explanation: ExplanationLike) -> list[Doubt]:
    """Why a map may say little; empty if nothing speaks against it, or its record has no yardsticks."""
    cosines, scale = _cosines(explanation.provenance), explanation.provenance.get("scale") or {}
    masked, shuffled, unsteady = cosines.get("masked"), cosines.get("shuffled"), scale.get("unsteady")
    reasons, region = [], bool(explanation.provenance.get("within"))
    if masked and masked["mean"] >= HARDLY:
        ends = f"masked views have cosines of {_number(masked['min'])} to {_number(masked['max'])} to the picture"
        reasons.append(
            Doubt("hiding hardly moves the embedding", f"{ends}{_compared(cosines, region)}{_span(explanation)}")
        )
    if masked and shuffled is not None and shuffled >= max(SHUFFLED, masked["mean"]):
        numbers = (
            f"with its pieces shuffled the picture has a cosine of {_number(shuffled)} to itself, with parts hidden "
            f"{_number(masked['mean'])} on average"
        )
        reasons.append(Doubt("what is where hardly moves the embedding", numbers))
    if unsteady is not None and unsteady > STEADY:
        numbers = f"the same picture's embedding differs by {unsteady:.2g} of its length"
        reasons.append(Doubt("the encoder is not steady", numbers))
    return reasons


def _compared(cosines: dict[str, Any], region: bool) -> str:
    """The other yardsticks, such as ", the picture entirely hidden 0.994"."""
    hidden = "the region entirely hidden" if region else "the picture entirely hidden"
    names = {"hidden": hidden, "shuffled": "its pieces shuffled", "references": "the references"}
    return "".join(f", {text} {_number(cosines[key])}" for key, text in names.items() if cosines.get(key) is not None)


def _span(explanation: ExplanationLike) -> str:
    """The share of the measure's range that the map spans; empty for maps in other units."""
    provenance, known = explanation.provenance, explanation.importance[np.isfinite(explanation.importance)]
    if provenance.get("map") or provenance.get("similarity") != "cosine" or not known.size:
        return ""
    return f"; the map spans {number(float(known.max() - known.min()))} of the cosine's range of 2"


def _cosines(provenance: dict[str, Any]) -> dict[str, Any]:
    return (provenance.get("scale") or {}).get("cosine") or {}


def _number(cosine: float) -> str:
    """With enough digits to tell it from 1."""
    return number(cosine, max(1 - abs(cosine), 1e-4))
