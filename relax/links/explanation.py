"""The result: the link of every part of one side to every part of the other, with its error and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.values import described, is_number, is_whole
from relax.links.linked import LinkedPicture, LinkedText
from relax.links.reading import ARRAYS, KIND, read_links
from relax.saved import Saved
from relax.text import shortened

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Place = tuple[int, ...]

CERTAIN = 2.0  # standard errors by which a link must differ from 0 to be told
ROUNDING = 1e-9  # of the largest link, below which a link is none


@dataclass(frozen=True)
class Link:
    """One link.

    Attributes:
        a, b: The parts that it joins, from 0: (row, column) of a picture's cell from the top left, or (number,) of a
            word.
        value: Its size, in the unit of the similarity.
        standard_error: Of that.
    """

    a: Place
    b: Place
    value: float
    standard_error: float


@dataclass(frozen=True)
class FirstOrder:
    """What each part of one side does on its own, whatever else of that side is shown.

    Attributes:
        to_other: (h, w) or (P,) float64: how much closer showing the part brings the side to the whole other side, on
            the average over what else is shown: E[s | shown] - E[s | hidden], in the unit of the similarity.
        to_itself: The same for the whole of the side itself as reference.
        only: to_itself - to_other. Above 0, the part is of what this side alone shows: it brings the side closer to
            itself than to the other. About 0 or below, the other side shows as much of it.
        to_other_error, to_itself_error, only_error: Their standard errors.
    """

    to_other: Values
    to_itself: Values
    only: Values
    to_other_error: Values
    to_itself_error: Values
    only_error: Values


@dataclass(frozen=True)
class LinksExplanation(Saved):
    """Which part of one picture is close to which part of another picture, or to which word of a text.

    Attributes:
        links: (h, w, h', w') float64, or (h, w, P) where `b` is a text. Entry [i, j, k, l] is the weighted Banzhaf
            interaction of cell (i, j) of `a` and cell (k, l) of `b` in their similarity, in its unit: above 0, showing
            the two together brings the sides closer by so much more than each of them alone. Never rescaled.
        standard_error: The same shape, 0 or more: by the masks that were drawn, of both sides.
        a, b: What is linked.
        of_a, of_b: What each part does on its own.
        similarity: Of the whole sides.
        provenance: How it was made, as JSON types.
    """

    links: Values
    standard_error: Values
    a: LinkedPicture
    b: LinkedPicture | LinkedText
    of_a: FirstOrder
    of_b: FirstOrder
    similarity: float
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        best = self.strongest(1)
        told = (
            f"{best[0].a} - {best[0].b} {best[0].value:.3g} ± {best[0].standard_error:.1g}"
            if best
            else "none is certain"
        )
        return (
            f"LinksExplanation of {shortened(self.a.name, 40)} and {shortened(self.b.name, 40)}, "
            f"{' x '.join(map(str, self.links.shape))}, through {self.provenance['encoder']['name']}: "
            f"{self.provenance['similarity']} {self.similarity:.3g}; strongest link {told}"
        )

    @cached_property
    def degrees(self) -> int:
        """Degrees of freedom of the standard errors: the groups of masks of the side that has fewer, less 1."""
        return int(min(self.provenance[side]["masks"]["groups"] for side in ("a", "b"))) - 1

    def interval(self, level: float = 0.95) -> tuple[Values, Values]:
        """The lower and upper ends of confidence intervals of the links, by Student's t with `degrees` of freedom.

        Args:
            level: Chance that an interval holds the true link, in (0, 1).

        Raises:
            ValueError: If the level is not in (0, 1).
        """
        if not is_number(level) or not 0 < level < 1:
            raise ValueError(f"level is the chance that an interval holds the link, in (0, 1); got {described(level)}")
        from scipy.stats import t as student  # takes a second to load

        reach = float(student.ppf((1 + level) / 2, self.degrees)) * self.standard_error
        return self.links - reach, self.links + reach

    def strongest(self, count: int = 10) -> list[Link]:
        """The largest links above 0, first the largest, of those more than two standard errors above 0.

        Args:
            count: How many at most.

        Raises:
            ValueError: If the count is below 1.
        """
        if not is_whole(count, 1):
            raise ValueError(f"count must be a whole number, 1 or more; got {described(count)}")
        values, errors = self.links.ravel(), self.standard_error.ravel()
        certain = np.flatnonzero((values > ROUNDING * np.abs(values).max()) & (values > CERTAIN * errors))
        order = certain[np.argsort(-values[certain], kind="stable")][:count]
        places = [tuple(map(int, np.unravel_index(number, self.links.shape))) for number in order]
        axes = len(self.a.shape)
        return [
            Link(place[:axes], place[axes:], float(values[number]), float(errors[number]))
            for number, place in zip(order, places, strict=True)
        ]

    def from_a(self, *place: int) -> Values:
        """(h', w') or (P,): the links of cell (row, column) of `a` to all parts of `b`."""
        values: Values = self.links[self._checked(place, self.a.shape, "a")]
        return values

    def from_b(self, *place: int) -> Values:
        """(h, w): the links of cell (row, column), or word (number,), of `b` to all cells of `a`."""
        moved = np.moveaxis(self.links, range(len(self.a.shape)), range(-len(self.a.shape), 0))
        values: Values = moved[self._checked(place, self.b.shape, "b")]
        return values

    def _checked(self, place: Place, shape: Place, side: str) -> Place:
        if len(place) != len(shape) or not all(map(_is_within, place, shape)):
            raise ValueError(f"place must be in {side}, which has {' x '.join(map(str, shape))} parts; got {place}")
        return place

    def to_bytes(self) -> bytes:
        """All of it as the bytes of an `.npz` file."""
        arrays: dict[str, Any] = {"links": self.links, "standard_error": self.standard_error}
        record: dict[str, Any] = {"similarity": self.similarity, "provenance": self.provenance}
        for side in ("a", "b"):
            linked, own = getattr(self, side), getattr(self, f"of_{side}")
            arrays |= {f"{side}_{name}": getattr(own, name) for name in ARRAYS}
            if isinstance(linked, LinkedPicture):
                arrays[f"{side}_image"] = linked.image
                record[side] = {"name": linked.name, "seen": list(linked.seen)}
            else:
                record[side] = {"name": linked.name, "words": list(linked.words), "spans": [*map(list, linked.spans)]}
        return KIND.packed(record, arrays)

    @classmethod
    def load(cls, path: str | Path) -> LinksExplanation:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such file, damaged, too large for memory or of a newer format.
        """
        read = read_links(path)
        for side in ("of_a", "of_b"):
            read[side] = FirstOrder(**read[side])
        return cls(**read)

    def page(self, path: str | Path) -> Path:
        """Write a page on which a part of either side lights up its partners: one HTML file. Returns its path.

        Raises:
            ValueError: If there are more links than a page holds, those of 32 x 32 cells.
        """
        from relax.links.page import write_links_page  # with matplotlib

        return write_links_page(self, path)

    def plot(self, lines: int = 8, *, theme: str = "light", width: float = 8.0) -> Figure:
        """Draw both sides with the strongest links as lines, and what only each of them shows.

        Args:
            lines: How many links at most.
            theme: "light" or "dark".
            width: In inches, from 4 to 40.
        """
        from relax.links.drawing import links_figure  # matplotlib takes a while to load

        return links_figure(self, lines, theme=theme, width=width)


def _is_within(number: object, size: int) -> bool:
    return is_whole(number, 0) and number < size
