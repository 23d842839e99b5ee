"""Score methods on many pictures: every method explains every picture, every metric judges every map.

    found = relax.evaluate(["a.jpg", "b.jpg"], ["a.png", "b.png"], methods=["relax", "lafam", "random"])
    found.summary()                     # means, intervals over pictures, ranks
    found.save("evaluation")            # evaluation.csv, summary.csv, summary.json

What is asked of the encoder by a metric is what the methods were to explain: the similarity to the picture itself, or
to `reference`. `evaluate_image` judges one map that is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np
from torch import Tensor

from encoders import Encoder
from relax.baselines import method_named
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import ImageSource, name_of
from relax.metrics import Case, Evaluation, Explain, Metric, Outcome, Trial, Truth, default_metrics, metrics_named
from relax.metrics.maps import Map, Mask
from relax.provenance import versions
from relax.questions.comparison import compare_with
from relax.references import Question, Reference
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import EvaluateKeywords, Hiding, Settings, shows

TruthSource: TypeAlias = Mask | str | Path | Truth | None
Contrast: TypeAlias = tuple[Reference, Reference]
Progress = Callable[[int, int, str], None]

DEFAULT_METHODS = ("relax", "lafam", "gradcam", "occlusion", "random")
OTHERS = 2  # references to draw for target randomisation
STREAM = 8  # of the seed's random numbers


def evaluate_image(
    explanation: Explanation | Map,
    truth: Mask | None = None,
    metrics: Sequence[str] | None = None,
    *,
    trial: Trial | None = None,
    contrast: Trial | None = None,
    again: Explain | None = None,
    others: Sequence[Any] = (),
    seed: int = 0,
) -> dict[str, float]:
    """Judge one map.

    Args:
        explanation: The explanation, or only its map (H, W). NaN pixels are left out; where a filter such as `u_relax`
            made them NaN to say that they do not matter, put the lowest value there first.
        truth: (H, W) bool, True = inside, in the frame of the picture.
        metrics: Names of metrics or families, see `relax.metrics.METRICS`; None = all that can be computed from
            what is given without explaining again.
        trial: The picture before the encoder: `Trial.of(Scene.of(image, encoder, Hiding()))`. Make it once per
            picture and encoder, for all methods; its `passes` count.
        contrast: The same for a corpus and a foil, for the contrastive metrics.
        again: The method, for robustness and sanity; these also need `trial`.
        others: Other references, for target randomisation.
        seed: For metrics that draw at random.

    Returns:
        The value by name of the metric; NaN where it has none, such as localisation in an empty mask.

    Raises:
        ValueError: If a metric is unknown, or needs what is not given; the message names it.
    """
    importance = explanation.importance if isinstance(explanation, Explanation) else explanation
    case = Case(importance, truth, trial, contrast, again, tuple(others), seed)
    chosen = default_metrics(case.has) if metrics is None else metrics_named(metrics)
    return {metric.name: metric(case) for metric in chosen}


@dataclass(frozen=True)
class Plan:
    """Which methods and metrics, with which encoder: checked, to be carried out on any pictures.

    Attributes:
        encoder: Who looks.
        methods: Names.
        metrics: As asked for; None = all that need no more than there is, and do not explain again.
        question: What the similarity is to.
        contrast: The same with a corpus and a foil, for the contrastive metrics.
        settings: Further keywords of `relax.questions.comparison.compare_methods`.
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
        """Check what a caller of `evaluate` asks for, the cheapest first.

        Raises:
            ValueError: If a name is unknown, or a metric needs what no picture could have; the message names it.
        """
        head = settings.request.head is not None
        chosen = cls.check(methods, metrics, contrast=contrast is not None, head=head)
        network = loaded(encoder, settings.execution)
        similarity = settings.request.similarity
        return cls(
            encoder=network,
            methods=tuple(dict.fromkeys(methods)),
            metrics=chosen,
            question=Question.of(similarity, settings.request.reference, None, network),
            contrast=None if contrast is None else Question.of(similarity, *contrast, network),
            settings=settings,
        )

    @staticmethod
    def check(
        methods: Sequence[str], metrics: Sequence[str] | None, *, contrast: bool, head: bool
    ) -> tuple[Metric, ...] | None:
        """The metrics of these names; errors as for `of`."""
        if not methods:
            raise ValueError("methods must be one or more names; got none")
        for name in methods:
            method_named(name)
        chosen = None if metrics is None else tuple(metrics_named(metrics))
        needs = {metric.needs: metric.name for metric in chosen or ()}
        if not contrast and "contrast" in needs:
            raise ValueError(f"metric {needs['contrast']} needs a corpus and a foil: give both")
        if head and "others" in needs:
            raise ValueError(f"metric {needs['others']} asks for other references, and a head explains a class")
        return chosen

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""
        return self.settings.hiding.seed

    @property
    def record(self) -> dict[str, Any]:
        """How values are made, as JSON types: with the same record, values of one picture and method are the same."""
        return {
            "encoder": {"name": self.encoder.name, "checksum": self.encoder.checksum},
            "metrics": None if self.metrics is None else [metric.name for metric in self.metrics],
            "question": self.question.record(),
            "contrast": None if self.contrast is None else self.contrast.record(),
            **self.settings.record(),
            "versions": dict(versions()),
        }

    def outcomes(
        self,
        images: Sequence[ImageSource],
        truths: Sequence[TruthSource],
        names: Sequence[str],
        done: Collection[tuple[str, str]] = (),
        started: Callable[[str, str], None] | None = None,
    ) -> Iterator[Outcome]:
        """One per picture and method, as it is ready; those in `done` (name of picture, method) are left out."""
        for number, (image, truth, name) in enumerate(zip(images, truths, names, strict=True)):
            methods = [method for method in self.methods if (name, method) not in done]
            if not methods:
                continue
            try:
                scene = Scene.of(image, self.encoder, _hiding_of_metrics(self.settings.hiding))
                trial = Trial.of(scene, self.question)
                contrast = None if self.contrast is None else Trial.of(scene, self.contrast, trial.own)
                inside = _truth_mask(truth, (int(scene.image.shape[-2]), int(scene.image.shape[-1])))
            except (ValueError, OSError) as error:
                yield Outcome(name, "", {}, failure=_why(name, error))
                continue
            others = [] if self.settings.request.head is not None else self._others(images, number)
            for method in methods:
                if started is not None:
                    started(name, method)
                try:
                    explanation = self._explain(image, method, self.settings, self.encoder)
                    case = Case(
                        explanation.importance,
                        inside,
                        trial,
                        contrast,
                        self._again(image, method),
                        others,
                        self.seed,
                    )
                    passes = float(explanation.provenance["cost"]["passes"])
                    values = {metric.name: metric(case) for metric in self._metrics(case)}
                    yield Outcome(name, method, values, passes)
                except (ValueError, OSError, RuntimeError) as error:
                    yield Outcome(name, method, {}, failure=_why(name, error))

    def _metrics(self, case: Case) -> list[Metric]:
        """Those asked for; where a picture has no truth, without those that need one."""
        if self.metrics is None:
            return default_metrics(case.has)
        return [metric for metric in self.metrics if metric.needs != "truth" or case.truth is not None]

    def _explain(self, image: ImageSource, method: str, settings: Settings, encoder: Encoder) -> Explanation:
        comparison = compare_with(image, [method], encoder, settings)
        if method in comparison.failures:
            raise ValueError(comparison.failures[method])
        return comparison.explanations[method]

    def _again(self, source: ImageSource, method: str) -> Explain:
        def again(
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

        return again

    def _others(self, images: Sequence[ImageSource], number: int) -> list[ImageSource]:
        """Other pictures as references, drawn at random for each."""
        rest = [other for index, other in enumerate(images) if index != number]
        random = np.random.default_rng((STREAM, self.seed, number))
        return [rest[index] for index in random.permutation(len(rest))[:OTHERS]]


@shows(EvaluateKeywords)
def evaluate(
    images: Sequence[ImageSource],
    truths: Sequence[TruthSource] | None = None,
    encoder: EncoderSource = "default",
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    metrics: Sequence[str] | None = None,
    contrast: Contrast | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[EvaluateKeywords],
) -> Evaluation:
    """Score methods on pictures; what fails is listed, the rest is there.

    Args:
        images: As for `relax.explain`.
        truths: One per image: (H, W) bool, a file (mask or Pascal VOC), a `relax.metrics.Truth`, or None where there
            is none; None for all: only metrics without labels.
        encoder: Who looks.
        methods: Names from `relax.baselines.METHODS`.
        metrics: Names from `relax.metrics.METRICS` or of families; None = localisation where there is a truth,
            faithfulness and complexity. Robustness and sanity explain again, several times, and are to be asked for.
        contrast: (corpus, foil) for the contrastive metrics, each as the `reference` of `relax.explain`, such as a
            `relax.references.Corpus`.
        progress: Called with (maps done, maps in all, what comes next).
        keywords: Further keywords of `relax.explain`: masks, cells, keep, fill, seed, similarity, reference, head,
            device, ...

    Returns:
        The values, and their summary.

    Raises:
        ValueError: If an argument is impossible; the message names it.
    """
    if truths is not None and len(truths) != len(images):
        raise ValueError(
            f"truths must be one per image, {len(images)}, with None where there is none; got {len(truths)}"
        )
    settings = Settings.of(keywords, EvaluateKeywords, "evaluate")
    plan = Plan.of(encoder, methods, metrics, contrast, settings)
    check_images(plan.metrics, len(images), any(truth is not None for truth in truths or ()))
    outcomes: list[Outcome] = []

    def started(name: str, method: str) -> None:
        if progress is not None:
            progress(len(outcomes), len(images) * len(plan.methods), f"{name}, {method}")

    for outcome in plan.outcomes(images, truths or [None] * len(images), unique_names(images), started=started):
        outcomes.append(outcome)
    return evaluation_of(plan, outcomes)


def evaluation_of(plan: Plan, outcomes: Sequence[Outcome]) -> Evaluation:
    """The result of these outcomes."""
    used = dict.fromkeys(metric for one in outcomes for metric in one.values)
    return Evaluation(tuple(outcomes), tuple(metrics_named(used)) if used else (), plan.record)


def check_images(metrics: Sequence[Metric] | None, images: int, some_truth: bool) -> None:
    """Refuse metrics that these pictures cannot have, before any is explained.

    Raises:
        ValueError: If there is no picture, no truth at all for localisation, or one picture for target randomisation.
    """
    if images < 1:
        raise ValueError("images must be one or more; got none")
    needs = {metric.needs: metric.name for metric in metrics or ()}
    if "truth" in needs and not some_truth:
        raise ValueError(f"metric {needs['truth']} needs masks or boxes: give the truth, or leave it out")
    if "others" in needs and images < 2:
        raise ValueError(f"metric {needs['others']} takes other pictures as references: give two or more images")


def unique_names(images: Sequence[ImageSource]) -> list[str]:
    """What to call each image, numbered where names repeat."""
    names, seen = [], dict[str, int]()
    for image in images:
        name = name_of(image)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def _hiding_of_metrics(hiding: Hiding) -> Hiding:
    """What hidden pixels show; metrics hide any pixels, so where a method leaves patches out they show the mean."""
    return Hiding(cells=hiding.cells, fill="mean" if hiding.drops else hiding.fill, seed=hiding.seed)


def _truth_mask(truth: TruthSource, size: tuple[int, int]) -> Mask | None:
    if truth is None:
        return None
    if isinstance(truth, str | Path):
        truth = Truth(Path(truth))
    return truth.mask(size) if isinstance(truth, Truth) else truth


def _why(name: str, error: Exception) -> str:
    text = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
    return text if isinstance(error, ImageError) else f"{name}: {text}"
