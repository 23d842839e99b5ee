"""What is written under a figure: how the maps were made, in short phrases and readable numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.text import number, shortened
from similarity.measures import MEASURES


def recipe(made: dict[str, Any]) -> list[str]:
    """How the maps were made, as short phrases."""
    encoder, masks = made.get("encoder") or {}, made.get("masks") or {}
    reference = str(made.get("reference") or "itself")
    reference = "the image itself" if reference == "itself" else reference
    minus = f" minus to {shortened(str(made['foil']), 60)}" if made.get("foil") else ""
    fill = made.get("fill")
    fill_text = ", ".join(f"{value:g}" for value in fill) if isinstance(fill, list) else str(fill)
    count = masks.get("count")
    phrases = [
        f"encoder {shortened(str(encoder.get('name')), 60)}",
        f"{made['method']} of {shortened(str(made.get('target') or made.get('scalar')), 60)}"
        if made.get("method", "relax") != "relax"
        else f"{made.get('similarity')} to {shortened(reference, 60)}{minus}",
        f"{count:,} masks" if isinstance(count, int) else "masks",
        str(masks.get("kind", "")),
        *(f"{key} {masks[key]}" for key in ("cells", "found", "window", "stride", "keep") if key in masks),
        f"fill {shortened(fill_text, 60)}",
        f"seed {made.get('seed')}",
    ]
    if made.get("trust"):
        phrases += trust_in_words(made["trust"])
    return [phrase for phrase in phrases if phrase]


def measure_unit(measure: str) -> str:
    """What a measure's values are called; a name that is none, as records of other versions may have, is kept."""
    return MEASURES[measure].unit if measure in MEASURES else shortened(measure, 24)


def map_unit(made: dict[str, Any]) -> str:
    """The unit of the importance, in words."""
    return str(made.get("map") or f"mean {made['similarity']}")


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


def results(
    explanation: ExplanationLike,
    certain: NDArray[np.float32],
    most: float,
    wishes: tuple[float | None, float | None, float | None],
) -> list[str]:
    """What the reader must know of the maps, as short phrases."""
    threshold, quantile, gamma = wishes
    seen = np.isfinite(explanation.importance)
    share = np.isfinite(certain).sum() / max(seen.sum(), 1)
    rule = f"{gamma:g} × the mean" if gamma is not None else f"quantile {0.5 if quantile is None else quantile:g}"
    rule = "given" if threshold is not None else rule
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    method = explanation.provenance.get("method", "relax")
    phrases = [f"U-RELAX threshold {number(most)} ({rule}), keeps {share:.0%}"]
    phrases.append(
        f"median standard error of the importance {number(float(np.median(errors)))}"
        if errors.size
        else f"no standard error ({'masks not random' if method == 'relax' else method + ' has none'})"
    )
    made = explanation.provenance
    if made.get("tolerance") is not None:
        phrases.append(f"tolerance {made['tolerance']:g} {'reached' if made.get('converged') else 'NOT reached'}")
    if not seen.all():
        phrases.append("hatched: never seen by the encoder")
    return phrases
