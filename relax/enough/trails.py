"""Trails: how the similarity of a picture comes back along its ranking, and what many of them say of a promise.

Each picture takes its map and one pass for every number of its cells; the rest is arithmetic, so that other shares,
similarities and rules of the same pictures cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from relax.enough.checks import check_reached
from relax.enough.game import Game
from relax.enough.promise import scene_of
from relax.enough.risk import level_in_expectation, level_with_confidence, levels_tried
from relax.enough.rules import RULES, Ranked, level_needed, sizes_at
from relax.io.images import ImageSource
from relax.metrics.maps import Values
from relax.metrics.summary import clopper_pearson
from relax.references import Question
from relax.settings import Fill, Settings

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

    def kept(self, rule: str, level: float | Values, at_least: float) -> NDArray[np.bool_]:
        """Whether the set at each level keeps the similarity."""
        kept: NDArray[np.bool_] = self.scores[sizes_at(self.levels[rule], level)] >= at_least
        return kept

    def share(self, rule: str, level: float) -> float:
        """Share of the cells that the set at a level has."""
        return int(sizes_at(self.levels[rule], level)) / (len(self.scores) - 1)


@dataclass(frozen=True)
class Calibration:
    """What pictures say of the levels of a rule.

    Attributes:
        needed: (N,) from which level on each is kept for good.
        lost: (N, L) whether each is lost at the levels that are tried with a confidence.
        levels: (L,) these.
    """

    needed: Values
    lost: NDArray[np.bool_]
    levels: Values

    @classmethod
    def of(cls, trails: Sequence[Trail], rule: str, at_least: float) -> Calibration:
        """Of the trails of the pictures."""
        levels = levels_tried(RULES[rule].ends)
        return cls(
            np.array([level_needed(trail.levels[rule], trail.scores, at_least) for trail in trails]),
            np.stack([~trail.kept(rule, levels, at_least) for trail in trails]),
            levels,
        )

    def level(self, risk: float, confidence: float | None, places: NDArray[np.int64] | None = None) -> float:
        """The level that keeps the promise, from all pictures or some; errors as of `relax.enough.risk`."""
        needed, lost = (self.needed, self.lost) if places is None else (self.needed[places], self.lost[places])
        if confidence is None:
            return level_in_expectation(needed, risk)
        return level_with_confidence(lost.sum(0), self.levels, len(lost), risk, confidence)


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


def checked_on(trails: Sequence[Trail], rule: str, level: float, at_least: float) -> dict[str, Any]:
    """In how many pictures the sets at a level keep the similarity, and how large they are, as JSON types."""
    kept = sum(bool(trail.kept(rule, level, at_least)) for trail in trails)
    return {
        "pictures": len(trails),
        "kept": kept,
        "share": kept / len(trails),
        "interval": list(clopper_pearson(kept, len(trails))),
        "mean_share": mean_share(trails, rule, level),
    }


def mean_share(trails: Sequence[Trail], rule: str, level: float) -> float:
    """Share of the cells that the sets of a rule have at a level, on average over the pictures."""
    return float(np.mean([trail.share(rule, level) for trail in trails]))


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
    calibration = Calibration.of(trails, rule, at_least)
    for _ in range(count):
        order = random.permutation(len(trails))
        level = calibration.level(risk, confidence, order[:calibrated])
        others = [trails[place] for place in order[calibrated:]]
        shares.append(np.mean([trail.kept(rule, level, at_least) for trail in others]))
        sizes.append(mean_share(others, rule, level))
    return {
        "count": count,
        "share": float(np.mean(shares)),
        "below": float(np.mean(np.array(shares) < 1 - risk)),
        "mean_share": float(np.mean(sizes)),
    }


def pairs_at_least(trails: Sequence[Trail], at_least: float) -> float | None:
    """Share of pairs of different pictures whose cosine is as high; None for a single picture."""
    if len(trails) < 2:
        return None
    vectors = np.stack([trail.embedding / np.linalg.norm(trail.embedding) for trail in trails])
    cosines = (vectors @ vectors.T)[np.triu_indices(len(trails), 1)]
    return float((cosines >= at_least).mean())
