"""The outcomes of an evaluation, by this process, or by the workers of a crew, each picture and method an item."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeAlias

from encoders import Encoder
from relax.cluster import Work
from relax.crew import Crew
from relax.io.images import ImageSource
from relax.metrics import Outcome
from relax.questions.plan import Plan, TruthSource

Item: TypeAlias = tuple[int, str]
"""The place of a picture, and a method."""


def outcomes_by(
    crew: Crew,
    plan: Plan,
    images: Sequence[ImageSource],
    truths: Sequence[TruthSource],
    names: Sequence[str],
    done: Collection[tuple[str, str]],
    started: Callable[[str, str], None],
) -> Generator[Outcome, None, None]:
    """As `Plan.outcomes`; by workers in any order, and a pair has `started` when it is done.

    Raises:
        EncoderError, RuntimeError: As for `relax.crew.Crew.each`.
    """
    if not crew.needs_ray:
        yield from plan.outcomes(images, truths, names, done, started)
        return
    items = [(at, method) for at, name in enumerate(names) for method in plan.methods if (name, method) not in done]
    make = partial(_work_of, vars(plan) | {"encoder": None}, images, truths, names)
    unusable: set[str] = set()
    with closing(crew.each(plan.encoder, make, items)) as answers:
        for answer in answers:
            outcome: Outcome = answer["outcome"]
            if not outcome.method and outcome.image in unusable:
                continue  # one failure for all methods
            if not outcome.method:
                unusable.add(outcome.image)
            started(outcome.image, outcome.method)
            yield outcome


def in_order(outcomes: Iterable[Outcome], names: Sequence[str], methods: Sequence[str]) -> list[Outcome]:
    """Outcomes in the order of the pictures and methods, whoever was ready first."""
    places = {name: at for at, name in enumerate(names)}
    ranks = {"": -1, **{method: at for at, method in enumerate(methods)}}
    return sorted(outcomes, key=lambda outcome: (places[outcome.image], ranks[outcome.method]))


def _work_of(
    plan: dict[str, Any],
    images: Sequence[ImageSource],
    truths: Sequence[TruthSource],
    names: Sequence[str],
    encoder: Encoder,
) -> Work[Item]:
    """What a worker does with a picture and a method; the plan comes without the encoder."""
    own = Plan(**{**plan, "encoder": encoder})

    def work(item: Item) -> dict[str, Any]:
        (outcome,) = own.of_picture(images, truths, names, item[0], [item[1]])
        return {"outcome": outcome}

    return work
