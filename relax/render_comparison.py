"""Draw a comparison: the image and one map per method or encoder, each with its scale, passes and seconds."""

from __future__ import annotations

import io
import math
import textwrap

from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from relax.caption import number, recipe, shortened
from relax.comparison import Comparison, map_unit
from relax.render import DPI, HATCH, INK, PALE, PLAIN, Scale, boxes_for_missing_glyphs, draw_image, draw_map

PANEL = 2.3  # inches wide
COLUMNS = 5


def comparison_figure(comparison: Comparison) -> Figure:
    """Draw the image and the maps, in the order asked for; under them what could not be drawn, and why.

    Every map has its own colour bar in its own unit, unless the comparison has common limits.

    Raises:
        ValueError: If no explanation succeeded.
    """
    made = list(comparison.explanations.items())
    if not made:
        raise ValueError(f"nothing to draw: {'; '.join(f'{n}: {why}' for n, why in comparison.failures.items())}")
    first = made[0][1]
    height, width = first.importance.shape
    columns = min(COLUMNS, len(made) + 1)
    rows = math.ceil((len(made) + 1) / columns)
    tall = min(max(PANEL * height / width, 0.6), 4.0)
    caption = _caption(comparison, letters=int(columns * PANEL / 0.05))
    size = columns * (PANEL + 0.25), rows * (tall + 1.05) + 0.14 * len(caption) + 0.4
    drawing = Figure(figsize=size, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    axes = drawing.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.set_axis_off()

    draw_image(axes[0], first.image)
    below = drawing.colorbar(ScalarMappable(), ax=axes[0], location="bottom", pad=0.03)
    below.ax.set_visible(False)  # the room of a colour bar, so that the image is as large as its maps
    title = f"{shortened(str(first.provenance.get('image', 'image')), 34)}\n{width} × {height} px"
    axes[0].set_title(title, size=8, color=INK, loc="left", **PLAIN)
    for panel, (name, one) in zip(axes[1:], made, strict=False):
        limits = {"importance": comparison.limits} if comparison.limits else None
        scale = Scale.of("importance", one.importance, limits)
        draw_map(panel, one.importance, one.importance, scale)
        how = one.provenance
        title = f"{shortened(name, 34)}\n{how['cost']['passes']:,} passes, {how['seconds']:.1f} s"
        panel.set_title(title, size=8, color=INK, loc="left", **PLAIN)
        bar = drawing.colorbar(ScalarMappable(scale.norm, scale.colours), ax=panel, location="bottom", pad=0.03)
        bar.outline.set(color=HATCH, linewidth=0.5)
        span = scale.high - scale.low
        ends = [scale.low, scale.high] if span > 0 else [scale.low]
        bar.set_ticks(ends, labels=[number(value, span) for value in ends])
        bar.ax.tick_params(labelsize=6.5, length=2, labelcolor=INK)
        for tick, side in zip(bar.ax.get_xticklabels(), ("left", "right"), strict=False):
            tick.set(ha=side if span > 0 else "center", parse_math=False)
        bar.set_label(shortened(map_unit(one), 44), size=6.5, color=PALE, **PLAIN)
    drawing.supxlabel("\n".join(caption), size=6.5, color=PALE, x=0.01, ha="left", **PLAIN)
    return drawing


def comparison_png(comparison: Comparison) -> bytes:
    """`comparison_figure` as the bytes of a PNG file."""
    stream = io.BytesIO()
    with boxes_for_missing_glyphs():
        comparison_figure(comparison).savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _caption(comparison: Comparison, letters: int) -> list[str]:
    """How the maps were made, as the first of them says, and what is missing."""
    first = next(iter(comparison.explanations.values()))
    how = recipe(first.provenance)
    how = [*how[1:], "one colour scale"] if comparison.limits else [*how, "each map on its own scale, in its own unit"]
    lines = textwrap.wrap(" · ".join(how), letters)
    for name, why in comparison.failures.items():
        lines += textwrap.wrap(f"not drawn: {shortened(name, 60)}: {shortened(why, 300)}", letters)
    return lines
