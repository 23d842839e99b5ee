"""Compare methods, or encoders, on one image: same masks, same settings, and the cost of each.

What fails is reported in one line; the others are unaffected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from torch import Tensor

from encoders import Encoder, Head
from encoders.values import described
from relax.baselines import METHODS, method_named
from relax.estimators.budget import Progress
from relax.explainer import explain_images
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.keywords import CompareKeywords, shows
from relax.maps import map_unit
from relax.plotting.scales import Limits, common_limits
from relax.progress import Silent, shown
from relax.questions.likeness import Likeness, likenesses
from relax.scene import EncoderSource, loaded
from relax.settings import Settings
from relax.text import names_of

Started = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """Explanations of one image, side by side.

    Attributes:
        explanations: By the name of the method or encoder, in the order given; each with its provenance.
        failures: By name, why there is no explanation, in one line.
        varied: What differs, "methods" or "encoders".
        limits: Ends of a colour scale of importance that all maps share; None: each map has its own.
    """

    explanations: dict[str, Explanation]
    failures: dict[str, str]
    varied: str = "methods"
    limits: Limits | None = None

    def __repr__(self) -> str:
        failed = f"; failed: {', '.join(self.failures)}" if self.failures else ""
        images = {str(explanation.provenance["image"]) for explanation in self.explanations.values()}
        of = f" on {', '.join(images)}" if images else ""
        return f"Comparison of {len(self.explanations)} {self.varied}{of}: {', '.join(self.explanations)}{failed}"

    def likenesses(self) -> list[Likeness]:
        """How alike the importance of every two of them is: rank correlation and structural similarity."""
        return likenesses({name: explanation.importance for name, explanation in self.explanations.items()})


@shows(CompareKeywords)
def compare_methods(
    image: ImageSource,
    methods: Sequence[str],
    encoder: EncoderSource = "default",
    *,
    head: Head | None = None,
    target: str | int | None = None,
    started: Started | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[CompareKeywords],
) -> Comparison:
    """Explain one image with several methods.

    Args:
        image: As for `relax.explain`.
        methods: Names from `relax.baselines.METHODS`.
        encoder: As for `relax.explain`.
        head: For the methods that explain a class; the others explain the similarity regardless.
        target: The head's class; None is the class it predicts.
        started: Called with the name of each method before it starts.
        progress: As for `relax.explain`, starting over with each method.
        keywords: Further keywords of `relax.explain`. `masks` is for relax and rise; each other method has its own
            number of samples.

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If a method is unknown, or none is given.
    """
    methods = names_of("methods", methods)
    for name in methods:
        method_named(name)
    settings = Settings.of(keywords, CompareKeywords, "compare_methods")
    settings = replace(settings, request=replace(settings.request, head=head, target=target))
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "masks") as report:
        return compare_with(image, methods, network, settings, started, report)


def compare_with(
    image: ImageSource,
    methods: Sequence[str],
    encoder: Encoder,
    settings: Settings,
    started: Started | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """`compare_methods`, given a loaded encoder and checked settings."""

    def explain_by(name: str) -> Explanation:
        return explain_images([image], encoder, settings_of_method(name, settings), progress)[0]

    return Comparison(*_each(methods, "methods", explain_by, started), varied="methods")


def settings_of_method(name: str, settings: Settings) -> Settings:
    """Settings given for several methods, reduced to what one of them uses."""
    method, estimation = METHODS[name], settings.estimation
    request = replace(settings.request, layer=None, token=None)  # the encoder is asked from inside already
    if not method.takes_head:
        request = replace(request, head=None, target=None)
    if request.head is not None or method.explains in ("class", "nothing"):
        request = replace(request, reference=None, foil=None, dimension=None, direction=None)
    request = replace(request, method=name)
    if method.hides != "any":
        estimation = replace(estimation, masks=None)
    return replace(settings, request=request, estimation=estimation)


@shows(CompareKeywords)
def compare_encoders(
    image: ImageSource,
    encoders: Sequence[EncoderSource],
    *,
    shared_scale: bool = False,
    started: Started | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[CompareKeywords],
) -> Comparison:
    """Explain one image with RELAX through several encoders: same mask grids and shifts.

    A cosine means the same for every encoder, but how far embeddings move under a mask varies, so that a brighter map
    does not mean a better encoder, and on one scale one map may be all dark and another all bright.

    Args:
        image: As for `relax.explain`.
        encoders: One or more, each as for `relax.explain`.
        shared_scale: Draw all maps on one colour scale, instead of each on its own.
        started: Called with the name of each encoder before it starts.
        progress: As for `relax.explain`, starting over with each encoder.
        keywords: Further keywords of `relax.explain`.

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If no encoder is given.
    """
    settings = Settings.of(keywords, CompareKeywords, "compare_encoders")
    if not isinstance(encoders, Iterable) or isinstance(encoders, str | bytes | Tensor | np.ndarray):
        raise ValueError(f"encoders must be a list of one or more; got {described(encoders)}")
    sources: dict[str, EncoderSource] = {}
    for encoder in encoders:
        name = encoder if isinstance(encoder, str) else getattr(encoder, "name", type(encoder).__name__)
        sources[name] = encoder
    with shown(progress, "masks") as report:
        return compare_encoders_with(image, sources, settings, shared_scale, started, report)


def compare_encoders_with(
    image: ImageSource,
    encoders: Mapping[str, EncoderSource],
    settings: Settings,
    shared_scale: bool = False,
    started: Started | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """`compare_encoders`, given encoders by name and checked settings."""

    def explain_through(name: str) -> Explanation:
        return explain_images(
            [image], loaded(encoders[name], settings.execution, settings.request), settings, progress
        )[0]

    explanations, failures = _each(list(encoders), "encoders", explain_through, started)
    limits = common_limits("importance", list(explanations.values())) if shared_scale else None
    return Comparison(explanations, failures, "encoders", limits)


def load_each(specs: Iterable[str], settings: Settings) -> tuple[dict[str, Encoder], dict[str, str]]:
    """Encoders by their spec, and for those that cannot be loaded the reason."""
    encoders: dict[str, Encoder] = {}
    failures: dict[str, str] = {}
    for spec in specs:
        try:
            encoders[spec] = loaded(spec, settings.execution, settings.request)
        except (ValueError, OSError, ImportError) as error:
            failures[spec] = str(error)
    if not encoders:
        raise ValueError("; ".join(failures.values()) or "encoders must be one or more names; got none")
    return encoders, failures


def costs(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per explanation: its name, encoder passes, seconds, and the range and unit of its map, as JSON types."""
    return [
        {
            "name": name,
            "passes": explanation.provenance["cost"]["passes"],
            "seconds": explanation.provenance["seconds"],
            "lowest": float(np.nanmin(explanation.importance)),
            "highest": float(np.nanmax(explanation.importance)),
            "unit": map_unit(explanation.provenance),
        }
        for name, explanation in comparison.explanations.items()
    ]


def _each(
    names: Sequence[str], what: str, explain: Callable[[str], Explanation], started: Started | None
) -> tuple[dict[str, Explanation], dict[str, str]]:
    if not names:
        raise ValueError(f"{what} must be one or more names; got none")
    explanations: dict[str, Explanation] = {}
    failures: dict[str, str] = {}
    for name in names:
        if started is not None:
            started(name)
        try:
            explanations[name] = explain(name)
        except ImageError:
            raise  # every method would fail on this image
        except ValueError as error:
            failures[name] = str(error)
    return explanations, failures
