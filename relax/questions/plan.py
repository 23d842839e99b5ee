"""Which methods and metrics score which encoder: checked first, then carried out picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from encoders import Encoder
from encoders.identity import identity
from encoders.values import described, unreadable
from relax.baselines import method_named
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.metrics import Case, Explain, Metric, Outcome, Trial, Truth, default_metrics, metrics_named
from relax.metrics.maps import Map, Mask
from relax.provenance import versions
from relax.questions.comparison import compare_with
from relax.references import Question, Reference
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import Hiding, Settings
from relax.text import names_of

TruthSource: TypeAlias = Mask | str | Path | Truth | None
Contrast: TypeAlias = tuple[Reference, Reference]

REFERENCES = 2  # drawn for target randomisation
STREAM = 8  # of the seed's random numbers


@dataclass(frozen=True)
class Plan:
    """Which methods and metrics, with which encoder; checked, and ready for any pictures.

    Attributes:
        encoder: The encoder.
        methods: Names.
        metrics: The metrics; None = for each picture, all that its data suffice for, without explaining again.
        question: What embeddings are compared with.
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
        head = settings.request.head is not None
        selected = cls.check(methods, metrics, contrast=contrast is not None, head=head)
        network = loaded(encoder, settings.execution)
        similarity = settings.request.similarity
        return cls(
            encoder=network,
            methods=tuple(dict.fromkeys(methods)),
            metrics=selected,
            question=Question.of(similarity, settings.request.reference, None, network),
            contrast=None if contrast is None else Question.of(similarity, *_pair(contrast), network),
            settings=settings,
        )

    @staticmethod
    def check(
        methods: Sequence[str], metrics: Sequence[str] | None, *, contrast: bool, head: bool
    ) -> tuple[Metric, ...] | None:
        """The metrics with these names; errors as for `of`."""
        for name in names_of("methods", methods):
            method_named(name)
        selected = None if metrics is None else tuple(metrics_named(metrics))
        needs = {metric.needs: metric.name for metric in selected or ()}
        if not contrast and "contrast" in needs:
            raise ValueError(f"metric {needs['contrast']} needs a corpus and a foil: give both")
        if head and "others" in needs:
            raise ValueError(
                f"metric {needs['others']} needs other references, but a head explains a class: leave one out"
            )
        return selected

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
            **self.settings.record(),
            "versions": versions(),
        }

    def outcomes(
        self,
        images: Sequence[ImageSource],
        truths: Sequence[TruthSource],
        names: Sequence[str],
        done: Collection[tuple[str, str]] = (),
        started: Callable[[str, str], None] | None = None,
    ) -> Iterator[Outcome]:
        """One per picture and method, as soon as it is ready; pairs (picture name, method) in `done` are skipped."""
        for index, (image, truth, name) in enumerate(zip(images, truths, names, strict=True)):
            methods = [method for method in self.methods if (name, method) not in done]
            if methods:
                yield from self._outcomes_of(image, truth, name, methods, self._references(images, index), started)

    def _outcomes_of(
        self,
        image: ImageSource,
        truth: TruthSource,
        name: str,
        methods: Sequence[str],
        references: Sequence[ImageSource],
        started: Callable[[str, str], None] | None,
    ) -> Iterator[Outcome]:
        """Outcomes of one picture; a single failure if it cannot be prepared for any method."""
        try:
            scene = Scene.of(image, self.encoder, _hiding_of_metrics(self.settings.hiding))
            trial = Trial.of(scene, self.question)
            contrast = None if self.contrast is None else Trial.of(scene, self.contrast, trial.image_embedding)
            inside = _truth_mask(truth, (int(scene.image.shape[-2]), int(scene.image.shape[-1])))
        except (ValueError, OSError) as error:
            yield Outcome(name, "", {}, failure=_failure(name, error))
            return
        for method in methods:
            if started is not None:
                started(name, method)
            try:
                explanation = self._explain(image, method, self.settings, self.encoder)
                again = self._explainer(image, method)
                case = Case(explanation.importance, inside, trial, contrast, again, references, self.seed)
                passes = float(explanation.provenance["cost"]["passes"])
                values = {metric.name: metric(case) for metric in self._metrics(case)}
                yield Outcome(name, method, values, passes)
            except (ValueError, OSError, RuntimeError) as error:
                yield Outcome(name, method, {}, failure=_failure(name, error))

    def _metrics(self, case: Case) -> list[Metric]:
        """The metrics of a picture: all, or without a truth those that do not need one."""
        if self.metrics is None:
            return default_metrics(case.has)
        return [metric for metric in self.metrics if metric.needs != "truth" or case.truth is not None]

    def _explain(self, image: ImageSource, method: str, settings: Settings, encoder: Encoder) -> Explanation:
        comparison = compare_with(image, [method], encoder, settings)
        if method in comparison.failures:
            raise ValueError(comparison.failures[method])
        return comparison.explanations[method]

    def _explainer(self, source: ImageSource, method: str) -> Explain:
        """The method as metrics call it to explain again, with something changed."""

        def explain(
            *,
            image: Tensor | None = None,
            encoder: Encoder | None = None,
            reference: Any = None,
            seed: int | None = None,
        ) -> Map:
            settings = self.settings
            if reference is not None:
                settings = replace(settings, request=replace(settings.request, reference=reference))
            if seed is not None:
                settings = replace(settings, hiding=replace(settings.hiding, seed=seed))
            picture = source if image is None else image
            return self._explain(picture, method, settings, encoder or self.encoder).importance

        return explain

    def _references(self, images: Sequence[ImageSource], index: int) -> list[ImageSource]:
        """Other pictures as references, drawn at random for each picture; none where a head explains a class."""
        if self.settings.request.head is not None:
            return []
        others = [other for place, other in enumerate(images) if place != index]
        random = np.random.default_rng((STREAM, self.seed, index))
        return [others[place] for place in random.permutation(len(others))[:REFERENCES]]


def check_images(metrics: Sequence[Metric] | None, images: int, has_truth: bool) -> None:
    """Reject metrics that cannot be computed on these pictures, before any is explained.

    Args:
        metrics: None = those that each picture allows.
        images: How many pictures.
        has_truth: Whether any of them has a truth.

    Raises:
        ValueError: If there is no picture, no truth for localisation, or only one picture for target randomisation.
    """
    if images < 1:
        raise ValueError("images must be one or more; got none")
    needs = {metric.needs: metric.name for metric in metrics or ()}
    if "truth" in needs and not has_truth:
        raise ValueError(f"metric {needs['truth']} needs masks or boxes: give the truth, or leave the metric out")
    if "others" in needs and images < 2:
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


def _pair(contrast: object) -> Contrast:
    if not isinstance(contrast, tuple | list) or len(contrast) != 2:
        raise ValueError(f"contrast must be two, (corpus, foil); got {described(contrast)}")
    return contrast[0], contrast[1]


def _failure(name: str, error: Exception) -> str:
    """What failed, in words that begin with the picture."""
    text = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
    return text if isinstance(error, ImageError) else f"{name}: {text}"
