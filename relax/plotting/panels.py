"""What all figures share: colour scales, panels with an image or a map, and the bytes of a PNG file.

Maps are drawn in their own unit and never rescaled: a colour bar states the range that its colours span, and its end
is pointed where values lie outside limits given by the caller. Pixels that the encoder never saw are hatched. pyplot
and global state are not used.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from encoders.values import described, is_number, plain

Limits: TypeAlias = tuple[float, float]

COLOURS = {"importance": "viridis", "uncertainty": "magma"}  # perceptually uniform, safe for colour-blind readers
SIGNED = "RdBu_r"  # red above 0, blue below; told apart by colour-blind readers
DPI = 200

INK, PALE, _UNSEEN, HATCH = "#222222", "#666666", "#e4e4e4", "#a8a8a8"
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}  # a $ in a file name is a dollar sign


def png_of(drawing: Figure) -> bytes:
    """The bytes of a figure as a PNG file."""
    stream = io.BytesIO()
    with boxes_for_missing_glyphs():
        drawing.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Suppress the warning about characters that the font lacks, which are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


@dataclass(frozen=True)
class Scale:
    """The colours of one map and the range of values that they span."""

    colours: str
    low: float
    high: float
    extend: str  # which ends of the bar are pointed, because values lie beyond them
    known: bool = True  # whether any pixel has a value

    @classmethod
    def of(cls, name: str, values: NDArray[np.float32], limits: Mapping[str, Limits] | None) -> Scale:
        """The scale over the range of a map, or over the limits given for its name; errors as for `figure`."""
        limits = {} if limits is None else limits
        if not isinstance(limits, Mapping):
            raise ValueError(f"limits must be (low, high) by the name of a map; got {described(limits)}")
        if unknown := set(limits) - set(COLOURS):
            raise ValueError(f"limits are for {' and '.join(COLOURS)}; got {', '.join(sorted(map(str, unknown)))}")
        defined = values[np.isfinite(values)]
        if not defined.size and name not in limits:
            return cls(COLOURS[name], 0.0, 1.0, "neither", known=False)
        low, high = _ends(name, limits[name]) if name in limits else (float(defined.min()), float(defined.max()))
        below, above = bool((defined < low).any()), bool((defined > high).any())
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
        return cls(COLOURS[name], low, high, extend)

    @property
    def norm(self) -> Normalize:
        """From values to [0, 1]."""
        pad = 0.0 if self.low < self.high else max(abs(self.low) * 1e-3, 1e-12)  # centres a constant map
        return Normalize(self.low - pad, self.high + pad)


def _ends(name: str, limits: object) -> Limits:
    """The ends of a colour scale that the caller gave."""
    ends = [plain(end) for end in limits] if isinstance(limits, list | tuple) else []
    if len(ends) != 2 or not all(is_number(end) and math.isfinite(end) for end in ends) or not ends[0] < ends[1]:
        raise ValueError(f"limits of {name} must be two numbers (low, high), low below high; got {described(limits)}")
    return ends[0], ends[1]


def draw_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw an image (H, W, 3), unchanged."""
    axes.imshow(image, aspect="equal")


def draw_map(
    axes: Axes,
    values: NDArray[np.float32],
    importance: NDArray[np.float32],
    scale: Scale,
    *,
    below: NDArray[np.uint8] | None = None,
) -> None:
    """Draw values (H, W) in the colours of the scale.

    Args:
        axes: The panel.
        values: (H, W), NaN where there is no value.
        importance: (H, W), NaN where the encoder never saw the pixel; those pixels are hatched.
        scale: The colours.
        below: (H, W, 3) drawn where the pixel was seen but has no value; None leaves it hatched.
    """
    height, width = values.shape
    hatched = Rectangle(
        (-0.5, -0.5), width, height, facecolor=_UNSEEN, edgecolor=HATCH, hatch="////", linewidth=0, zorder=-1
    )
    axes.add_patch(hatched)
    if below is not None:
        opacity = np.where(np.isfinite(importance), 255, 0).astype(np.uint8)
        axes.imshow(np.dstack([below, opacity]), aspect="equal")
    axes.imshow(np.ma.masked_invalid(values), cmap=scale.colours, norm=scale.norm, aspect="equal")
