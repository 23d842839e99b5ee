"""What the two doors of this room, a search and a promise, check before an encoder is loaded, and record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from encoders.values import described, is_number, plain
from relax.enough.cells import KINDS
from relax.io.images import name_of
from relax.metrics.trial import Trial
from relax.settings import Fill, Settings
from relax.text import one_of
from similarity.measures import MEASURES, PROJECTION

SIMILARITY_AT_LEAST = 0.8
FILLS = ("mean",)
MASKS = 256  # of the map that cells are ranked by


def checked_similarity(similarity_at_least: float, settings: Settings) -> float:
    """The similarity that has to be kept, as a number of Python.

    Raises:
        ValueError: If it is none, beyond the limits of the measure, or a projection.
    """
    measure, limit = MEASURES[settings.request.similarity], plain(similarity_at_least)
    if measure.name == PROJECTION:
        raise ValueError("similarity must be a measure between embeddings; a projection is none")
    low, high = measure.limits or (-np.inf, np.inf)
    if not is_number(limit) or not low < limit < high:
        raise ValueError(
            f"similarity_at_least must be a {measure.unit} above {low:g} and below {high:g}; got {described(limit)}"
        )
    return float(limit)


def check_reached(trial: Trial, at_least: float) -> None:
    """Refuse a similarity that not even the whole picture has.

    Raises:
        ValueError: With what it has.
    """
    if not trial.image_score >= at_least:
        raise ValueError(
            f"similarity_at_least must be what the whole picture has, at most {trial.image_score:.4g} here; got "
            f"{at_least:g}"
        )


def checked_fills(fills: Sequence[Fill]) -> tuple[Fill, ...]:
    """The fills, each as `Hiding` takes it.

    Raises:
        ValueError: If there is none, or they are a single text.
    """
    if isinstance(fills, str) or not isinstance(fills, Sequence) or not fills:
        raise ValueError(f'fills must be a list of one or more fills, such as ("mean", "blur"); got {described(fills)}')
    if "drop" in [fill for fill in fills if isinstance(fill, str)]:
        raise ValueError('fills must show something; "drop" withholds patches: leave it out')
    return tuple(fills)


def settings_record(settings: Settings, fills: Sequence[Fill], at_least: float) -> dict[str, Any]:
    """What determines the sets beside picture and encoder, as JSON types."""
    return {
        "similarity_at_least": at_least,
        "fills": [fill_name(fill) for fill in fills],
        "regions": one_of("regions", settings.hiding.regions, KINDS),
        "cells": settings.hiding.cells,
        "seed": settings.hiding.seed,
        "map_masks": settings.count,
    }


def fill_name(fill: Fill) -> str:
    """A fill in words."""
    if isinstance(fill, str | int | float):
        return str(fill)
    if isinstance(fill, list | tuple):
        return ",".join(f"{value:g}" for value in fill)
    return name_of(fill)
