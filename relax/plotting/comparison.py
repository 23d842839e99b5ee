"""Draw a comparison: the image and one map per method or encoder, each with its scale, passes and seconds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from relax.maps import ExplanationLike
from relax.plotting.caption import map_unit, recipe
from relax.plotting.panels import INK, PALE, PLAIN, Limits, Scale, draw_bar, draw_image, draw_map, leave_room_for_bar
from relax.text import shortened

PANEL = 2.3  # inches wide
COLUMNS = 5


def comparison_figure(
    explanations: Mapping[str, ExplanationLike],
    failures: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Figure:
    """Draw the image and the maps, in the order given; under them what could not be drawn, and why.

    Args:
        explanations: Of one image, by the name of the method or encoder.
        failures: By name: why there is no map, in one line.
        limits: Ends of a colour scale that all maps share; None: each has its own, in its own unit.

    Raises:
        ValueError: If there is no explanation.
    """
    failures = failures or {}
    maps = list(explanations.items())
    if not maps:
        raise ValueError(f"nothing to draw: {'; '.join(f'{name}: {why}' for name, why in failures.items())}")
    first = maps[0][1]
    height, width = first.importance.shape
    columns = min(COLUMNS, len(maps) + 1)
    rows = math.ceil((len(maps) + 1) / columns)
    tall = min(max(PANEL * height / width, 0.6), 4.0)
    caption = _caption(first, failures, limits, letters=int(columns * PANEL / 0.05))
    size = columns * (PANEL + 0.25), rows * (tall + 1.05) + 0.14 * len(caption) + 0.4
    drawing = Figure(figsize=size, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.set_axis_off()

    draw_image(axes[0], first.image)
    leave_room_for_bar(drawing, axes[0])
    title = f"{shortened(str(first.provenance.get('image', 'image')), 34)}\n{width} × {height} px"
    axes[0].set_title(title, size=8, color=INK, loc="left", **PLAIN)
    for panel, (name, explanation) in zip(axes[1:], maps, strict=False):
        scale = Scale.of("importance", explanation.importance, {"importance": limits} if limits else None)
        draw_map(panel, explanation.importance, explanation.importance, scale)
        record = explanation.provenance
        title = f"{shortened(name, 34)}\n{record['cost']['passes']:,} passes, {record['seconds']:.1f} s"
        panel.set_title(title, size=8, color=INK, loc="left", **PLAIN)
        draw_bar(drawing, panel, scale, shortened(map_unit(record), 44))
    drawing.supxlabel("\n".join(caption), size=6.5, color=PALE, x=0.01, ha="left", **PLAIN)
    return drawing


def _caption(first: ExplanationLike, failures: Mapping[str, str], limits: Limits | None, letters: int) -> list[str]:
    """How the maps were made, as the first of them says, and what is missing."""
    how = recipe(first.provenance)
    how = [*how[1:], "one colour scale"] if limits else [*how, "each map on its own scale, in its own unit"]
    lines = textwrap.wrap(" · ".join(how), letters)
    for name, why in failures.items():
        lines += textwrap.wrap(f"not drawn: {shortened(name, 60)}: {shortened(why, 300)}", letters)
    return lines
