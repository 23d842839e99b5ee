"""All pictures of a page as data: names, columns, places on maps of the space, nearest pictures, thumbnails.

They can be searched, filtered, sorted and tagged in the page, whether or not they were explained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """One value per picture, None where it is unknown.

    Attributes:
        name: Shown to the reader.
        values: Numbers, of which a colour scale is made, or names of groups, which get a colour each.
        about: What it is, in a sentence; "" for none.
    """

    name: str
    values: Sequence[Value]
    about: str = ""

    @property
    def is_number(self) -> bool:
        """Whether all known values are numbers."""
        return all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in self.values
        )


@dataclass(frozen=True)
class Plane:
    """A map of the space: (N, 2) places, NaN for a picture without one."""

    name: str
    points: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points must be (N, 2); got {self.points.shape}")


@dataclass(frozen=True)
class Windowing:
    """A window on the values of slices, and what else there is to see.

    Attributes:
        low, high: Values shown black and white at first; low above high where white is low.
        least, most: Of all values.
        unit: Of the values; "" if unknown.
        presets: Further windows: name, level and width.
    """

    low: float
    high: float
    least: float
    most: float
    unit: str = ""
    presets: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Linked:
    """What a second space adds: the first two planes of a collection stand side by side, and each shows what is chosen
    in the other.

    Attributes:
        neighbours: (N, k) the nearest pictures in the second space, closest first.
        similarities: (N, k) a number of each, as those of the collection are.
        number: What that number is; also of those of the collection.
    """

    neighbours: NDArray[np.int64]
    similarities: NDArray[np.floating]
    number: str


@dataclass(frozen=True)
class Collection:
    """N pictures.

    Attributes:
        names: Of the pictures.
        columns: Metadata and scores.
        planes: Maps of the space; without any, the page has no such map.
        colour_by: The column that colours the map at first.
        neighbours: (N, k) the nearest pictures in the space itself, closest first; None if unknown.
        similarities: (N, k) how close they are, higher = closer.
        linked: The second space, if the first two planes are of two spaces; None if all are of one.
        explained: The picture of each exhibit of the report.
        captions: What stands under the card of each picture; none without any.
        order: What the order of the pictures is.
        stack: What the pictures are slices of a volume of, in their order, such as "axial slice": the viewer gets a
            slider. "" for pictures that are not.
        profile: Columns of numbers that are drawn over the slices.
        alike: Whether the colours of maps span all pictures at first, as slices of one map do.
        window: Through which the values of the slices are shown at first; None where the exhibits hold none.
        small: A thumbnail (h, w, 3) uint8 of a picture, None where there is none any more. Without this function only
            the exhibits have thumbnails.
        side: Pixels along the longer side that no thumbnail exceeds; of many pictures they are smaller.
    """

    names: Sequence[str]
    columns: tuple[Column, ...] = ()
    planes: tuple[Plane, ...] = ()
    colour_by: str = ""
    neighbours: NDArray[np.int64] | None = None
    similarities: NDArray[np.floating] | None = None
    linked: Linked | None = None
    explained: Sequence[int] = ()
    captions: Sequence[str] = ()
    order: str = "name"
    stack: str = ""
    profile: Sequence[str] = ()
    alike: bool = False
    window: Windowing | None = None
    small: Callable[[int], NDArray[np.uint8] | None] | None = None
    side: int = 256

    def __post_init__(self) -> None:
        lengths = {f"column {column.name!r}": len(column.values) for column in self.columns}
        lengths |= {f"plane {plane.name!r}": len(plane.points) for plane in self.planes}
        if self.captions:
            lengths["captions"] = len(self.captions)
        if self.neighbours is not None:
            lengths["neighbours"] = len(self.neighbours)
        if self.linked is not None:
            lengths["linked neighbours"] = len(self.linked.neighbours)
            if len(self.planes) < 2 or self.neighbours is None:
                raise ValueError("linked needs two planes, one of each space, and the neighbours in the first")
        for name, length in lengths.items():
            if length != len(self.names):
                raise ValueError(f"{name} must have one row for each of the {len(self.names)} pictures; got {length}")
        if (self.neighbours is None) != (self.similarities is None):
            raise ValueError("neighbours and similarities must be given together")
        if not all(0 <= picture < len(self.names) for picture in self.explained):
            raise ValueError(f"explained must hold numbers of the {len(self.names)} pictures; got {self.explained}")
