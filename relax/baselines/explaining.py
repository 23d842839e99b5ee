"""From the name of a method to an `Explanation`, for `relax.explain`. Options are checked once, before any image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from encoders import Encoder
from encoders.values import is_whole
from relax.baselines.methods import METHODS, Method, method_named
from relax.baselines.rise import predicted
from relax.baselines.scalar import Head, Scalar, class_score, measure_for_gradients, no_scalar, similarity_to
from relax.baselines.task import Maps, MethodError, Task
from relax.estimators.budget import Budget, Progress
from relax.explanation import Explanation
from relax.io.images import ImageSource
from relax.provenance import surroundings
from relax.references import Corpus, Question, Reference, embed_reference
from relax.run import Interrupted
from relax.scene import Scene
from relax.settings import Hiding, Request, Settings

ASKED = ("dimension", "direction")  # of the record of a question, where they are


@dataclass(frozen=True)
class Baseline:
    """One method with one encoder and one question, applied to any number of images.

    Attributes:
        method: The method.
        encoder: The encoder.
        hiding: Regions, fill and seed, for methods that hide pixels.
        estimator: How masks are averaged, for methods that average masks.
        budget: Number of masks, copies or steps, and of images in one batch.
        samples: Number of masks, copies or steps.
        question: What embeddings are compared with, one vector for each image.
        layer: Of which the map shows the activations, where one is chosen.
        head: Explains class scores instead of similarities.
        target: Number of the class; None is the class predicted for the image with nothing hidden.
    """

    method: Method
    encoder: Encoder
    hiding: Hiding
    estimator: str
    budget: Budget
    samples: int
    question: Question
    layer: str | None
    head: Head | None
    target: int | None

    @classmethod
    def of(cls, settings: Settings, encoder: Encoder, budget: Budget) -> Baseline:
        """Check the arguments of `relax.explain`, where they are described.

        Raises:
            MethodError: If the method lacks something that it needs.
            ValueError: If an argument is impossible, or has no effect on the method; the message names it.
        """
        request, masks = settings.request, settings.estimation.masks
        method, head, target = method_named(request.method), request.head, request.target
        _check_question(method, head, target, request.reference)
        _check_encoder(method, encoder)
        if head is not None:
            head.check(encoder)
        return cls(
            method=method,
            encoder=encoder,
            hiding=_regions(method, settings.hiding),
            estimator=settings.estimation.estimator,
            budget=_budget(method, budget, masks),
            samples=masks or method.samples or 0,
            question=_question_of(request, encoder),
            layer=request.shown,
            head=head,
            target=None if head is None or target is None else _class_index(head, target),
        )

    def looks(
        self,
        image: ImageSource | Scene,
        progress: Progress | None = None,
        every: int | None = None,
        earlier: Explanation | None = None,
        longest: int | None = None,
        in_view: bool = False,
    ) -> Iterator[Explanation]:
        """Explain one image, at each look and at last; methods that do not average masks have no look but the last.

        Args:
            image: As for `relax.explain`, or its scene.
            progress: Called with (passes done, passes expected) after every batch.
            every: Masks between two looks, see `relax.run`; None for no look but the last.
            earlier: None; only RELAX itself continues an explanation.
            longest: Px along a side of all explanations but the last, at most.
            in_view: Whether the last is in the frame of the encoder's view, see `Scene.viewed`.

        Raises:
            ImageError: If the image cannot be used.
            MethodError: If the method cannot work with the encoder.
            Interrupted: On Ctrl-C, with the maps so far.
        """
        if earlier is not None:
            raise ValueError(
                f'earlier is for method "relax" without a head; got method={self.method.name!r}: leave it out'
            )
        implementation = self.method.implementation  # importing captum or grad-cam is no cost of the method
        start = time.perf_counter()
        scene = image if isinstance(image, Scene) else Scene.of(image, self.encoder, self.hiding, self.estimator)
        scalar, target, passes_before = self._question(scene)
        task = Task(
            method=self.method.name,
            scene=scene,
            scalar=scalar,
            hiding=self.hiding,
            budget=self.budget,
            samples=self.samples,
            progress=progress,
            expected=self.method.cost(self.samples, self.hiding.cells, scene.source.image_size),
            every=every,
            layer=self.layer,
        )
        result = implementation(task)
        for maps in [result] if isinstance(result, Maps) else result:
            provenance = {
                **self._record(scene, scalar, target, maps),
                "cost": {"passes": task.passes + passes_before, "in_words": self.method.passes_in_words},
                **({"placed": scene.placed()} if in_view else {}),
                **surroundings(self.encoder.device, time.perf_counter() - start),
            }
            whole = scene.viewed() if in_view else scene
            frame = whole if maps.run is None or maps.run.over else scene.reduced(longest)
            explanation = _explanation(frame, maps, provenance)
            if maps.run is not None and maps.run.interrupted:
                raise Interrupted([explanation])
            yield explanation

    def _question(self, scene: Scene) -> tuple[Scalar, int | None, int]:
        """The number to explain, the class if it is one, and the encoder passes spent on finding out."""
        method = self.method
        if method.explains == "nothing":
            return no_scalar(method.name), None, 0
        if self.head is not None:
            passes = 0 if self.target is not None else 1
            target = predicted(self.head, scene.image_embedding) if self.target is None else self.target
            return class_score(self.head, target, method.class_score), target, passes
        question = self.question
        measure = question.similarity
        if "gradients" in method.needs:
            measure = measure_for_gradients(measure, of_itself=question.of_itself)
        compared_with = question.compared_with(lambda: scene.image_embedding).to(scene.accumulator_device)
        scalar = similarity_to(compared_with, question.names[0], measure)
        return scalar, None, int(question.reference is None)

    def _record(self, scene: Scene, scalar: Scalar, target: int | None, maps: Maps) -> dict[str, Any]:
        method, settings = self.method, maps.settings
        has_question = method.explains != "nothing"
        compares = has_question and self.head is None
        record = scene.record(self.hiding)
        recipe = record["masks"] if method.hides != "nothing" else {}
        if method.hides == "superpixels":  # keep and seed are recorded in the settings of the methods that use them
            recipe = {key: value for key, value in recipe.items() if key not in ("keep", "seed")}
        return {
            **record,
            "masks": {**recipe, "count": maps.masks},
            "method": method.name,
            "family": method.family,
            "source": method.source,
            "settings": settings,
            "scalar": scalar.name,
            "scale": scene.yardsticks.record(warn=maps.run is None or not maps.run.early) if has_question else None,
            "map": maps.unit,
            "similarity": scalar.unit if compares else None,
            "reference": self.question.names[0] if compares else None,
            **({name: value for name, value in self.question.record().items() if name in ASKED} if compares else {}),
            "head": _head_record(self.head) if self.head is not None and has_question else None,
            "target": self.head.classes[target] if self.head is not None and target is not None else None,
            "tolerance": settings.get("tolerance"),
            "converged": settings.get("converged"),
            **({} if maps.run is None else maps.run.record()),
        }


def _question_of(request: Request, encoder: Encoder) -> Question:
    """The question; a ValueError for a corpus, which is not one vector."""
    if isinstance(request.reference, Corpus):
        embed_reference(request.reference, encoder)
    return Question.asked(request, encoder)


def _check_question(method: Method, head: Head | None, target: str | int | None, reference: Reference) -> None:
    if head is None and "head" in method.needs:
        raise MethodError(f"{method.name} needs a head, which makes class probabilities of embeddings: give head=")
    if head is None and target is not None:
        raise ValueError(f"target is a class of a head; got {target!r} without one: give head= too")
    if head is not None and not method.takes_head:
        raise ValueError(f"head makes no difference to {method.name}, which explains {method.explains}: leave it out")
    if reference is not None and (head is not None or method.explains == "nothing"):
        explained = f"class {target!r}" if target is not None else "a class" if head is not None else "nothing"
        raise ValueError(f"reference cannot be compared with where {method.name} explains {explained}: leave it out")


def _class_index(head: Head, target: str | int) -> int:
    index = head.class_index(target)
    if not is_whole(index) or index >= len(head.classes):
        raise ValueError(
            f"target must be the name of a class, or a number from 0 to {len(head.classes) - 1}; got {target!r}"
        )
    return index


def _check_encoder(method: Method, encoder: Encoder) -> None:
    if encoder.opaque is not None and (lacks := method.needs - {"head"}):
        offered = ", ".join(other.name for other in METHODS.values() if not other.needs and other.family != "control")
        raise MethodError(
            f"{method.name} needs {' and '.join(sorted(lacks))}, and encoder {encoder.name!r} is {encoder.opaque}, in "
            f"which torch sees no gradients and no layers: use {offered}, or the network in torch"
        )


def _regions(method: Method, hiding: Hiding) -> Hiding:
    """What this method hides; regions that the caller set and the method would ignore are refused."""
    if method.hides == "any":
        return hiding
    if method.hides == "nothing" and hiding.within is not None:
        hiders = ", ".join(name for name, other in METHODS.items() if other.hides != "nothing")
        raise ValueError(f"within is for methods that hide parts of the picture ({hiders}); {method.name} hides none")
    if hiding.given is not None:
        raise ValueError(
            f"masks must be a number for {method.name}, which makes its own; got {tuple(hiding.given.shape)}"
        )
    if hiding.regions not in ("grid", method.hides):
        raise ValueError(
            f"regions and preset are for relax and rise, {method.name} hides {method.hides}; got {hiding.regions!r}"
        )
    if method.hides == "nothing":
        return replace(hiding, cells=1)  # an image too small for the caller's cells is no obstacle
    return replace(hiding, regions=method.hides)


def _budget(method: Method, budget: Budget, masks: int | None) -> Budget:
    """The budget with the default number of samples of this method, unless the caller gave a number."""
    if method.hides == "any":
        return budget
    if budget.tolerance is not None:
        raise ValueError(
            f"tolerance is for relax and rise, {method.name} has no standard error; got {budget.tolerance}"
        )
    return budget if masks is not None else replace(budget, masks=method.samples or 0)


def _head_record(head: Head) -> dict[str, Any]:
    return {"kind": str(getattr(head, "kind", type(head).__name__)), "classes": len(head.classes)}


def _explanation(scene: Scene, maps: Maps, provenance: dict[str, Any]) -> Explanation:
    importance = maps.importance.double()
    undefined = torch.full_like(importance, torch.nan)
    uncertainty, error = (undefined if values is None else values for values in (maps.uncertainty, maps.standard_error))
    return Explanation(
        importance=scene.to_image(importance),
        uncertainty=scene.to_image(uncertainty),
        standard_error=scene.to_image(error),
        image=scene.picture(),
        provenance=provenance,
        scores=None if maps.run is None else maps.run.scores.cpu().numpy(),
    )
