"""Score methods on many pictures: every method explains every picture, every metric scores every map.

    evaluation = relax.evaluate(["a.jpg", "b.jpg"], ["a.png", "b.png"], methods=["relax", "lafam", "random"])
    evaluation.summary()                # means, intervals over pictures, ranks
    evaluation.save("evaluation")       # evaluation.csv, summary.csv, summary.json; out="evaluation" keeps as they come

Metrics query the encoder for the quantity that each map explains: the similarity to the picture itself or to
`reference`, minus that to `foil`, or the probability of the class of `head`. `evaluate_image` scores a single existing
map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from encoders.values import described, unreadable
from relax.crew import Crew
from relax.explanation import Explanation
from relax.io.images import ImageSource, each_picture, name_of
from relax.io.sources import names_several
from relax.keywords import EvaluateKeywords, shows
from relax.lock import sole_run
from relax.metrics import Case, Evaluation, Explain, Outcome, Trial, default_metrics, metrics_named
from relax.metrics.maps import Map, Mask
from relax.metrics.trial import subject
from relax.progress import Silent, shown
from relax.questions.keeping import Kept, digest_of, evaluation_of
from relax.questions.plan import Contrast, Plan, TruthSource, check_images, judged_by_class
from relax.questions.workers import outcomes_by
from relax.scene import EncoderSource, loaded
from relax.settings import Settings

Progress = Callable[[int, int, str], None]

DEFAULT_METHODS = ("relax", "lafam", "gradcam", "occlusion", "random")


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
    """Score one map.

    Args:
        explanation: The explanation, or only its map (H, W). NaN pixels are ignored; if a filter such as `u_relax`
            set unimportant pixels to NaN, replace them by the lowest value first.
        truth: (H, W) bool, True = inside, in the frame of the picture.
        metrics: Names of metrics or families, see `relax.metrics.METRICS`; None = all that the other arguments
            suffice for, without explaining again.
        trial: The picture as the metrics query the encoder on it, for what the map explains:
            `Trial.of(Scene.of(image, encoder, Hiding()))` for the similarity to the picture itself, `Trial.of(scene,
            head=head, target="cat")` for a class, `Trial.of(scene, Question.of(...))` for other similarities. One
            serves all methods; its `passes` counts encoder passes.
        contrast: Likewise for a corpus and a foil, for the contrastive metrics.
        again: The method, for robustness and sanity, which also need `trial`.
        others: Other references, or classes where the trial scores one, for target randomisation.
        seed: For metrics that draw at random.

    Returns:
        The value by metric name; NaN where undefined, such as localisation in an empty mask.

    Raises:
        ValueError: If a metric is unknown, or needs an argument that is missing; the message names it. If the
            explanation says that it explains something else than the trial scores.
    """
    if isinstance(explanation, Explanation) and trial is not None:
        _check_trial(explanation, trial)
    importance = explanation.importance if isinstance(explanation, Explanation) else explanation
    case = Case(importance, truth, trial, contrast, again, tuple(others), seed)
    selected = default_metrics(case.has) if metrics is None else metrics_named(metrics)
    return {metric.name: metric(case) for metric in selected}


@shows(EvaluateKeywords)
def evaluate(
    images: Sequence[ImageSource],
    truths: Sequence[TruthSource] | None = None,
    encoder: EncoderSource = "default",
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    metrics: Sequence[str] | None = None,
    contrast: Contrast | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[EvaluateKeywords],
) -> Evaluation:
    """Score methods on pictures; failures are listed, everything else is scored.

    Args:
        images: As for `relax.explain`; a folder is every picture in it.
        truths: One per image: (H, W) bool, a file (mask or Pascal VOC), a `relax.metrics.Truth`, or None for an image
            without one. None instead of a list: only metrics without labels.
        encoder: As for `relax.explain`.
        methods: Names from `relax.baselines.METHODS`.
        metrics: Names from `relax.metrics.METRICS` or of families; None = localisation where there is a truth,
            faithfulness and complexity. Robustness and sanity explain several times over and are computed only if
            named.
        contrast: (corpus, foil) for the contrastive metrics, each as the `reference` of `relax.explain`, such as a
            `relax.references.Corpus`.
        out: A folder for the files of `Evaluation.save`, in which outcomes are kept as they come: after Ctrl-C or a
            kill, the same call computes only what is missing. None keeps nothing.
        workers: Processes that score; more than one need Ray, the extra [ray]. The scores do not depend on it.
        ray: The address of a Ray cluster, as for `relax.explain_all`.
        progress: Called with (maps done, maps in total, the next picture and method; with workers one that is done);
            otherwise as for `relax.explain`.
        keywords: Further keywords of `relax.explain`: masks, cells, keep, fill, seed, similarity, reference, foil,
            head, device, ... With a `head`, methods that explain a class are judged by its probability, and the
            controls too; those that explain no class, such as "relax", by the similarity, and ranked apart.

    Returns:
        The values and their summary.

    Raises:
        ValueError: If an argument is invalid; the message names it.
        ImportError: If Ray is needed and is not installed.
        OSError: If `out` cannot be written to, or another run is writing to it (`relax.lock.InUse`).
    """
    if names_several(images) or isinstance(images, list | tuple):
        images = each_picture(images)  # of folders, all frames of a file and the like
    _check_list("images", images)
    if truths is not None and _check_list("truths", truths) != len(images):
        raise ValueError(
            f"truths must be one per image, {len(images)}, with None where there is none; got {len(truths)}"
        )
    given = [None] * len(images) if truths is None else truths
    settings = Settings.of(keywords, EvaluateKeywords, "evaluate")
    crew = Crew(workers, ray, partial(loaded, encoder, settings.execution, settings.request))
    plan = Plan.of(encoder, methods, metrics, contrast, settings)
    only_classes = all(judged_by_class(method, head=plan.head is not None) for method in plan.methods)
    check_images(plan.metrics, len(images), any(truth is not None for truth in given), only_classes=only_classes)
    names = unique_names(images)
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        report = stack.enter_context(shown(progress, "maps"))
        kept = None
        if out is not None:
            stack.enter_context(sole_run(Path(out), "relax.evaluate"))
            pairs = zip(names, images, given, strict=True)
            kept = Kept.open(out, plan, {name: digest_of(image, truth) for name, image, truth in pairs})
            outcomes = kept.outcomes

        def started(name: str, method: str) -> None:
            if report is not None:
                report(len(outcomes), len(images) * len(plan.methods), f"{name}, {method}")

        add = outcomes.append if kept is None else kept.add
        done = kept.done if kept else ()
        for outcome in stack.enter_context(closing(outcomes_by(crew, plan, images, given, names, done, started))):
            add(outcome)
        if kept is None:
            return evaluation_of(plan, outcomes, names, crew)
        evaluation, _ = kept.save(crew)
        kept.forget()
        return evaluation


def _check_trial(explanation: Explanation, trial: Trial) -> None:
    """Refuse a trial that scores something else than the explanation explains, as far as its record says so."""
    record = explanation.provenance
    if record.get("scalar") == "nothing" or subject(record) == subject(trial.asked):
        return
    target, foil, reference = (record.get(name) for name in ("target", "foil", "reference"))
    of_class = f"class {target!r}"
    explains = of_class if target is not None else f"the similarity to {reference}" + f" minus {foil}" * bool(foil)
    raise ValueError(
        f"trial scores the {trial.asked['scalar']}, and the explanation explains {explains}: give the trial of that, "
        "such as Trial.of(scene, head=head, target=...) or Trial.of(scene, Question.of(...))"
    )


def _check_list(argument: str, values: Any) -> int:
    """How many there are in a list, or a stack; anything that does not hold one for each picture is refused."""
    listed = hasattr(values, "__len__") and hasattr(values, "__getitem__") and getattr(values, "ndim", 1) > 0
    single = isinstance(values, str | bytes | Mapping) or (isinstance(values, Tensor) and unreadable(values))
    if listed and not single:
        return len(values)
    raise ValueError(f"{argument} must be a list, one for each picture; got {described(values)}")


def unique_names(images: Sequence[ImageSource]) -> list[str]:
    """The name of each image, numbered where names repeat."""
    names, counts = [], dict[str, int]()
    for image in images:
        name = name_of(image)
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} #{counts[name]}")
    return names
