"""Calibrate a promise on pictures of an archive, and check it on others."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Unpack

import numpy as np

from encoders import Encoder
from encoders.identity import identity
from encoders.values import described, is_number, plain
from masking import FILLS as FILL_WORDS
from relax.enough.checks import FILLS, MASKS, SIMILARITY_AT_LEAST, checked_fills, checked_similarity, fill_name
from relax.enough.promise import Promise
from relax.enough.risk import check_count
from relax.enough.rules import RULES
from relax.enough.trails import Calibration, Trail, checked_on, mean_share, over_splits, pairs_at_least, trail_of
from relax.estimators.budget import Progress
from relax.io.images import ImageSource, each_picture
from relax.keywords import PromiseKeywords, shows
from relax.progress import Silent, shown
from relax.scene import EncoderSource, loaded
from relax.settings import Fill, Settings
from relax.text import one_of

SHARE = 0.95
HELD_OUT = 0.5
RULE = "steady"
STREAM = 10  # of the seed's random numbers


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
        rule: How a map says which cells, in the order of importance: "steady" (a share of the importance, which is the
            smaller the higher the scores of its masks stay whatever is shown), "importance" (a share of it), "count"
            (as many for each picture) or "predicted" (as many as an additive fit to the scores predicts a similarity
            with).
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
    if not all(isinstance(fill, int | float) or (isinstance(fill, str) and fill in FILL_WORDS) for fill in fills):
        raise ValueError("fills of a promise must be words or grey values, which its file can hold")
    listed = each_picture(pictures)
    order = np.random.default_rng((STREAM, settings.hiding.seed)).permutation(len(listed))
    calibrated = len(listed) - round(held_out * len(listed))
    check_count(calibrated, risk, confidence, len(listed) - calibrated)
    network = loaded(encoder, settings.execution)
    trails = []
    with shown(progress, "pictures") as report:
        for place in order:
            trails.append(trail_of(listed[place], network, settings, fills, at_least))
            if report is not None:
                report(len(trails), len(listed))
    return promised(trails, calibrated, network, settings, fills, at_least, risk, confidence, rule)


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
    levels = {name: Calibration.of(first, name, at_least).level(risk, confidence) for name in RULES}
    level, sizes = levels[rule], {name: mean_share(first, name, value) for name, value in levels.items()}
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
            "mean_share": sizes[rule],
            "other_rules": {name: size for name, size in sizes.items() if name != rule},
            "pairs_at_least": pairs_at_least(trails, at_least),
        },
        held_out=checked_on(others, rule, level, at_least)
        | {"splits": over_splits(trails, calibrated, rule, at_least, risk, confidence, settings.hiding.seed)}
        if others
        else {},
    )


def _risk(share: float) -> float:
    value = plain(share)
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(f"share is the share of pictures in which the similarity is kept, in (0, 1); got {share!r}")
    return 1 - float(value)
