"""The caption of a figure: how the maps were made and what they come to, in short phrases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from relax.maps import ExplanationLike, layer_in_words, where_certain
from relax.scale import yardsticks_in_words
from relax.text import number, shortened
from similarity.measures import MEASURES, measure_to


def recipe(provenance: dict[str, Any]) -> list[str]:
    """How the maps were made: encoder, explained quantity, masks, fill, seed and, where it was measured, trust."""
    encoder, masks = provenance.get("encoder") or {}, provenance.get("masks") or {}
    count = masks.get("count")
    phrases = [
        f"encoder {shortened(str(encoder.get('name')), 60)}",
        layer_in_words(provenance),
        _explained_quantity(provenance),
        _within(provenance.get("within")),
        f"{count:,} masks" if isinstance(count, int) else "masks",
        _stopped(provenance.get("stopped_early")),
        str(masks.get("kind", "")),
        *(f"{key} {masks[key]}" for key in ("cells", "found", "window", "stride", "keep") if key in masks),
        f"fill {_fill(provenance.get('fill'))}",
        f"seed {provenance.get('seed')}",
    ]
    if provenance.get("trust"):
        phrases += trust_in_words(provenance["trust"])
    return [phrase for phrase in phrases if phrase]


def _within(within: dict[str, Any] | None) -> str:
    """Which region masks vary in, and its share of the picture."""
    if not within:
        return ""
    return f"within {shortened(str(within.get('named')), 60)} ({within.get('share', 0):.1%} of the picture)"


def _stopped(early: dict[str, Any] | None) -> str:
    """That masks are missing, and how many were asked for."""
    return f"STOPPED EARLY, of {early.get('of', 0):,}" if early else ""


def _explained_quantity(provenance: dict[str, Any]) -> str:
    """Such as "cosine to the image itself" or, for other methods, "occlusion of" their target."""
    method = provenance.get("method", "relax")
    if method != "relax":
        return f"{method} of {shortened(str(provenance.get('target') or provenance.get('scalar')), 60)}"
    reference = str(provenance.get("reference") or "itself")
    reference = "the image itself" if reference == "itself" else reference
    minus = f" minus to {shortened(str(provenance['foil']), 60)}" if provenance.get("foil") else ""
    return f"{measure_to(str(provenance.get('similarity')))} {shortened(reference, 60)}{minus}"


def _fill(fill: Any) -> str:
    text = ", ".join(f"{value:g}" for value in fill) if isinstance(fill, list) else str(fill)
    return shortened(text, 60)


def measure_unit(measure: str) -> str:
    """The unit of a measure in words; an unknown name, as in records of other versions, stands for itself."""
    return MEASURES[measure].unit if measure in MEASURES else shortened(measure, 24)


def measure_of(provenance: dict[str, Any]) -> str:
    """The name of the measure, where it is known."""
    return str(provenance.get("similarity", "similarity"))


def quantity(provenance: dict[str, Any]) -> str:
    """What the importance is, with its unit; other methods than RELAX bring words of their own."""
    if provenance.get("map"):
        return shortened(str(provenance["map"]), 120)
    unit = measure_unit(measure_of(provenance))
    return f"mean {unit}, to the reference minus to the foil" if provenance.get("foil") else f"mean {unit}"


def trust_in_words(trust: dict[str, Any]) -> list[str]:
    """The numbers of a `relax.Trust`, as short phrases."""
    mirrored, shifted, ceiling, stability = (
        "undefined" if trust[name] is None or math.isnan(trust[name]) else f"{trust[name]:.2f}"
        for name in ("mirrored", "shifted", "ceiling", "stability")
    )
    phrases = [
        f"map follows the picture {mirrored} mirrored, {shifted} shifted (another seed: {ceiling})",
        f"embedding under small changes {stability} (least: {trust['moved_most_by']})",
    ]
    if trust["neighbours"] is not None:
        phrases.append(f"keeps {trust['neighbours']:.0%} of {trust['k']} neighbours")
    return phrases


def results(explanation: ExplanationLike) -> list[str]:
    """What the maps come to: standard error, tolerance, yardsticks, and pixels never seen."""
    provenance, method = explanation.provenance, explanation.provenance.get("method", "relax")
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    phrases = [
        f"median standard error of the importance {number(float(np.median(errors)))}"
        if errors.size
        else f"no standard error ({'the masks are not random' if method == 'relax' else method + ' has none'})"
    ]
    if provenance.get("tolerance") is not None:
        outcome = "reached" if provenance.get("converged") else "NOT reached"
        phrases.append(f"tolerance {provenance['tolerance']:g} {outcome}")
    phrases += yardsticks_in_words(provenance)
    if provenance.get("within"):
        phrases.append("the photograph: outside the region, and always visible")
    elif not np.isfinite(explanation.importance).all():
        unseen = 1 - float(np.isfinite(explanation.importance).mean())
        phrases.append(f"hatched: never seen by the encoder ({unseen:.0%})")
    return phrases


def u_relax_in_words(
    explanation: ExplanationLike, limit: float, rule: tuple[float | None, float | None, float | None]
) -> str:
    """The threshold of U-RELAX, where it comes from, and the share of the pixels that it keeps.

    Args:
        explanation: The maps.
        limit: Largest uncertainty that counts as certain.
        rule: The threshold, quantile and gamma that `limit` follows from, at most one of them not None.
    """
    threshold, quantile, gamma = rule
    seen = np.isfinite(explanation.importance)
    share = np.isfinite(where_certain(explanation, limit)).sum() / max(seen.sum(), 1)
    origin = f"{gamma:g} × the mean" if gamma is not None else f"quantile {0.5 if quantile is None else quantile:g}"
    origin = "given" if threshold is not None else origin
    return f"U-RELAX threshold {number(limit)} ({origin}), keeps {share:.0%}"
