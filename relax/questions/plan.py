"""Which methods and metrics score which encoder: checked first, then carried out picture by picture.

Each map is judged by what it explains: the maps of methods that explain a class, once there is a head, by the
probability of that class; the others by the similarity. Methods that explain nothing, such as the controls, are judged
by the class as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

import encoders
from encoders import Encoder
from encoders.identity import identity
from encoders.values import described, unreadable
from relax.baselines import METHODS, Head, method_named
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.metrics import Case, Curve, Explain, Metric, Outcome, Trial, Truth, default_metrics, metrics_named
from relax.metrics.maps import Map, Mask
from relax.metrics.metric import Needs, required
from relax.provenance import versions
from relax.questions.comparison import compare_with
from relax.references import Question, Reference
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import Hiding, Settings
from relax.text import names_of

TruthSource: TypeAlias = Mask | str | Path | Truth | None
Contrast: TypeAlias = tuple[Reference, Reference]

REFERENCES = 2  # drawn for target randomisation
CONTRAST = ("the corpus in contrast", "the foil in contrast")  # as errors call them
STREAM = 8  # of the seed's random numbers


@dataclass(frozen=True)
class Plan:
    """Which methods and metrics, with which encoder; checked, and ready for any pictures.

    Attributes:
        encoder: The encoder.
        methods: Names.
        metrics: The metrics; None = for each picture, all that its data suffice for, without explaining again.
        question: What embeddings are compared with, a foil included; a head's class is in the settings.
        contrast: Likewise with a corpus and a foil, for the contrastive metrics.
        settings: Of the explanations.
    """

    encoder: Encoder
    methods: tuple[str, ...]
    metrics: tuple[Metric, ...] | None
    question: Question
    contrast: Question | None
    settings: Settings

    @classmethod
    def of(
        cls,
        encoder: EncoderSource,
        methods: Sequence[str],
        metrics: Sequence[str] | None,
        contrast: Contrast | None,
        settings: Settings,
    ) -> Plan:
        """Check the arguments of `evaluate`, cheapest checks first, and load the encoder.

        Raises:
            ValueError: If a name is unknown, or a metric needs something that is not given; the message names it.
        """
        request = settings.request
        selected = cls.check(
            methods,
            metrics,
            contrast=contrast is not None,
            head=request.head is not None,
            itself=request.of_itself,
        )
        network = loaded(encoder, settings.execution, settings.request)
        similarity = request.similarity
        return cls(
            encoder=network,
            methods=tuple(dict.fromkeys(methods)),
            metrics=selected,
            question=Question.asked(request, network),
            contrast=None if contrast is None else Question.of(similarity, *_pair(contrast), network, CONTRAST),
            settings=settings,
        )

    @staticmethod
    def check(
        methods: Sequence[str], metrics: Sequence[str] | None, *, contrast: bool, head: bool, itself: bool = True
    ) -> tuple[Metric, ...] | None:
        """The metrics with these names; of a family only those that can be computed. Errors as for `of`.

        `itself`: the similarities are those to the picture itself.
        """
        for name in names_of("methods", methods):
            method_named(name)
        itself = itself and not all(judged_by_class(name, head=head) for name in methods)
        if metrics is None:
            return None
        why_not: dict[Needs, str] = {}
        if not contrast:
            why_not["contrast"] = "needs a corpus and a foil: give both"
        if not itself:
            why_not["itself"] = (
                "is how far the embedding moves, which says nothing of a class, another reference or a foil: "
                "leave it out"
            )
        selected = metrics_named(metrics)
        for metric in selected:
            if metric.name in metrics and metric.needs in why_not:
                raise ValueError(f"metric {metric.name} {why_not[metric.needs]}")
        return tuple(metric for metric in selected if metric.needs not in why_not)

    @property
    def seed(self) -> int:
        """Of everything that is drawn at random."""
        return self.settings.hiding.seed

    @property
    def record(self) -> dict[str, Any]:
        """What determines the values, as JSON types: under equal records, a picture and method have equal values."""
        return {
            "encoder": identity(self.encoder),
            "metrics": None if self.metrics is None else [metric.name for metric in self.metrics],
            "question": self.question.record(),
            "contrast": None if self.contrast is None else self.contrast.record(),
            **self._compared_with(),
            **self.settings.record(),
            "head": None if self.head is None else head_identity(self.head),
            "versions": versions(),
        }

    def _compared_with(self) -> dict[str, str]:
        """What tells reference, foil and contrast from others of the same name; nothing where there is none."""
        questions = [self.question] if self.contrast is None else [self.question, self.contrast]
        vectors = [v for question in questions for v in (question.reference, question.foil) if v is not None]
        digest = sha256(b"".join(vector.half().cpu().numpy().tobytes() for vector in vectors)).hexdigest()
        return {"compared_with": digest} if vectors else {}

    @property
    def head(self) -> Head | None:
        """Whose class is explained by the methods that take one."""
        return self.settings.request.head

    @property
    def scores(self) -> dict[str, str]:
        """What the maps of each method are judged by, in words."""
        return {method: self._scalar(method) for method in self.methods}

    def _scalar(self, method: str) -> str:
        if not judged_by_class(method, head=self.head is not None):
            return self.question.scalar
        target = self.settings.request.target
        return "probability of the predicted class" if target is None else f"probability of class {target!r}"

    def outcomes(
        self,
        images: Sequence[ImageSource],
        truths: Sequence[TruthSource],
        names: Sequence[str],
        done: Collection[tuple[str, str]] = (),
        started: Callable[[str, str], None] | None = None,
    ) -> Iterator[Outcome]:
        """One per picture and method, as soon as it is ready; pairs (picture name, method) in `done` are skipped."""
        for index, name in enumerate(names):
            methods = [method for method in self.methods if (name, method) not in done]
            if methods:
                yield from self.of_picture(images, truths, names, index, methods, started)

    def of_picture(
        self,
        images: Sequence[ImageSource],
        truths: Sequence[TruthSource],
        names: Sequence[str],
        index: int,
        methods: Sequence[str],
        started: Callable[[str, str], None] | None = None,
    ) -> Iterator[Outcome]:
        """The outcomes of one of the pictures, by these methods."""
        others = self._others(images, index)
        yield from self._outcomes_of(images[index], truths[index], names[index], methods, others, started)

    def _outcomes_of(
        self,
        image: ImageSource,
        truth: TruthSource,
        name: str,
        methods: Sequence[str],
        others: Callable[[Trial], Sequence[Any]],
        started: Callable[[str, str], None] | None,
    ) -> Iterator[Outcome]:
        """Outcomes of one picture; a single failure if it cannot be prepared for any method."""
        try:
            scene = Scene.of(image, self.encoder, _hiding_of_metrics(self.settings.hiding))
            trials = self._trials(scene)
            contrast = None if self.contrast is None else Trial.of(scene, self.contrast, scene.image_embedding)
            inside = _truth_mask(truth, (int(scene.image.shape[-2]), int(scene.image.shape[-1])))
        except (ValueError, OSError) as error:
            yield Outcome(name, "", {}, failure=_failure(name, error))
            return
        for method in methods:
            if started is not None:
                started(name, method)
            try:
                explanation = self._explain(image, method, self.settings, self.encoder)
                trial = trials[judged_by_class(method, head=self.head is not None)]
                again = self._explainer(image, method, trial)
                case = Case(
                    explanation.importance,
                    inside,
                    trial,
                    contrast,
                    again,
                    others(trial),
                    self.seed,
                    explanation.standard_error,
                )
                passes = float(explanation.provenance["cost"]["passes"])
                results = {metric.name: metric.judge(case) for metric in self._metrics(case)}
                curves = {metric: result for metric, result in results.items() if isinstance(result, Curve)}
                values = {metric: r.area if isinstance(r, Curve) else r for metric, r in results.items()}
                points = {metric: tuple(curve.scores.tolist()) for metric, curve in curves.items()}
                yield Outcome(name, method, values, passes, score=str(trial.asked["scalar"]), curves=points)
            except (ValueError, OSError, RuntimeError) as error:
                yield Outcome(name, method, {}, failure=_failure(name, error))

    def _trials(self, scene: Scene) -> dict[bool, Trial]:
        """What maps of the picture are judged by: False: the similarity; True: the class of the head."""
        by_class = {judged_by_class(method, head=self.head is not None) for method in self.methods}
        embedding, request = scene.image_embedding, self.settings.request
        return {
            of_class: Trial.of(scene, None, embedding, head=request.head, target=request.target)
            if of_class
            else Trial.of(scene, self.question, embedding)
            for of_class in by_class
        }

    def _metrics(self, case: Case) -> list[Metric]:
        """The metrics of a map: all but those for a truth, or for a map of the picture itself, where it is none."""
        if self.metrics is None:
            return default_metrics(case.has)
        return [
            metric
            for metric in self.metrics
            if metric.needs not in ("truth", "itself", "error") or metric.needs in case.has
        ]

    def _explain(self, image: ImageSource, method: str, settings: Settings, encoder: Encoder) -> Explanation:
        comparison = compare_with(image, [method], encoder, settings)
        if method in comparison.failures:
            raise ValueError(comparison.failures[method])
        return comparison.explanations[method]

    def _explainer(self, source: ImageSource, method: str, trial: Trial) -> Explain:
        """The method as metrics call it to explain again, with something changed; the class stays that of the trial."""

        def explain(
            *,
            image: Tensor | None = None,
            encoder: Encoder | None = None,
            reference: Any = None,
            target: Any = None,
            seed: int | None = None,
        ) -> Map:
            settings, request = self.settings, self.settings.request
            if reference is not None:
                request = replace(request, reference=reference)
            if trial.of_class:
                request = replace(request, target=trial.asked["index"] if target is None else target)
            if trial.of_class and encoder is not None:
                request = replace(request, head=unbound(request.head))
            settings = replace(settings, request=request)
            if seed is not None:
                settings = replace(settings, hiding=replace(settings.hiding, seed=seed))
            picture = source if image is None else image
            return self._explain(picture, method, settings, encoder or self.encoder).importance

        return explain

    def _others(self, images: Sequence[ImageSource], index: int) -> Callable[[Trial], list[Any]]:
        """From a trial to other pictures as references, or other classes, drawn at random for each picture."""

        def drawn(trial: Trial) -> list[Any]:
            own = trial.asked["index"] if trial.of_class else index
            among: Sequence[Any] = range(len(required(self.head).classes)) if trial.of_class else images
            others = [other for place, other in enumerate(among) if place != own]
            random = np.random.default_rng((STREAM, self.seed, index))
            return [others[place] for place in random.permutation(len(others))[:REFERENCES]]

        return drawn


def judged_by_class(method: str, *, head: bool) -> bool:
    """Whether the maps of a method are judged by a class: with a head all but those of a similarity."""
    return head and METHODS[method].explains != "similarity"


def check_images(metrics: Sequence[Metric] | None, images: int, has_truth: bool, *, only_classes: bool = False) -> None:
    """Reject metrics that cannot be computed on these pictures, before any is explained.

    Args:
        metrics: None = those that each picture allows.
        images: How many pictures.
        has_truth: Whether any of them has a truth.
        only_classes: Whether all maps explain a class.

    Raises:
        ValueError: If there is no picture, no truth for localisation, or only one picture for target randomisation.
    """
    if images < 1:
        raise ValueError("images must be one or more; got none")
    needs = {metric.needs: metric.name for metric in metrics or ()}
    if "truth" in needs and not has_truth:
        raise ValueError(f"metric {needs['truth']} needs masks or boxes: give the truth, or leave the metric out")
    if "others" in needs and images < 2 and not only_classes:
        raise ValueError(f"metric {needs['others']} takes other pictures as references: give two or more images")


def _hiding_of_metrics(hiding: Hiding) -> Hiding:
    """Cells, fill and seed for metrics; they hide arbitrary pixels, so with fill "drop" they show the mean instead."""
    return Hiding(cells=hiding.cells, fill="mean" if hiding.drops else hiding.fill, seed=hiding.seed)


def _truth_mask(truth: TruthSource, size: tuple[int, int]) -> Mask | None:
    if truth is None:
        return None
    if isinstance(truth, str | Path):
        truth = Truth(Path(truth))
    if isinstance(truth, Truth):
        return truth.mask(size)
    if not isinstance(truth, np.ndarray | list | Tensor):
        raise ValueError(f"truth must be (H, W) bool, a file or a Truth; got {described(truth)}")
    if isinstance(truth, Tensor) and (unreadable(truth) or truth.dtype != torch.bool):
        raise ValueError(f"truth must be (H, W) bool; got {unreadable(truth) or described(truth)}")
    return np.asarray(truth.cpu() if isinstance(truth, Tensor) else truth)


def head_identity(head: Head) -> dict[str, Any]:
    """What tells a head from others, as JSON types."""
    return {"kind": str(getattr(head, "kind", type(head).__name__)), "checksum": getattr(head, "checksum", str(head))}


def unbound(head: Head | None) -> Head | None:
    """The head for copies of its encoder with other weights, which it would refuse."""
    return head.made_for(None) if isinstance(head, encoders.Head) else head


def _pair(contrast: object) -> Contrast:
    if not isinstance(contrast, tuple | list) or len(contrast) != 2:
        raise ValueError(f"contrast must be two, (corpus, foil); got {described(contrast)}")
    return contrast[0], contrast[1]


def _failure(name: str, error: Exception) -> str:
    """What failed, in words that begin with the picture."""
    text = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
    return text if isinstance(error, ImageError) else f"{name}: {text}"
