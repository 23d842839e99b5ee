"""Draw an explanation: the picture, the importance over it, the maps, and how they were made. Several in a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from encoders.values import described
from relax.maps import MAPS, ExplanationLike
from relax.plotting.axes import draw_into
from relax.plotting.caption import recipe, results, u_relax_in_words
from relax.plotting.comparison import ComparisonLike, comparison_sheet
from relax.plotting.drawing import file_of
from relax.plotting.kinds import Look
from relax.plotting.montage import VolumeLike, montage_sheet
from relax.plotting.overlay import ALPHA
from relax.plotting.scales import Limits, common_limits
from relax.plotting.sheet import WIDTH, Row, Sheet
from relax.plotting.tables import COMPARED, KINDS, PANELS, VOLUMES
from relax.scale import doubts
from relax.text import names_of, one_of, shortened

SCALES = {"own": "each map has a colour scale of its own", "shared": "maps of a kind share one colour scale"}


def figure(
    explanation: ExplanationLike | Sequence[ExplanationLike] | ComparisonLike | VolumeLike,
    *,
    panels: Sequence[str] | None = None,
    every: int | None = None,
    cmap: str | None = None,
    alpha: float = ALPHA,
    scales: str = "own",
    limits: Mapping[str, Limits] | None = None,
    threshold: float | None = None,
    quantile: float | None = None,
    gamma: float | None = None,
    width: float = WIDTH,
    theme: str = "light",
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Draw an explanation, several in a grid, or a comparison; each map with its scale.

    Values are never rescaled: every colour bar says which range its colours span, in the unit of the map. The small
    print says how the maps were made. Files are the same, byte for byte, whenever they are written.

    Args:
        explanation: What to draw: an explanation, a list of them (a row each), what `relax.compare_methods` and
            `relax.compare_encoders` give (the image, and the panels of each method or encoder), or what
            `relax.explain_volume` gives (a montage of slices).
        panels: What to show, in this order: "image", "overlay" (the importance over the image, see `relax.overlay`),
            "importance", "uncertainty", "standard_error" and "u_relax" (the importance over the image where it is
            certain, see `Explanation.u_relax`). None is image, overlay, importance and uncertainty; of a comparison
            or a volume, which has one kind, the overlay.
        every: Of a volume every so many slices, 1 for all; None is as many as give up to 16.
        cmap: Name of a matplotlib colour map for the importance instead of viridis. One that diverges, such as
            "RdBu_r", is centred on 0.
        alpha: Opacity of the colours over the image, in [0, 1].
        scales: "own": each map has a colour scale of its own. "shared": importance, uncertainty and standard error
            each have one scale for all explanations, which must then be in one unit, as slices of a volume always have.
        limits: Ends of the colour scale by map, such as {"importance": (0.4, 0.9)}, in the unit of the map, so that
            several figures can share a scale. The scale of a map that is not named spans its own range.
        threshold: Largest uncertainty that U-RELAX keeps; this and the next two as for `Explanation.u_relax`.
        quantile: Share of the pixels that U-RELAX keeps; the default is 0.5.
        gamma: Keep pixels whose uncertainty is at most gamma times the mean uncertainty.
        width: In inches: 7.2, the page of a journal, by default, and 3.3 for a column. Text keeps its size; panels that
            would become too small continue below.
        theme: "light" or "dark", for slides.
        ax: Axes of a figure of your own to draw into, one for each panel, instead of a new figure; `width` and the
            small print are then left to you.

    Returns:
        A matplotlib figure; `.savefig("cat.pdf")` writes it, as .png, .svg or .pdf.

    Raises:
        ValueError: If there is nothing to draw, a panel, colour map or theme is unknown, `alpha`, `limits` or `width`
            are out of range, maps in different units are to share a scale, the number of axes is not that of the
            panels, or what `Explanation.u_relax` raises.
    """
    look = Look(cmap, alpha, limits, threshold, quantile, gamma, theme)
    if hasattr(explanation, "slices"):
        kind = _only(_kinds(VOLUMES if panels is None else panels))
        sheet = montage_sheet(explanation, kind, every, look, width)  # type: ignore[arg-type]
        return sheet.draw() if ax is None else draw_into(ax, sheet)
    if every is not None:
        raise ValueError(f"every is for volumes, of which it picks slices; got {every}: leave it out")
    compared = hasattr(explanation, "explanations")
    several = _several(explanation.explanations.values() if compared else explanation)  # type: ignore[union-attr]
    if one_of("scales", scales, SCALES) == "shared":
        look = replace(look, limits={**_shared(several), **(limits or {})})
    if compared:
        names = _kinds(COMPARED if panels is None else panels)
        sheet = comparison_sheet(explanation, names, look, width)  # type: ignore[arg-type]
    else:
        names = _kinds(PANELS if panels is None else panels)
        rows = [Row(look.panels(each, names), _heading(each)) for each in several]
        sheet = Sheet(rows, _captions(several, names, look, scales), look.colours, width)
    return sheet.draw() if ax is None else draw_into(ax, sheet)


