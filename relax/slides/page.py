"""The map of a slide as a page: the slide with its map in the viewer of all reports, a table, and its top tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from relax.explanation import Explanation
from relax.report.content import Exhibit, Grid, Report, Section
from relax.report.plain import plain_report
from relax.slides.drawing import map_in_words
from relax.slides.map import SlideMap
from relax.slides.slide import Pixels
from relax.text import number

LISTED = 20  # tiles in the table
CERTAIN = 2.0  # standard errors by which a tile must stand out


def map_report(slide_map: SlideMap, picture: Pixels, inside: Sequence[Explanation] = ()) -> Report:
    """The page of a map.

    Args:
        slide_map: The map.
        picture: (H, W, 3) the whole slide.
        inside: Explanations of the most important tiles, in their order.
    """
    exhibits = [Exhibit(slide_map.on(picture), slide_map.name)]
    exhibits += [Exhibit(each, str(each.provenance["image"])) for each in inside]
    plain = plain_report(exhibits, f"Which tiles make the embedding of {slide_map.name}")
    return replace(plain, findings=tuple(_findings(slide_map)), sections=(_table(slide_map),), collection=None)


def _findings(slide_map: SlideMap) -> list[str]:
    """What came of it, in sentences."""
    above = slide_map.effect / slide_map.standard_error
    high, low = int((above > CERTAIN).sum()), int((above < -CERTAIN).sum())
    words = map_in_words(slide_map)
    return [
        f"{words[1][0].upper()}{words[1][1:]}.",
        f"Of {len(slide_map):,} tiles {high:,} stand out above the mean tile by more than two standard errors, and "
        f"{low:,} below it; by chance alone about {round(0.046 * len(slide_map)):,} would.",
        "Of the pictures the slide comes first, with the map where it holds tiles, and then its most important tiles.",
    ]


def _table(slide_map: SlideMap) -> Section:
    """The most important tiles in numbers."""
    names = ("tile", "x", "y", "importance above the mean tile", "standard error", "alone", "fall without it")
    span = float(np.ptp(slide_map.importance))
    rows = tuple(
        (
            place + 1,
            *slide_map.corners[tile].tolist(),
            number(float(slide_map.effect[tile]), span / 100),
            number(float(slide_map.standard_error[tile])),
            round(float(slide_map.alone[tile]), 4),
            number(float(slide_map.influence[tile])),
        )
        for place, tile in enumerate(slide_map.top(LISTED).tolist())
    )
    note = "Places are in pixels of the finest level. Alone and the fall without the tile are exact."
    return Section("The most important tiles", (note,), (Grid("", names, rows),))
