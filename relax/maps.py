"""The input of figures, reports and file writers: three maps, the image under them, and their provenance.

The rule by which U-RELAX selects certain pixels is here too, since figures and reports state it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from encoders.choices import CLASS
from encoders.values import described, is_number, plain
from relax.text import shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAPS = ("importance", "uncertainty", "standard_error")


class ExplanationLike(Protocol):
    """The arrays and the provenance of a `relax.Explanation`, whose attributes are described there."""

    @property
    def importance(self) -> NDArray[np.float32]:
        """(H, W), in the unit that `provenance` names under "map" or "similarity"."""

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """(H, W), 0 or more."""

    @property
    def standard_error(self) -> NDArray[np.float32]:
        """(H, W), 0 or more."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    @property
    def provenance(self) -> dict[str, Any]:
        """How the maps were made, as JSON types."""


def layer_in_words(provenance: dict[str, Any]) -> str:
    """Which layer and token of the encoder are explained; "" where the embedding is."""
    encoder = provenance.get("encoder") or {}
    layer, token = encoder.get("layer"), encoder.get("token")
    if layer is None and token is None:
        return ""
    where = shortened(f"layer {layer}" if layer else "the output", 60)
    if token is None:
        return where
    place = "class token" if token == CLASS else f"cell ({', '.join(map(str, token))})"
    return f"{place} of {where}"


def map_unit(provenance: dict[str, Any]) -> str:
    """The unit of the importance, in words."""
    return str(provenance.get("map") or f"mean {provenance['similarity']}")


def uncertainty_limit(
    uncertainty: NDArray[np.float32],
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    gamma: float | None = None,
) -> float:
    """The largest uncertainty that U-RELAX keeps, see `Explanation.u_relax`; NaN where it is undefined everywhere.

    Raises:
        ValueError: If more than one of the three is given, or one is out of range.
    """
    rules = {"threshold": plain(threshold), "quantile": plain(quantile), "gamma": plain(gamma)}
    given = [name for name, value in rules.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"u_relax takes one of threshold, quantile and gamma; got {' and '.join(given)}")
    if threshold is not None:
        return _at_least_zero("threshold", rules["threshold"])
    import numpy as np  # here, since the command line has the names of the maps in its help

    known = uncertainty[np.isfinite(uncertainty)]
    if gamma is not None:
        return _at_least_zero("gamma", rules["gamma"]) * (float(known.mean(dtype=np.float64)) if known.size else np.nan)
    share = 0.5 if quantile is None else rules["quantile"]
    if not is_number(share) or not 0 <= share <= 1:
        raise ValueError(f"quantile is a share of the pixels, between 0 and 1; got {described(share)}")
    return float(np.quantile(known, share)) if known.size else np.nan


def where_certain(explanation: ExplanationLike, limit: float) -> NDArray[np.float32]:
    """(H, W): the importance where the uncertainty is at most `limit`, NaN elsewhere."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.where(explanation.uncertainty <= limit, explanation.importance, np.float32(np.nan))


def _at_least_zero(name: str, value: object) -> float:
    if not is_number(value) or not value >= 0:
        raise ValueError(f"{name} must be 0 or more; got {described(value)}")
    return value
