"""Colour bars: the ends of a scale in numbers, the middle or zero where there is room, pointed if values lie beyond."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from relax.plotting.lettering import text_width
from relax.plotting.scales import Scale
from relax.plotting.themes import Theme
from relax.text import number

SIZE = 6.0  # points
APART = 0.08  # inches between numbers


def draw_bar(drawing: Figure, axes: Axes, scale: Scale, theme: Theme, width: float) -> None:
    """Draw the bar of a scale into axes of this width in inches."""
    mappable = ScalarMappable(scale.norm, scale.colours)
    bar = drawing.colorbar(mappable, cax=axes, orientation="horizontal", extend=scale.extend)
    number_bar(bar, scale, theme, width)


def number_bar(bar: Colorbar, scale: Scale, theme: Theme, width: float) -> None:
    """Write the numbers of a scale under its bar, which is this wide in inches."""
    bar.outline.set(color=theme.hatch, linewidth=0.5)
    values, labels = _numbers(scale, width)
    bar.set_ticks(values, labels=labels)
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=SIZE, length=2, width=0.5, color=theme.pale, labelcolor=theme.ink, pad=1.5)
    sides = {scale.low: "left", scale.high: "right"} if scale.span > 0 else {}
    for value, tick in zip(values, bar.ax.get_xticklabels(), strict=True):
        tick.set(ha=sides.get(value, "center"), parse_math=False)


def _numbers(scale: Scale, width: float) -> tuple[list[float], list[str]]:
    """The values that the bar names, and their text."""
    if not scale.known:
        return [], []
    if scale.span <= 0:
        return [scale.low], [number(scale.low)]
    middle = 0.0 if scale.low < 0 < scale.high else (scale.low + scale.high) / 2
    ends, between = (number(scale.low, scale.span), number(scale.high, scale.span)), number(middle, scale.span)
    place, half = width * (middle - scale.low) / scale.span, text_width(between, SIZE) / 2 + APART
    room = text_width(ends[0], SIZE) <= place - half and place + half <= width - text_width(ends[1], SIZE)
    values, labels = [scale.low, middle, scale.high], [ends[0], between, ends[1]]
    return (values, labels) if room else (values[::2], labels[::2])
