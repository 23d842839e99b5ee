"""Lay methods, or encoders, side by side on one image: same masks, same settings, what each costs.

What cannot be done is said in one line, and the others are still there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders import Head, load
from relax.baselines import METHODS, method_named
from relax.explainer import explain
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import ImageSource, one_by_one
from relax.plotting.caption import map_unit
from relax.scene import EncoderSource

Limits = tuple[float, float]
Started = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """Explanations of one image, side by side.

    Attributes:
        explanations: By the name of the method or encoder, in the order asked for; each with its provenance.
        failures: By name: why there is none, in one line.
        limits: Ends of the colour scale of the importance that all maps share; None: each has its own, since
            the methods' maps have different units.
    """

    explanations: dict[str, Explanation]
    failures: dict[str, str]
    limits: Limits | None = None


def compare_methods(
    image: ImageSource,
    methods: Sequence[str],
    encoder: EncoderSource = "default",
    *,
    head: Head | None = None,
    target: str | int | None = None,
    masks: int | None = None,
    started: Started | None = None,
    **settings: Any,
) -> Comparison:
    """Explain one image with several methods.

    Args:
        image: As for `relax.explain`.
        methods: Names from `relax.baselines.METHODS`.
        encoder: Who looks.
        head: For the methods that explain a class; the others explain the similarity all the same.
        target: The head's class; None is the one it predicts.
        masks: For relax and rise; the other methods take their own number of samples.
        started: Called with the name of each method when its turn comes.
        settings: Further keywords of `relax.explain`: cells, keep, fill, seed, similarity, reference, ...

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If a method is unknown, or none is given.
    """
    for name in methods:
        method_named(name)
    encoder = load(encoder, device=settings.pop("device", "auto"), pooling=settings.pop("pooling", "auto"))

    def ask(name: str) -> Explanation:
        method = METHODS[name]
        own: dict[str, Any] = dict(settings)
        if method.hides == "any":
            own["masks"] = masks
        if head is not None and method.takes_head:
            own |= {"head": head, "target": target}
        if "head" in own or method.explains == "nothing":
            own.pop("reference", None)  # a class is asked for, or nothing
        return _one(image, encoder, method=name, **own)

    return Comparison(*_each(methods, "methods", ask, started))


def compare_encoders(
    image: ImageSource, encoders: Sequence[EncoderSource], *, started: Started | None = None, **settings: Any
) -> Comparison:
    """Explain one image with RELAX through several encoders: same grids and shifts of the masks, one colour scale.

    Arguments and errors as for `compare_methods`. A cosine means the same for every encoder, but how far
    embeddings move under a mask does not, so a brighter map is not a better encoder.
    """
    loaded: dict[str, EncoderSource] = {}
    for encoder in encoders:
        name = encoder if isinstance(encoder, str) else getattr(encoder, "name", type(encoder).__name__)
        loaded[name] = encoder

    def ask(name: str) -> Explanation:
        return _one(image, loaded[name], method="relax", **settings)

    explanations, failures = _each(list(loaded), "encoders", ask, started)
    ends = [(np.nanmin(one.importance), np.nanmax(one.importance)) for one in explanations.values()]
    limits = (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else None
    return Comparison(explanations, failures, limits if limits and math.isfinite(sum(limits)) else None)


def costs(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per explanation: its name, encoder passes, seconds, and the range and unit of its map, as JSON types."""
    return [
        {
            "name": name,
            "passes": one.provenance["cost"]["passes"],
            "seconds": one.provenance["seconds"],
            "lowest": float(np.nanmin(one.importance)),
            "highest": float(np.nanmax(one.importance)),
            "unit": map_unit(one.provenance),
        }
        for name, one in comparison.explanations.items()
    ]


def _one(image: ImageSource, encoder: EncoderSource, **settings: Any) -> Explanation:
    found: Explanation = explain(one_by_one(image)[0], encoder, **settings)
    return found


def _each(
    names: Sequence[str], what: str, ask: Callable[[str], Explanation], started: Started | None
) -> tuple[dict[str, Explanation], dict[str, str]]:
    if not names:
        raise ValueError(f"{what} must be one or more names; got none")
    explanations: dict[str, Explanation] = {}
    failures: dict[str, str] = {}
    for name in names:
        if started is not None:
            started(name)
        try:
            explanations[name] = ask(name)
        except ImageError:
            raise  # no method will fare better
        except ValueError as error:
            failures[name] = str(error)
    return explanations, failures
