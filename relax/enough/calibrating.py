"""Calibrate a promise: how the similarity comes back along the rankings of the pictures of an archive.

Each picture takes its map and one pass for every number of its cells; the rest is arithmetic, so that other shares,
similarities and rules of the same pictures cost nothing (`Trail`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from encoders.identity import identity
from encoders.values import described, is_number, plain
from relax.enough.finding import (
    FILLS,
    MASKS,
    SIMILARITY_AT_LEAST,
    check_reached,
    checked_fills,
    checked_similarity,
    fill_name,
)
from relax.enough.game import Game
from relax.enough.promise import Promise, scene_of
from relax.enough.risk import check_count, level_in_expectation, level_with_confidence
from relax.enough.rules import RULES, Ranked, level_needed, size_at
from relax.estimators.budget import Progress
from relax.io.images import ImageSource, each_picture
from relax.keywords import PromiseKeywords, shows
from relax.metrics.maps import Values
from relax.metrics.summary import clopper_pearson
from relax.progress import Silent, shown
from relax.references import Question
from relax.scene import EncoderSource, loaded
from relax.settings import Fill, Settings
from relax.text import one_of

SHARE = 0.95
HELD_OUT = 0.5
RULE = "predicted"
SPLITS = 200
STREAM = 10  # of the seed's random numbers


@dataclass(frozen=True)
class Trail:
    """How the similarity of one picture comes back along its ranking.

    Attributes:
        name: Of the picture.
        scores: (n + 1,) similarity with the first 0, ..., n cells shown, under the fill where it is least.
        levels: By rule, (n + 1,).
        embedding: (D,) of the whole picture.
    """

    name: str
    scores: Values
    levels: dict[str, Values]
    embedding: NDArray[np.float64]

    def kept(self, rule: str, level: float, at_least: float) -> bool:
        """Whether the set at a level keeps the similarity."""
        return bool(self.scores[size_at(self.levels[rule], level)] >= at_least)

    def share(self, rule: str, level: float) -> float:
        """Share of the cells that the set at a level has."""
        return size_at(self.levels[rule], level) / (len(self.scores) - 1)


@shows(PromiseKeywords, masks=MASKS)
def promise_sets(
    pictures: ImageSource | Sequence[ImageSource],
    encoder: EncoderSource = "default",
    *,
    similarity_at_least: float = SIMILARITY_AT_LEAST,
    share: float = SHARE,
    confidence: float | None = None,
    rule: str = RULE,
    fills: Sequence[Fill] = FILLS,
    held_out: float = HELD_OUT,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[PromiseKeywords],
) -> Promise:
    """Calibrate a rule on pictures of an archive, so that its sets keep the similarity in a stated share of pictures.

    Args:
        pictures: A folder, or a list of pictures, as for `relax.explain`; a random part calibrates the promise, and the
            others check it. They must be such as the later ones are.
        encoder: As for `relax.explain`.
        similarity_at_least: Cosine to the whole picture that a set has to keep.
        share: Of pictures in which it has to, in (0, 1).
        confidence: None promises the share in expectation, by conformal risk control; a number in (0, 1) promises with
            this confidence that the share is no smaller, by Learn then Test, which takes larger sets.
        rule: How a map says which cells: "predicted" (the similarity that its masks predict), "importance" (a share of
            its importance) or "count" (as many for each picture).
        fills: What hidden cells show, words or numbers: the similarity has to be kept under all of them. The map is
            made under the first.
        held_out: Share of the pictures that only check the promise, in [0, 1).
        progress: Called with (pictures done, pictures); otherwise as for `relax.explain`.
        regions: As for `relax.smallest_sets`.
        cells: Likewise.
        seed: Of the maps, of fills of noise, and of the split.
        masks: Of each map.

    Raises:
        ImageError, EncoderError: As for `relax.explain`.
        ValueError: If there are too few pictures for such a promise, with how many are necessary; or an argument is
            invalid.
    """
    settings = Settings.of({"masks": MASKS, **keywords}, PromiseKeywords, "promise_sets")
    at_least, risk = checked_similarity(similarity_at_least, settings), _risk(share)
    one_of("rule", rule, RULES)
    if confidence is not None and not (is_number(plain(confidence)) and 0 < confidence < 1):
        raise ValueError(f"confidence must be in (0, 1), or None for a promise in expectation; got {confidence!r}")
    if not (is_number(plain(held_out)) and 0 <= held_out < 1):
        raise ValueError(f"held_out must be a share of the pictures, in [0, 1); got {described(held_out)}")
    fills = checked_fills(fills)
    if not all(isinstance(fill, str | int | float) for fill in fills):
        raise ValueError("fills of a promise must be words or grey values, which its file can hold")
    listed = each_picture(pictures)
    order = np.random.default_rng((STREAM, settings.hiding.seed)).permutation(len(listed))
    calibrated = len(listed) - round(held_out * len(listed))
    check_count(calibrated, risk, confidence)
    network = loaded(encoder, settings.execution)
    trails = []
    with shown(progress, "pictures") as report:
        for place in order:
            trails.append(trail_of(listed[place], network, settings, fills, at_least))
            if report is not None:
                report(len(trails), len(listed))
    return promised(trails, calibrated, network, settings, fills, at_least, risk, confidence, rule)


def trail_of(
    image: ImageSource, encoder: Encoder, settings: Settings, fills: Sequence[Fill], at_least: float | None = None
) -> Trail:
    """The trail of one picture: its map, and a pass for every number of its cells and every fill.

    Raises:
        ValueError: If not even the whole picture has the similarity.
    """
    scene, cells = scene_of(image, encoder, settings, fills[0])
    ranked = Ranked.of(scene, cells, settings)
    game = Game.of(scene, cells, Question.of("cosine", None, None, encoder), settings.hiding, fills)
    if at_least is not None:
        check_reached(game.trials[0], at_least)
    places = np.argsort(ranked.order)
    scores = game.scores(places[None] < np.arange(cells.count + 1)[:, None]).min(1)
    levels = {name: rule.levels(ranked) for name, rule in RULES.items()}
    return Trail(scene.name, scores, levels, scene.image_embedding.double().cpu().numpy())


def promised(
    trails: Sequence[Trail],
    calibrated: int,
    encoder: Encoder,
    settings: Settings,
    fills: Sequence[Fill],
    at_least: float,
    risk: float,
    confidence: float | None,
    rule: str,
) -> Promise:
    """The promise of trails, of which the first calibrate it and the others check it."""
    first, others = trails[:calibrated], trails[calibrated:]
    level = level_of(first, rule, at_least, risk, confidence)
    names = "\n".join(sorted(trail.name for trail in first))
    return Promise(
        rule=rule,
        level=level,
        similarity_at_least=at_least,
        share=1 - risk,
        confidence=confidence,
        settings={
            **{name: getattr(settings.hiding, name) for name in ("regions", "cells", "seed")},
            "masks": settings.count,
            "fills": [fill if isinstance(fill, int | float) else fill_name(fill) for fill in fills],
        },
        encoder=identity(encoder),
        calibration={
            "pictures": len(first),
            "sha256": sha256(names.encode()).hexdigest(),
            "mean_share": float(np.mean([trail.share(rule, level) for trail in first])),
            "pairs_at_least": _pairs_at_least(trails, at_least),
        },
        held_out=checked_on(others, rule, level, at_least)
        | {"splits": over_splits(trails, calibrated, rule, at_least, risk, confidence, settings.hiding.seed)}
        if others
        else {},
    )


def level_of(trails: Sequence[Trail], rule: str, at_least: float, risk: float, confidence: float | None) -> float:
    """The level of a rule that keeps the promise, from calibration pictures; errors as of `relax.enough.risk`."""
    if confidence is None:
        needed = [level_needed(trail.levels[rule], trail.scores, at_least) for trail in trails]
        return level_in_expectation(np.array(needed), risk)

    def lost_at(level: float) -> int:
        return sum(not trail.kept(rule, level, at_least) for trail in trails)

    return level_with_confidence(lost_at, len(trails), risk, confidence, RULES[rule].ends)


def checked_on(trails: Sequence[Trail], rule: str, level: float, at_least: float) -> dict[str, Any]:
    """In how many pictures the sets at a level keep the similarity, and how large they are, as JSON types."""
    kept = sum(trail.kept(rule, level, at_least) for trail in trails)
    return {
        "pictures": len(trails),
        "kept": kept,
        "share": kept / len(trails),
        "interval": list(clopper_pearson(kept, len(trails))),
        "mean_share": float(np.mean([trail.share(rule, level) for trail in trails])),
    }


def over_splits(
    trails: Sequence[Trail],
    calibrated: int,
    rule: str,
    at_least: float,
    risk: float,
    confidence: float | None,
    seed: int,
    count: int = SPLITS,
) -> dict[str, Any]:
    """The same over random splits of the pictures into as many that calibrate and as many that check, as JSON types."""
    random, shares, sizes = np.random.default_rng((STREAM, seed, count)), [], []
    for _ in range(count):
        order = random.permutation(len(trails))
        first, others = ([trails[place] for place in part] for part in (order[:calibrated], order[calibrated:]))
        level = level_of(first, rule, at_least, risk, confidence)
        shares.append(np.mean([trail.kept(rule, level, at_least) for trail in others]))
        sizes.append(np.mean([trail.share(rule, level) for trail in others]))
    return {
        "count": count,
        "share": float(np.mean(shares)),
        "below": float(np.mean(np.array(shares) < 1 - risk)),
        "mean_share": float(np.mean(sizes)),
    }


def _pairs_at_least(trails: Sequence[Trail], at_least: float) -> float | None:
    """Share of pairs of different pictures whose cosine is as high; None for a single picture."""
    if len(trails) < 2:
        return None
    vectors = np.stack([trail.embedding / np.linalg.norm(trail.embedding) for trail in trails])
    cosines = (vectors @ vectors.T)[np.triu_indices(len(trails), 1)]
    return float((cosines >= at_least).mean())


def _risk(share: float) -> float:
    value = plain(share)
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(f"share is the share of pictures in which the similarity is kept, in (0, 1); got {share!r}")
    return 1 - float(value)