def figure_file(explanation: ExplanationLike | VolumeLike, format: str = "png", **options: Any) -> bytes:
    """The bytes of `figure`, with the same options, as a file of a format from `relax.plotting.tables.FORMATS`."""
    return file_of(figure(explanation, **options), format)


def _several(explanation: Any) -> list[ExplanationLike]:
    """The explanations in a list, or the one."""
    single = hasattr(explanation, "uncertainty")
    several = [explanation] if single else list(explanation) if hasattr(explanation, "__iter__") else []
    if not several or not all(hasattr(each, "uncertainty") for each in several):
        raise ValueError(
            "explanation must be what relax.explain gives, a list of that, or a comparison; "
            f"got {described(explanation)}"
        )
    return several


def _kinds(panels: Sequence[str]) -> list[str]:
    return [one_of("panels", name, KINDS) for name in names_of("panels", panels)]


def _only(kinds: Sequence[str]) -> str:
    """The one kind of panel of a montage."""
    if len(kinds) != 1:
        raise ValueError(f"panels must be one kind for the slices of a volume; got {', '.join(kinds)}")
    return kinds[0]


def _shared(explanations: Sequence[ExplanationLike]) -> dict[str, Limits]:
    """Limits of each map that is known anywhere, over all explanations."""
    limits = {name: common_limits(name, explanations) for name in MAPS}
    return {name: ends for name, ends in limits.items() if ends is not None}


def _heading(explanation: ExplanationLike) -> str:
    name = shortened(str(explanation.provenance.get("image", "")), 120)
    return " · ".join([name, *(doubt.reason for doubt in doubts(explanation))])


def _captions(
    explanations: Sequence[ExplanationLike], panels: Sequence[str], look: Look, scales: str
) -> list[list[str]]:
    """What holds for all explanations, then a paragraph for what is said of each alone."""
    phrases = [_caption(explanation, panels, look) for explanation in explanations]
    if len(explanations) == 1:
        return phrases
    common = [phrase for phrase in phrases[0] if all(phrase in others for others in phrases)]
    paragraphs = [[*common, SCALES[scales]]]
    for explanation, own in zip(explanations, phrases, strict=True):
        name, alone = explanation.provenance.get("image", ""), [phrase for phrase in own if phrase not in common]
        if alone:
            paragraphs.append([f"{shortened(str(name), 60)}: {alone[0]}", *alone[1:]])
    return paragraphs


def _caption(explanation: ExplanationLike, panels: Sequence[str], look: Look) -> list[str]:
    phrases = [*recipe(explanation.provenance), *results(explanation)]
    if "u_relax" in panels:
        rule = look.threshold, look.quantile, look.gamma
        phrases.append(u_relax_in_words(explanation, look.limit(explanation), rule))
    return phrases
