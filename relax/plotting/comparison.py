"""Draw a comparison: the image and one map per method or encoder, each with its colour bar, passes and seconds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure

from relax.maps import ExplanationLike, map_unit
from relax.plotting.caption import recipe
from relax.plotting.panels import Limits, Scale
from relax.plotting.sheet import (
    MAX_TITLE,
    PANEL_WIDTH,
    draw_titled_image,
    draw_titled_map,
    empty_sheet,
    panel_height,
    write_caption,
)
from relax.text import shortened

COLUMNS = 5


def comparison_figure(
    explanations: Mapping[str, ExplanationLike],
    failures: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Figure:
    """Draw the image and the maps in the given order, and list under them the failures with their reasons.

    Args:
        explanations: Explanations of one image, by the name of the method or encoder.
        failures: The reason why there is no map, one line each, by name.
        limits: Ends of a colour scale that all maps share; None gives each map a scale in its own unit.

    Raises:
        ValueError: If there is no explanation; the message lists the failures.
    """
    failures = failures or {}
    maps = list(explanations.items())
    if not maps:
        raise ValueError(f"nothing to draw: {'; '.join(f'{name}: {reason}' for name, reason in failures.items())}")
    first = maps[0][1]
    height, width = first.importance.shape
    columns = min(COLUMNS, len(maps) + 1)
    rows = math.ceil((len(maps) + 1) / columns)
    panel = panel_height(first.importance.shape)
    caption = _caption(first, failures, limits, characters=int(columns * PANEL_WIDTH / 0.05))
    size = columns * (PANEL_WIDTH + 0.25), rows * (panel + 1.05) + 0.14 * len(caption) + 0.4
    drawing, grid = empty_sheet([panel] * rows, columns, size)

    axes = grid.ravel()
    title = f"{shortened(str(first.provenance.get('image', 'image')), MAX_TITLE)}\n{width} × {height} px"
    draw_titled_image(drawing, axes[0], first.image, title)
    for place, (name, explanation) in zip(axes[1:], maps, strict=False):
        record, values = explanation.provenance, explanation.importance
        scale = Scale.of("importance", values, {"importance": limits} if limits else None)
        title = f"{shortened(name, MAX_TITLE)}\n{record['cost']['passes']:,} passes, {record['seconds']:.1f} s"
        draw_titled_map(drawing, place, values, scale, title, shortened(map_unit(record), 44))
    write_caption(drawing, caption)
    return drawing


def _caption(first: ExplanationLike, failures: Mapping[str, str], limits: Limits | None, characters: int) -> list[str]:
    """Lines of so many characters: how the first map was made, the scales, and the failures."""
    phrases = recipe(first.provenance)
    if limits:  # of several encoders, so the first phrase, which names one, is left out
        phrases = [*phrases[1:], "one colour scale for all maps"]
    else:
        phrases.append("each map on its own scale, in its own unit")
    lines = textwrap.wrap(" · ".join(phrases), characters)
    for name, reason in failures.items():
        lines += textwrap.wrap(f"not drawn: {shortened(name, 60)}: {shortened(reason, 300)}", characters)
    return lines
