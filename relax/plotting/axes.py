"""Panels in axes of the caller's own figure, each with its title and colour bar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from relax.plotting.bars import number_bar
from relax.plotting.lettering import PLAIN
from relax.plotting.sheet import Panel, Sheet, frame
from relax.plotting.themes import Theme


def draw_into(ax: Axes | Iterable[Axes], sheet: Sheet) -> Figure:
    """Draw the panels of a sheet into these axes, one each. Returns their figure.

    Raises:
        ValueError: If there are more or fewer axes than panels.
    """
    places: list[Any] = [ax] if isinstance(ax, Axes) else list(getattr(ax, "flat", ax))
    panels = [panel for row in sheet.rows for panel in row.panels]
    if len(places) != len(panels) or not all(isinstance(axes, Axes) for axes in places):
        raise ValueError(f"ax must be one of matplotlib's Axes for each panel, here {len(panels)}; got {len(places)}")
    for axes, panel in zip(places, panels, strict=True):
        _draw(axes, panel, sheet.theme)
    drawing: Figure = places[0].figure
    return drawing


def _draw(axes: Axes, panel: Panel, theme: Theme) -> None:
    panel.draw(axes)
    frame(axes, theme)
    axes.set_anchor("N")  # beside others, with a colour bar or without
    axes.set_title(panel.title, loc="left", fontsize="medium", **PLAIN)
    if panel.scale is None:
        return
    mappable = ScalarMappable(panel.scale.norm, panel.scale.colours)
    place = axes.get_position()
    width = axes.figure.get_figwidth() * place.width  # type: ignore[union-attr]
    bar = axes.figure.colorbar(mappable, ax=axes, location="bottom", pad=0.04, aspect=30, extend=panel.scale.extend)
    number_bar(bar, panel.scale, theme, width)
    bar.set_label(panel.label, fontsize="small", **PLAIN)
