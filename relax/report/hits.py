"""The page of what a search found: the pictures with their rank and similarity, to look at, sort, tag and save."""

from __future__ import annotations

import math
from pathlib import Path

from relax.plotting.caption import measure_unit
from relax.plotting.hits import HitsLike, in_words
from relax.report.collection import Collection, Column
from relax.report.content import Grid, Report, Section
from relax.text import number

SIDE = 512  # px of a picture's longer side
TO_ITSELF = {"cosine": 1.0, "l2": 0.0}


def hits_report(hits: HitsLike) -> Report:
    """The report on a search, for `write_report`; its first picture is the query."""
    unit = measure_unit(hits.measure)
    query = Path(hits.query).name
    names = [f"query: {query}", *hits.names]
    ranks, similarities = [*range(1, len(hits.names) + 1)], [*hits.similarities]
    collection = Collection(
        names,
        (
            Column("rank", [0, *ranks], "1 is the closest, 0 the query"),
            Column(unit, [TO_ITSELF[hits.measure], *(v if math.isfinite(v) else None for v in similarities)]),
        ),
        small=lambda picture: hits.small(picture, SIDE),
        captions=["", *(f"{rank} · {number(value, 0.01)}" for rank, value in zip(ranks, similarities, strict=True))],
        order="closest first",
        side=SIDE,
    )
    rows = tuple(zip(ranks, similarities, hits.names, strict=True))
    table = Grid("Closest first", ("rank", unit, "picture"), rows)
    words = in_words(hits)
    settings = {"encoder": hits.encoder, "measure": hits.measure, "images searched": hits.images}
    return Report(
        f"Closest to {query}",
        (f"{words[0].upper()}{words[1:]}.",),
        (Section("All hits", blocks=(table,)),),
        settings=settings,
        collection=collection,
        about_maps=False,
    )
