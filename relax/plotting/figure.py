"""Draw an explanation: the image, its importance, its uncertainty and U-RELAX, with a caption of how they were made."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from encoders.values import described
from relax.maps import ExplanationLike, uncertainty_limit, where_certain
from relax.plotting.caption import measure_unit, recipe, results
from relax.plotting.panels import (
    HATCH,
    INK,
    PALE,
    PLAIN,
    Limits,
    Scale,
    boxes_for_missing_glyphs,
    draw_image,
    draw_map,
    png_of,
)
from relax.scale import doubts
from relax.text import number, shortened
from similarity.measures import MEASURES


def figure(
    explanation: ExplanationLike,
    *,
    limits: Mapping[str, Limits] | None = None,
    threshold: float | None = None,
    quantile: float | None = None,
    gamma: float | None = None,
) -> Figure:
    """Draw the image and its three maps side by side, or in two rows or one column where the image is wide.

    Args:
        explanation: What to draw.
        limits: Ends of the colour scale by map, such as {"importance": (0.4, 0.9)}, in the unit of the map, so that
            several figures can share a scale. The scale of a map that is not named spans its own range.
        threshold: Largest uncertainty that U-RELAX keeps; this and the next two as for `Explanation.u_relax`.
        quantile: Share of the pixels that U-RELAX keeps; the default is 0.5.
        gamma: Keep pixels whose uncertainty is at most gamma times the mean uncertainty.

    Returns:
        A matplotlib figure; `.savefig("cat.png")` writes it.

    Raises:
        ValueError: If `limits` names no map or is not (low, high), or what `Explanation.u_relax` raises.
    """
    if not hasattr(explanation, "uncertainty"):
        raise ValueError(f"explanation must be what relax.explain gives; got {described(explanation)}")
    limit = uncertainty_limit(explanation.uncertainty, threshold=threshold, quantile=quantile, gamma=gamma)
    certain = where_certain(explanation, limit)
    importance = Scale.of("importance", explanation.importance, limits)
    uncertainty = Scale.of("uncertainty", explanation.uncertainty, limits)
    provenance = explanation.provenance
    measure = str(provenance.get("similarity", "similarity"))
    unit = measure_unit(measure)
    value = shortened(str(provenance["map"]), 44) if provenance.get("map") else f"mean {unit}"

    caption = [*recipe(provenance), *results(explanation, certain, limit, (threshold, quantile, gamma))]
    layout = _Layout.of(explanation.image, caption)
    drawing = Figure(figsize=(layout.width, layout.height), facecolor="white")
    name = shortened(str(provenance.get("image", "")), layout.characters * 4 // 7)
    layout.write(drawing, " · ".join([name, *(doubt.reason for doubt in doubts(explanation))]))

    draw_image(layout.panel(drawing, 0, "image"), explanation.image)
    panel = layout.panel(drawing, 1, "importance")
    draw_map(panel, explanation.importance, explanation.importance, importance)
    layout.bar(drawing, 1, importance, value, "" if provenance.get("map") else _band(measure, importance))
    panel = layout.panel(drawing, 2, "uncertainty")
    draw_map(panel, explanation.uncertainty, explanation.importance, uncertainty)
    layout.bar(drawing, 2, uncertainty, f"variance of the {unit}", "")
    panel = layout.panel(drawing, 3, "U-RELAX: importance where certain")
    draw_map(panel, certain, explanation.importance, importance, below=_greyed(explanation.image))
    layout.bar(drawing, 3, importance, value, f"shown where uncertainty ≤ {number(limit)}")
    return drawing


@dataclass(frozen=True)
class _Layout:
    """Positions and sizes of the panels, in inches from the top left corner, for an image of a given shape."""

    columns: int
    slot: tuple[float, float]  # width and height of a panel
    caption: list[str]
    edge = 0.25
    gap = 0.3
    head = 0.62  # name of the image and first row of titles
    foot = 0.78  # under each row: colour bar with its numbers, unit and note
    between = 0.3  # titles of the next row

    @classmethod
    def of(cls, image: NDArray[np.uint8], phrases: list[str]) -> _Layout:
        aspect = image.shape[1] / image.shape[0]
        columns = 4 if aspect <= 1.7 else 2 if aspect <= 4.5 else 1
        widest, tallest = {4: 2.35, 2: 4.0, 1: 7.5}[columns], 5.0
        slot_width = min(widest, max(tallest * aspect, 2.15))
        slot = (slot_width, min(max(slot_width / aspect, 0.2), tallest))
        characters = cls(columns, slot, []).characters
        unbroken = [phrase.replace(" ", "\xa0") for phrase in phrases]  # lines break between phrases only
        return cls(columns, slot, textwrap.wrap(" · ".join(unbroken), characters, break_on_hyphens=False))

    @property
    def width(self) -> float:
        return 2 * self.edge + self.columns * self.slot[0] + (self.columns - 1) * self.gap

    @property
    def height(self) -> float:
        bottom = self.corner(3)[1] + self.slot[1] + self.foot
        return bottom + 0.13 * len(self.caption) + self.edge - 0.1

    @property
    def characters(self) -> int:
        """Number of characters in the size of the caption that fit on a line."""
        return int((self.width - 2 * self.edge) / 0.0465)

    def corner(self, place: int) -> tuple[float, float]:
        """Left and top edge of a panel."""
        row, column = divmod(place, self.columns)
        left = self.edge + column * (self.slot[0] + self.gap)
        top = self.head + row * (self.slot[1] + self.foot + self.between)
        unused = self.foot - 0.15 if self.columns == 1 and row > 0 else 0.0  # the image has no colour bar
        return left, top - unused

    def axes(self, drawing: Figure, left: float, top: float, width: float, height: float) -> Axes:
        return drawing.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def write(self, drawing: Figure, title: str) -> None:
        left, inch = self.edge / self.width, 1 / self.height
        lines = [drawing.text(left, 1 - 0.16 * inch, title, size=9, weight="bold", color=INK, va="top", **PLAIN)]
        top = self.height - self.edge - 0.13 * len(self.caption) + 0.12
        for index, text in enumerate(self.caption):
            y = 1 - (top + 0.13 * index) * inch
            lines.append(drawing.text(left, y, text, size=6.5, color=PALE, va="top", **PLAIN))
        available = (self.width - 2 * self.edge) * drawing.dpi
        with boxes_for_missing_glyphs():
            for line in lines:  # names full of wide characters are set in a smaller size
                width = line.get_window_extent().width
                line.set_fontsize(float(line.get_fontsize()) * min(1, available / max(width, 1)))

    def panel(self, drawing: Figure, place: int, title: str) -> Axes:
        axes = self.axes(drawing, *self.corner(place), *self.slot)
        axes.set_anchor("NW")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=HATCH, linewidth=0.5)
        left, top = self.corner(place)
        drawing.text(left / self.width, 1 - (top - 0.06) / self.height, title, size=8, color=INK, va="bottom", **PLAIN)
        return axes

    def bar(self, drawing: Figure, place: int, scale: Scale, label: str, note: str) -> None:
        left, top = self.corner(place)
        axes = self.axes(drawing, left, top + self.slot[1] + 0.09, self.slot[0], 0.09)
        mappable = ScalarMappable(scale.norm, scale.colours)
        bar = drawing.colorbar(mappable, cax=axes, orientation="horizontal", extend=scale.extend)
        bar.outline.set(color=HATCH, linewidth=0.5)
        span = scale.high - scale.low
        ends = [scale.low, (scale.low + scale.high) / 2, scale.high] if span > 0 else [scale.low]
        labels = [number(value, span) for value in ends] if scale.known else []
        bar.set_ticks(ends if scale.known else [], labels=labels)
        axes.tick_params(labelsize=6.5, length=2, width=0.5, color=PALE, labelcolor=INK, pad=1.5)
        for tick, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=False):
            tick.set(ha=side if span > 0 else "center", parse_math=False)
        under = 1 - (top + self.slot[1] + 0.36) / self.height
        text = label if scale.known else "nowhere defined"
        note = note if span > 0 or note else "constant"
        drawing.text(left / self.width, under, text, size=6.5, color=INK, va="top", **PLAIN)
        drawing.text(left / self.width, under - 0.125 / self.height, note, size=6.5, color=PALE, va="top", **PLAIN)


def png(explanation: ExplanationLike, **options: Any) -> bytes:
    """The bytes of `figure`, with the same options, as a PNG file."""
    return png_of(figure(explanation, **options))


def _greyed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image in pale grey, which cannot be mistaken for a value of the map."""
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.repeat((110 + luma * (135 / 255)).astype(np.uint8)[..., None], 3, axis=-1)


def _band(measure: str, scale: Scale) -> str:
    """The share of the measure's range that the colours span, which is small for the cosine, as a note."""
    span = scale.high - scale.low
    limits = MEASURES[measure].limits if measure in MEASURES else None
    if limits is None or span <= 0 or not scale.known:
        return ""
    return f"colours span {number(span)} of the measure's range of {limits[1] - limits[0]:g}"
