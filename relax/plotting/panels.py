"""What all figures share: colours with their ends, a map in them, its colour bar, and the bytes of a PNG file.

Maps are drawn in their own unit and never rescaled: a colour bar states the range that its colours span, and a value
outside limits given by the caller shows as a pointed end of the bar. Pixels that the encoder never saw are hatched. No
pyplot and no global state: a figure is made, returned and forgotten.
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
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from relax.text import number

Limits: TypeAlias = tuple[float, float]

COLOURS = {"importance": "viridis", "uncertainty": "magma"}  # perceptually uniform, safe for colour-blind readers
SIGNED = "RdBu_r"  # red above 0, blue below; told apart by colour-blind readers
DPI = 200

INK, PALE, _NEVER, HATCH = "#222222", "#666666", "#e4e4e4", "#a8a8a8"
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}  # a $ in a file name is a dollar


def png_of(drawing: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    with boxes_for_missing_glyphs():
        drawing.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """No warning for a name in a script that the font lacks; it is drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


@dataclass(frozen=True)
class Scale:
    """The colours of one map: which, and from where to where."""

    colours: str
    low: float
    high: float
    extend: str  # which ends of the bar are pointed, since values lie beyond
    known: bool = True  # whether any pixel has a value

    @classmethod
    def of(cls, name: str, values: NDArray[np.float32], limits: Mapping[str, Limits] | None) -> Scale:
        """The scale of a map's own range, or of the limits given for its name; errors as for `figure`."""
        limits = limits or {}
        if unknown := set(limits) - set(COLOURS):
            raise ValueError(f"limits are for {' and '.join(COLOURS)}; got {', '.join(sorted(unknown))}")
        seen = values[np.isfinite(values)]
        if not seen.size and name not in limits:
            return cls(COLOURS[name], 0.0, 1.0, "neither", known=False)
        low, high = limits[name] if name in limits else (float(seen.min()), float(seen.max()))
        if name in limits and not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"limits of {name} must be two numbers (low, high), low below high; got {limits[name]}")
        below, above = bool((seen < low).any()), bool((seen > high).any())
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
        return cls(COLOURS[name], low, high, extend)

    @property
    def norm(self) -> Normalize:
        """From values to colours."""
        pad = 0.0 if self.low < self.high else max(abs(self.low) * 1e-3, 1e-12)  # a constant map has mid colour
        return Normalize(self.low - pad, self.high + pad)


def draw_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """(H, W, 3) as it is."""
    axes.imshow(image, aspect="equal")


def draw_map(
    axes: Axes,
    values: NDArray[np.float32],
    importance: NDArray[np.float32],
    scale: Scale,
    *,
    below: NDArray[np.uint8] | None = None,
) -> None:
    """Values in the colours of the scale; under them a hatch where the encoder never looked, else the image."""
    height, width = values.shape
    unseen = Rectangle(
        (-0.5, -0.5), width, height, facecolor=_NEVER, edgecolor=HATCH, hatch="////", linewidth=0, zorder=-1
    )
    axes.add_patch(unseen)
    if below is not None:
        seen = np.where(np.isfinite(importance), 255, 0).astype(np.uint8)
        axes.imshow(np.dstack([below, seen]), aspect="equal")
    shown = np.ma.masked_invalid(values)
    axes.imshow(shown, cmap=scale.colours, norm=scale.norm, aspect="equal")


def draw_bar(drawing: Figure, axes: Axes, scale: Scale, unit: str) -> None:
    """The colour bar of a map under its panel, with the ends of the scale (and its 0 if it is signed) and the unit."""
    bar = drawing.colorbar(ScalarMappable(scale.norm, scale.colours), ax=axes, location="bottom", pad=0.03)
    bar.outline.set(color=HATCH, linewidth=0.5)
    span = scale.high - scale.low
    middle = [0.0] if scale.colours == SIGNED else []
    ends = [scale.low, *middle, scale.high] if span > 0 else [scale.low]
    bar.set_ticks(ends, labels=[number(value, span) for value in ends])
    bar.ax.tick_params(labelsize=6.5, length=2, labelcolor=INK)
    sides = ("left", "center", "right") if middle else ("left", "right")
    for tick, side in zip(bar.ax.get_xticklabels(), sides, strict=False):
        tick.set(ha=side if span > 0 else "center", parse_math=False)
    bar.set_label(unit, size=6.5, color=PALE, **PLAIN)


def leave_room_for_bar(drawing: Figure, axes: Axes) -> None:
    """As much room under an image as a colour bar takes, so that the image is as large as its maps."""
    drawing.colorbar(ScalarMappable(), ax=axes, location="bottom", pad=0.03).ax.set_visible(False)
