"""Draw what a search found: the query, then the pictures closest to it, each with its rank and similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.caption import measure_unit
from relax.plotting.drawing import file_of
from relax.plotting.sheet import WIDTH, Row, Sheet
from relax.plotting.tables import FORMATS
from relax.plotting.themes import THEMES
from relax.plotting.thumbnails import SIDE, thumbnail
from relax.text import counted, number, one_of, shortened

MOST = 400  # hits of a figure, whose files can be 65,535 px high


class HitsLike(Protocol):
    """The part of `relax.archive.hits.Hits` that is drawn."""

    @property
    def query(self) -> str:
        """Name of the query."""

    @property
    def measure(self) -> str:
        """How close is measured, of which higher is closer."""

    @property
    def encoder(self) -> str:
        """Name of the encoder."""

    @property
    def images(self) -> int:
        """How many were searched."""

    @property
    def names(self) -> Sequence[str]:
        """Of the hits, closest first."""

    @property
    def similarities(self) -> Sequence[float]:
        """Of the hits."""

    def small(self, rank: int, longest: int) -> NDArray[np.uint8] | None:
        """The picture of a rank; 0 is the query."""


def hits_figure(hits: HitsLike, *, width: float = WIDTH, theme: str = "light") -> Figure:
    """A sheet of pictures.

    Args:
        hits: What was found.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".

    Raises:
        ValueError: If there are more than `MOST` hits, or width or theme are impossible.
    """
    if len(hits.names) > MOST:
        raise ValueError(f"a figure shows at most {MOST} hits; got {len(hits.names):,}: write an .html file instead")
    colours = THEMES[one_of("theme", theme, THEMES)]
    panels = [thumbnail("query", hits.query, hits.small(0, SIDE), colours)]
    for rank, (name, similarity) in enumerate(zip(hits.names, hits.similarities, strict=True), 1):
        panels.append(thumbnail(f"{rank} · {number(similarity, 0.01)}", name, hits.small(rank, SIDE), colours))
    caption = [[in_words(hits)]]
    return Sheet([Row(panels)], caption, colours, width).draw()


def hits_file(hits: HitsLike, ending: str, **options: Any) -> bytes:
    """The bytes of `hits_figure`, with the same options, as a file with this ending, such as ".png"."""
    return file_of(hits_figure(hits, **options), one_of("format", ending.lower().lstrip("."), FORMATS))


def in_words(hits: HitsLike) -> str:
    """What was searched, by what, and how close the hits are, in a sentence."""
    count = len(hits.names)
    closest = f"the {count:,} closest" if count > 1 else "the closest" if count else "none"
    ends = list(dict.fromkeys(number(value, 0.01) for value in (*hits.similarities[:1], *hits.similarities[-1:])))
    span = f" ({' to '.join(ends)})" if ends else ""
    unit = measure_unit(hits.measure)
    return f"{closest} of {counted(hits.images, 'image')} by {unit}{span} through encoder {shortened(hits.encoder, 80)}"
