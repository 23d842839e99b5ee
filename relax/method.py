"""One image under settings that are checked: from its scene to its explanation, watched or not, new or continued.

Only per-pixel moments and the scores are kept, so memory hardly grows with the number of masks.

Source: RELAX (Wickstrøm et al., IJCV 2023, doi 10.1007/s11263-023-01773-2).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import numpy as np

from encoders import Encoder
from relax.continuation import continued, earlier_scores
from relax.estimators.budget import Budget, Progress
from relax.estimators.convergence import Convergence
from relax.explanation import Explanation
from relax.io.images import ImageSource
from relax.provenance import surroundings
from relax.references import Question
from relax.run import Interrupted, Run
from relax.scene import Scene
from relax.settings import Request, Settings
from similarity.measures import PROJECTION


class ExplainImage(Protocol):
    """Explains one image."""

    def __call__(
        self, image: ImageSource, progress: Progress | None = None, earlier: Explanation | None = None
    ) -> Explanation:
        """As `explain`, for one image."""


class WatchImage(Protocol):
    """Explains one image, watched."""

    def __call__(
        self,
        image: ImageSource | Scene,
        progress: Progress | None = None,
        every: int | None = None,
        earlier: Explanation | None = None,
        longest: int | None = None,
        in_view: bool = False,
    ) -> Iterator[Explanation]:
        """As `explaining`, for one image, or its scene from `scene_maker`; without `every` only the finished one.

        With `longest`, all but the last have at most so many px along a side, which takes less time for photographs.
        With `in_view`, the last is in the frame of the encoder's view, see `Scene.viewed`.
        """


def image_explainer(encoder: Encoder, settings: Settings) -> ExplainImage:
    """A function that explains one image under these settings; reference and foil are embedded here, once."""
    watch_image = image_watcher(encoder, settings)

    def explain_image(
        image: ImageSource, progress: Progress | None = None, earlier: Explanation | None = None
    ) -> Explanation:
        (explanation,) = watch_image(image, progress, earlier=earlier)
        return explanation

    return explain_image


def scene_maker(encoder: Encoder, settings: Settings) -> Callable[[ImageSource], Scene] | None:
    """A function that reads an image for `image_watcher`, also in another thread; None where the method reads it."""
    if not _is_relax(settings.request):
        return None
    return lambda image: Scene.of(image, encoder, settings.hiding, settings.estimation.estimator)


def image_watcher(encoder: Encoder, settings: Settings) -> WatchImage:
    """A function that explains one image under these settings, watched; reference and foil are embedded here, once."""
    budget = Budget(settings.count, settings.estimation.tolerance, settings.execution.batch_size)
    watch_image = _watcher(encoder, settings, budget)

    def watch_and_warn(
        image: ImageSource | Scene,
        progress: Progress | None = None,
        every: int | None = None,
        earlier: Explanation | None = None,
        longest: int | None = None,
        in_view: bool = False,
    ) -> Iterator[Explanation]:
        for explanation in watch_image(image, progress, every, earlier, longest, in_view):
            record = explanation.provenance
            if record["converged"] is False and "stopped_early" not in record:
                _warn_not_converged(explanation, budget)
            yield explanation

    return watch_and_warn


def _watcher(encoder: Encoder, settings: Settings, budget: Budget) -> WatchImage:
    request = settings.request
    if _is_relax(request):
        question = Question.asked(request, encoder)
        return partial(_relax, encoder, settings, budget, question)
    if request.foil is not None:
        raise ValueError(f'foil is for method "relax" without a head; got method={request.method!r}: leave it out')
    from relax.baselines import Baseline  # RELAX itself need not wait for the other methods

    return Baseline.of(settings, encoder, budget).looks


def _is_relax(request: Request) -> bool:
    return (request.method, request.head, request.target) == ("relax", None, None)


def _relax(
    encoder: Encoder,
    settings: Settings,
    budget: Budget,
    question: Question,
    image: ImageSource | Scene,
    progress: Progress | None = None,
    every: int | None = None,
    earlier: Explanation | None = None,
    longest: int | None = None,
    in_view: bool = False,
) -> Iterator[Explanation]:
    """RELAX for one image, at each look and at last."""
    start = time.perf_counter()
    if not isinstance(image, Scene):
        image = Scene.of(image, encoder, settings.hiding, settings.estimation.estimator)
    scene = image
    start -= 0.0 if scene.shared is None else scene.shared.seconds
    target = question.target(scene.accumulator_device, lambda: scene.image_embedding)
    asked = {**scene.record(settings.hiding), "method": "relax", **question.record()}
    scores = None if earlier is None else earlier_scores(earlier, scene, asked, target, budget)
    curve = None if earlier is None else Convergence.of(earlier.provenance.get("convergence"))
    run, glance = Run(scene, target, budget, progress, every, scores, curve), scene.reduced(longest)
    whole = scene.viewed() if in_view else scene
    for moments in run.looks():
        record = {
            **asked,
            "precision": scene.run.record(),
            "scale": scene.yardsticks.record(question.others, warn=not run.early and question.similarity != PROJECTION),
            **run.record(),
            "cost": {"passes": moments.count + (question.reference is None), "in_words": "masks"},
            **({"placed": scene.placed()} if in_view else {}),
            **surroundings(encoder.device, time.perf_counter() - start),
        }
        if earlier is not None:
            record = continued(record, earlier.provenance)
        frame = whole if run.over else glance
        explanation = frame.explanation(moments, record, run.scores, warn=not run.early)
        if run.interrupted:
            raise Interrupted([explanation])
        yield explanation


def _warn_not_converged(explanation: Explanation, budget: Budget) -> None:
    warnings.warn(
        f"{explanation.provenance['image']}: the largest standard error is {np.nanmax(explanation.standard_error):.2g} "
        f"after {budget.masks} masks, above the tolerance {budget.tolerance:g}: allow more masks or a larger tolerance",
        stacklevel=6,
    )
