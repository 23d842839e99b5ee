"""The panels of an explanation: what each kind shows, on which scale, and with which words under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from relax.maps import ExplanationLike, uncertainty_limit, where_certain
from relax.plotting.caption import measure_of, measure_unit, quantity
from relax.plotting.overlay import ALPHA, TOP, checked_alpha, opacity, outlines, tinted
from relax.plotting.panels import draw_image, draw_layer, draw_map, draw_outlines
from relax.plotting.scales import Limits, Scale
from relax.plotting.sheet import Panel
from relax.plotting.tables import KINDS
from relax.plotting.themes import THEMES, Theme
from relax.text import number, one_of
from similarity.measures import MEASURES


@dataclass(frozen=True)
class Look:
    """What a caller can choose about panels; meanings and errors are those of `relax.figure`."""

    cmap: str | None = None
    alpha: float = ALPHA
    limits: Mapping[str, Limits] | None = None
    threshold: float | None = None
    quantile: float | None = None
    gamma: float | None = None
    theme: str = "light"
    levels: Limits | None = None  # median and 80th percentile of a volume, where a slice of it is drawn

    def __post_init__(self) -> None:
        checked_alpha(self.alpha)
        one_of("theme", self.theme, THEMES)

    @property
    def colours(self) -> Theme:
        """Of everything that is not data."""
        return THEMES[self.theme]

    def panels(self, explanation: ExplanationLike, names: Sequence[str]) -> list[Panel]:
        """Panels of these kinds."""
        return [KINDS[name].load()(explanation, self) for name in names]

    def limit(self, explanation: ExplanationLike) -> float:
        """The largest uncertainty that U-RELAX keeps."""
        rule = {"threshold": self.threshold, "quantile": self.quantile, "gamma": self.gamma}
        return uncertainty_limit(explanation.uncertainty, **rule)

    def importance(self, explanation: ExplanationLike) -> Scale:
        """The scale of the importance, which the overlay and U-RELAX share."""
        return Scale.of("importance", explanation.importance, self.limits, self.cmap)


def image_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The picture."""
    return Panel("image", explanation.importance.shape, partial(draw_image, image=explanation.image))


def overlay_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The importance over the picture, by the rule of `relax.overlay`, with the rule in words."""
    values, scale = explanation.importance, look.importance(explanation)
    layer = tinted(values, scale, opacity(values, look.alpha, signed=scale.signed, levels=look.levels))
    lines = outlines(values, look.levels)
    draw = partial(_draw_layer, explanation=explanation, layer=layer, lines=lines, theme=look.colours)
    return _panel(
        "importance over the image", scale, draw, explanation, quantity(explanation.provenance), rule(look.alpha, scale)
    )


def importance_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The importance."""
    scale = look.importance(explanation)
    draw = partial(
        draw_map, values=explanation.importance, scale=scale, theme=look.colours, around=_around(explanation)
    )
    return _panel("importance", scale, draw, explanation, quantity(explanation.provenance), _band(explanation, scale))


def uncertainty_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The uncertainty."""
    scale = Scale.of("uncertainty", explanation.uncertainty, look.limits)
    draw = partial(
        draw_map, values=explanation.uncertainty, scale=scale, theme=look.colours, around=_around(explanation)
    )
    return _panel(
        "uncertainty", scale, draw, explanation, f"variance of the {measure_unit(measure_of(explanation.provenance))}"
    )


def standard_error_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The standard error, in the colours of the report."""
    scale = Scale.of("standard_error", explanation.standard_error)
    draw = partial(
        draw_map, values=explanation.standard_error, scale=scale, theme=look.colours, around=_around(explanation)
    )
    return _panel("standard error of the importance", scale, draw, explanation, quantity(explanation.provenance))


def u_relax_panel(explanation: ExplanationLike, look: Look) -> Panel:
    """The importance over the picture where it is certain, outlined; the picture alone elsewhere."""
    scale, limit = look.importance(explanation), look.limit(explanation)
    certain = where_certain(explanation, limit)
    known = np.isfinite(certain)
    layer = tinted(certain, scale, np.where(known, look.alpha, 0.0))
    draw = partial(_draw_layer, explanation=explanation, layer=layer, lines=[], theme=look.colours)
    note = f"coloured where the uncertainty is ≤ {number(limit)}"
    return _panel("U-RELAX: importance where certain", scale, draw, explanation, quantity(explanation.provenance), note)


def rule(alpha: float, scale: Scale) -> str:
    """How opaque the overlay is where, in words."""
    if scale.signed:
        opaque = f"clear below the median, {alpha:.0%} opaque in the top {TOP:.0%}"
        return f"by absolute value {opaque}; outline: highest {TOP:.0%}"
    return f"clear below the median, {alpha:.0%} opaque in the outlined top {TOP:.0%}"


def _panel(
    title: str, scale: Scale, draw: Callable[[Axes], None], explanation: ExplanationLike, label: str, note: str = ""
) -> Panel:
    """A panel with a colour bar; a map that is constant, or nowhere defined, says so."""
    if not scale.known:
        label, note = "nowhere defined", ""
    elif scale.span <= 0:
        note = "constant"
    return Panel(title, explanation.importance.shape, draw, scale, label, note)


def _draw_layer(
    axes: Axes,
    explanation: ExplanationLike,
    layer: NDArray[np.uint8],
    lines: list[NDArray[np.float64]],
    theme: Theme,
) -> None:
    known = np.isfinite(explanation.importance) if _around(explanation) is None else np.ones(layer.shape[:2], bool)
    draw_layer(axes, explanation.image, layer, known, theme)
    draw_outlines(axes, lines)


def _around(explanation: ExplanationLike) -> NDArray[np.uint8] | None:
    """What shows where the map is not known: the picture where masks vary within a region; None is hatching."""
    return explanation.image if explanation.provenance.get("within") else None


def _band(explanation: ExplanationLike, scale: Scale) -> str:
    """The share of the measure's range that the colours span, which is small for the cosine, as a note."""
    measure = measure_of(explanation.provenance)
    other = explanation.provenance.get("map") or explanation.provenance.get("foil")  # no mean of the measure
    limits = MEASURES[measure].limits if measure in MEASURES and not other else None
    if limits is None or scale.span <= 0 or not scale.known:
        return ""
    return f"colours span {number(scale.span)} of the measure's range of {limits[1] - limits[0]:g}"
