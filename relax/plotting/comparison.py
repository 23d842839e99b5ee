"""Draw a comparison: the image and one map per method or encoder, each with its colour bar, passes and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matplotlib.figure import Figure

from relax.maps import ExplanationLike
from relax.plotting.caption import recipe
from relax.plotting.kinds import Look, image_panel, importance_panel
from relax.plotting.scales import Limits
from relax.plotting.sheet import Row, Sheet
from relax.text import shortened


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
    if not explanations:
        raise ValueError(f"nothing to draw: {'; '.join(f'{name}: {reason}' for name, reason in failures.items())}")
    first, look = next(iter(explanations.values())), Look(limits={"importance": limits} if limits else None)
    panels = [image_panel(first, look)]
    for name, explanation in explanations.items():
        record = explanation.provenance
        cost = f"{record['cost']['passes']:,} passes, {record['seconds']:.1f} s"
        panels.append(replace(importance_panel(explanation, look), title=shortened(name, 120), note=cost))
    row = Row(panels, shortened(str(first.provenance.get("image", "image")), 120))
    return Sheet([row], _caption(first, failures, limits), look.colours).draw()


def _caption(first: ExplanationLike, failures: Mapping[str, str], limits: Limits | None) -> list[list[str]]:
    """How the first map was made, the scales, and a paragraph for each failure."""
    phrases = recipe(first.provenance)
    if limits:  # of several encoders, so the first phrase, which names one, is left out
        phrases = [*phrases[1:], "one colour scale for all maps"]
    else:
        phrases.append("each map on its own scale, in its own unit")
    lost = [[f"not drawn: {shortened(name, 60)}: {shortened(reason, 300)}"] for name, reason in failures.items()]
    return [phrases, *lost]
