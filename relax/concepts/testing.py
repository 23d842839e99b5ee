"""`relax.tcav`: from folders of pictures to tested concepts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from encoders import Head
from encoders.identity import identity
from encoders.values import described, is_whole
from relax.concepts.counting import Progress
from relax.concepts.reading import LayerMaps
from relax.concepts.sensitivity import CELLS, Rows, gradients_of, rows_of
from relax.concepts.significance import Tested, against_chance, corrected
from relax.concepts.target import score_of
from relax.concepts.tcav import ConceptScore, ConceptTest
from relax.concepts.vectors import FITS, Space
from relax.io.images import ImageSource, each_picture
from relax.progress import Silent, shown, unheard
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Execution
from relax.text import one_of

Pictures: TypeAlias = str | Path | Sequence[ImageSource]
"""A folder, or pictures."""

LEAST = 5  # pictures of a concept, of which two are held out
RUNS, SHUFFLES = 5, 99


def tcav(
    pictures: Pictures,
    concepts: Mapping[str, Pictures],
    random: Pictures,
    encoder: EncoderSource = "default",
    *,
    layer: str | None = None,
    head: Head | None = None,
    target: str | int | None = None,
    reference: Any = None,
    dimension: int | None = None,
    direction: Any = None,
    cells: str = "mean",
    fit: str = "logistic",
    runs: int = RUNS,
    shuffles: int = SHUFFLES,
    seed: int = 0,
    progress: Progress | Silent | None = None,
    pooling: str = "auto",
    view: str = "auto",
    device: str | torch.device = "auto",
) -> ConceptTest:
    """Whether concepts, each a folder of pictures, move a score of other pictures, and whether beyond chance.

    A concept's vector (CAV) is the direction in a layer that tells its pictures from random ones. The score rises along
    it in a share of the pictures, the TCAV score. A vector that is no better than chance on held-out pictures says
    nothing, and is told so. Significance comes from pictures drawn without regard to the concept, which are treated as
    if they were one; see `relax.concepts.significance`.

    Args:
        pictures: Whose score is asked: a folder, or pictures as `relax.read_image` takes them.
        concepts: Pictures of each concept by its name, 5 or more, better 30.
        random: Other pictures, of the kind that the concepts' were chosen from, at least twice as many as any concept
            has.
        encoder: As for `relax.explain`; a module of torch whose layers are seen.
        layer: As `relax layers` names it; by default the last with a map of more than one cell, in a network with a
            class token the block before the last, since behind it the other tokens do not count.
        head: Class scores; asks for the logit of a class.
        target: The class; by default the one that most of the pictures are taken for.
        reference: Or a picture, several, or an embedding (E,): asks for the cosine to it, or to their mean.
        dimension: Or a number of the embedding.
        direction: Or a vector (E,) or a file of one, see `relax.directions`: asks for the projection on it.
            Without any of these, the question is the projection on the mean of the pictures' own embeddings: what
            makes them alike.
        cells: "mean", so that a vector has one number for each channel, or "all", as published, where it has one for
            each channel in each cell.
        fit: "logistic" or "means", see `relax.concepts.vectors`.
        runs: Draws of random pictures that each vector is fitted against.
        shuffles: Sets of pictures that are no concept, for p, whose smallest value is 1 / (shuffles + 1).
        seed: The only source of randomness.
        progress: Called with (what is done, done, total); otherwise as for `relax.explain`.
        pooling: As for `relax.explain`.
        view: As for `relax.explain`.
        device: As for `relax.explain`.

    Raises:
        ValueError: If an argument is impossible, there are too few pictures, or the layer does not move the score.
        EncoderError: If torch sees no layers in the encoder, or the head is of another one.
    """
    start = time.perf_counter()
    one_of("cells", cells, CELLS)
    one_of("fit", fit, FITS)
    for name, value, least in (("runs", runs, 1), ("shuffles", shuffles, 19)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(value)}")
    if not isinstance(concepts, Mapping) or not concepts:
        raise ValueError(f'concepts must be {{"name": folder or pictures}}, one or more; got {described(concepts)}')
    reader = LayerMaps.of(loaded(encoder, Execution(pooling=pooling, view=view, device=device)), layer, moving=True)
    with shown(progress, "") as report:
        told = report or unheard
        asked = rows_of(each_picture(pictures), reader, cells, partial(told, "pictures"))
        others = rows_of(each_picture(random), reader, cells, partial(told, "random pictures"))
        rows = {
            name: rows_of(each_picture(given), reader, cells, partial(told, name)) for name, given in concepts.items()
        }
        _check_counts(rows, others)
        score = score_of(
            reader.encoder, asked.embeddings, head=head, target=target, reference=reference, dimension=dimension,
            direction=direction,
        )  # fmt: skip
        gradients = gradients_of(asked.pictures, reader, score.function, cells, partial(told, "gradients"))
        results = {
            name: _tested(concept, others, gradients, runs, shuffles, fit, seed, partial(told, f"chance of {name}"))
            for name, concept in rows.items()
        }
    record = {
        "what": "TCAV",
        "encoder": identity(reader.encoder),
        "layer": reader.layer.name,
        "score": score.name,
        "cells": cells,
        "fit": fit,
        "runs": runs,
        "shuffles": shuffles,
        "seed": seed,
        "pictures": len(asked.names),
        "random_pictures": len(others.names),
        "numbers": int(gradients.shape[1]),
        **surroundings(reader.encoder.device, time.perf_counter() - start),
    }
    failed = {name: why for part in (asked, others, *rows.values()) for name, why in part.failed.items()}
    return ConceptTest(reader.layer.name, score.name, _scores(results, rows), asked.names, failed, record)


def _tested(
    concept: Rows,
    others: Rows,
    gradients: NDArray[np.float64],
    runs: int,
    shuffles: int,
    fit: str,
    seed: int,
    report: Any,
) -> tuple[Tested, Space]:
    space = Space.of(np.concatenate([concept.values, others.values]))
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    along = space.turned(np.divide(gradients, lengths, out=np.zeros_like(gradients), where=lengths > 0))
    return (
        against_chance(
            space.into(concept.values), space.into(others.values), along,
            runs=runs, shuffles=shuffles, fit=fit, seed=seed, report=report,
        ),
        space,
    )  # fmt: skip


def _scores(results: Mapping[str, tuple[Tested, Space]], rows: Mapping[str, Rows]) -> tuple[ConceptScore, ...]:
    together = corrected(np.array([tested.p for tested, _ in results.values()]))
    scores = []
    for (name, (tested, space)), p in zip(results.items(), together, strict=True):
        published = tested.published()
        scores.append(
            ConceptScore(
                name,
                len(rows[name].names),
                tested.trial.accuracy,
                tested.accuracy_p,
                float(tested.trial.scores.mean()),
                float(tested.trial.scores.std()),
                tested.trial.sensitivity,
                tested.p,
                float(p),
                *published,
                np.array([trial.sensitivity for trial in tested.shuffled]),
                space.back(tested.trial.direction),
            )
        )
    return tuple(scores)


def _check_counts(rows: Mapping[str, Rows], others: Rows) -> None:
    for name, concept in rows.items():
        count = len(concept.names)
        if count < LEAST:
            raise ValueError(f"concept {name!r} must have {LEAST} pictures or more, better 30; got {count}")
        if len(others.names) < 2 * count:
            raise ValueError(
                f"random must have at least twice as many pictures as any concept, {name!r} has {count}; got "
                f"{len(others.names)}"
            )
