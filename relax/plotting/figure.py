"""Draw an explanation: the picture, the importance over it, the maps, and how they were made. Several in a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from encoders.values import described
from relax.maps import ExplanationLike
from relax.plotting.caption import recipe, results, u_relax_in_words
from relax.plotting.drawing import file_of
from relax.plotting.kinds import KINDS, Look
from relax.plotting.overlay import ALPHA
from relax.plotting.scales import Limits
from relax.plotting.sheet import WIDTH, Row, Sheet
from relax.scale import doubts
from relax.text import names_of, one_of, shortened

PANELS = ("image", "overlay", "importance", "uncertainty")


def figure(
    explanation: ExplanationLike,
    *,
    panels: Sequence[str] = PANELS,
    cmap: str | None = None,
    alpha: float = ALPHA,
    limits: Mapping[str, Limits] | None = None,
    threshold: float | None = None,
    quantile: float | None = None,
    gamma: float | None = None,
    width: float = WIDTH,
    theme: str = "light",
) -> Figure:
    """Draw the image, the importance over it, the importance and the uncertainty, each with its scale.

    Values are never rescaled: every colour bar says which range its colours span, in the unit of the map. The small
    print says how the maps were made. Files are the same, byte for byte, whenever they are written.

    Args:
        explanation: What to draw.
        panels: What to show, in this order: "image", "overlay" (the importance over the image, see `relax.overlay`),
            "importance", "uncertainty", "standard_error" and "u_relax" (the importance over the image where it is
            certain, see `Explanation.u_relax`).
        cmap: Name of a matplotlib colour map for the importance instead of viridis. One that diverges, such as
            "RdBu_r", is centred on 0.
        alpha: Opacity of the colours over the image, in [0, 1].
        limits: Ends of the colour scale by map, such as {"importance": (0.4, 0.9)}, in the unit of the map, so that
            several figures can share a scale. The scale of a map that is not named spans its own range.
        threshold: Largest uncertainty that U-RELAX keeps; this and the next two as for `Explanation.u_relax`.
        quantile: Share of the pixels that U-RELAX keeps; the default is 0.5.
        gamma: Keep pixels whose uncertainty is at most gamma times the mean uncertainty.
        width: In inches: 7.2, the page of a journal, by default, and 3.3 for a column. Text keeps its size; panels that
            would become too small continue below.
        theme: "light" or "dark", for slides.

    Returns:
        A matplotlib figure; `.savefig("cat.pdf")` writes it, as .png, .svg or .pdf.

    Raises:
        ValueError: If a panel, colour map or theme is unknown, `alpha`, `limits` or `width` are out of range, or what
            `Explanation.u_relax` raises.
    """
    look = Look(cmap, alpha, limits, threshold, quantile, gamma, theme)
    row = _row(explanation, panels, look)
    return Sheet([row], [_caption(explanation, panels, look)], look.colours, width).draw()


def figure_file(explanation: ExplanationLike, format: str = "png", **options: Any) -> bytes:
    """The bytes of `figure`, with the same options, as a file of a format from `relax.plotting.drawing.FORMATS`."""
    return file_of(figure(explanation, **options), format)


def _row(explanation: ExplanationLike, panels: Sequence[str], look: Look) -> Row:
    if not hasattr(explanation, "uncertainty"):
        raise ValueError(f"explanation must be what relax.explain gives; got {described(explanation)}")
    names = [one_of("panels", name, KINDS) for name in names_of("panels", panels)]
    name = shortened(str(explanation.provenance.get("image", "")), 120)
    heading = " · ".join([name, *(doubt.reason for doubt in doubts(explanation))])
    return Row([KINDS[name].panel(explanation, look) for name in names], heading)


def _caption(explanation: ExplanationLike, panels: Sequence[str], look: Look) -> list[str]:
    phrases = [*recipe(explanation.provenance), *results(explanation)]
    if "u_relax" in panels:
        rule = look.threshold, look.quantile, look.gamma
        phrases.append(u_relax_in_words(explanation, look.limit(explanation), rule))
    return phrases
