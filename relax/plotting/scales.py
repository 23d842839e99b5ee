"""Colour scales: which colours a map has, and the range of values that they span.

A scale spans the map itself or limits given by the caller; values are never rescaled, and a pointed end of a colour bar
says that there are values beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from encoders.values import described, is_number, plain
from relax.maps import ExplanationLike, map_unit
from relax.text import listed, nearest, shortened

Limits: TypeAlias = tuple[float, float]

COLOURS = {"importance": "viridis", "uncertainty": "magma", "standard_error": "cividis"}
"""By map: perceptually uniform, safe for colour-blind readers, and in order when printed in grey."""
SIGNED = "RdBu_r"  # red above 0, blue below; told apart by colour-blind readers
_DIVERGING = (
    *("PiYG", "PRGn", "BrBG", "PuOr", "RdGy", "RdBu", "RdYlBu", "RdYlGn", "Spectral"),
    *("coolwarm", "bwr", "seismic", "berlin", "managua", "vanimo"),
)


@dataclass(frozen=True)
class Scale:
    """The colours of one map and the range of values that they span."""

    colours: str
    low: float
    high: float
    extend: str  # which ends of the bar are pointed, because values lie beyond them
    known: bool = True  # whether any pixel has a value

    @classmethod
    def of(
        cls, name: str, values: NDArray[Any], limits: Mapping[str, Limits] | None = None, cmap: str | None = None
    ) -> Scale:
        """The scale over the range of a map, or over the limits given for its name; errors as for `relax.figure`.

        Args:
            name: "importance", "uncertainty" or "standard_error", whose colours it has.
            values: (H, W), NaN where unknown.
            limits: Ends by name of map.
            cmap: Other colours; those that diverge from a middle are centred on 0.
        """
        limits = {} if limits is None else limits
        if not isinstance(limits, Mapping):
            raise ValueError(f"limits must be (low, high) by the name of a map; got {described(limits)}")
        if unknown := set(limits) - set(COLOURS):
            names = listed(sorted(shortened(str(name), 40) for name in unknown))
            raise ValueError(f"limits are for {listed(list(COLOURS))}; got {names}")
        colours = COLOURS[name] if cmap is None else _checked(cmap)
        defined = values[np.isfinite(values)]
        if not defined.size and name not in limits:
            return cls(colours, 0.0, 1.0, "neither", known=False)
        low, high = _ends(name, limits[name]) if name in limits else (float(defined.min()), float(defined.max()))
        if colours.removesuffix("_r") in _DIVERGING and name not in limits:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
        below, above = bool((defined < low).any()), bool((defined > high).any())
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
        return cls(colours, low, high, extend)

    @property
    def signed(self) -> bool:
        """Whether the colours diverge from 0 in the middle."""
        return self.colours.removesuffix("_r") in _DIVERGING and self.low == -self.high

    @property
    def span(self) -> float:
        """The range of values."""
        return self.high - self.low

    @property
    def norm(self) -> Normalize:
        """From values to [0, 1]."""
        pad = 0.0 if self.low < self.high else max(abs(self.low) * 1e-3, 1e-12)  # centres a constant map
        return Normalize(self.low - pad, self.high + pad)

    def rgb(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """(H, W, 3) the colours of values (H, W); any colour where a value is NaN."""
        known = np.isfinite(values)
        shares = self.norm(np.where(known, values, self.low)).filled(0)
        colours: NDArray[np.uint8] = matplotlib.colormaps[self.colours](shares, bytes=True)[..., :3]
        return colours


def common_limits(name: str, explanations: Sequence[ExplanationLike]) -> Limits | None:
    """The lowest and highest value of a map over several explanations; None if it is known nowhere, or constant.

    Raises:
        ValueError: If the importance is not in one unit.
    """
    if len(units := dict.fromkeys(map_unit(explanation.provenance) for explanation in explanations)) > 1:
        raise ValueError(f'scales="shared" needs maps in one unit; got {listed(list(units))}: leave it out')
    maps = [getattr(explanation, name) for explanation in explanations]
    known = [values[np.isfinite(values)] for values in maps]
    ends = [(float(values.min()), float(values.max())) for values in known if values.size]
    low, high = min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)
    return (low, high) if low < high else None


def _ends(name: str, limits: object) -> Limits:
    """The ends of a colour scale that the caller gave."""
    ends = [plain(end) for end in limits] if isinstance(limits, list | tuple) else []
    if len(ends) != 2 or not all(is_number(end) and math.isfinite(end) for end in ends) or not ends[0] < ends[1]:
        raise ValueError(f"limits of {name} must be two numbers (low, high), low below high; got {described(limits)}")
    return ends[0], ends[1]


def _checked(cmap: object) -> str:
    """The name of a colour map that matplotlib knows."""
    if not isinstance(cmap, str) or cmap not in matplotlib.colormaps:
        raise ValueError(
            f"cmap must be the name of a colour map of matplotlib, such as viridis, cividis or RdBu_r; got "
            f"{described(cmap)}{nearest(cmap, matplotlib.colormaps)}"
        )
    return cmap
