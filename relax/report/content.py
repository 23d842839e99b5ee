"""The content of a report, as data, apart from its appearance. All strings are plain, untrusted text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.maps import MAPS, ExplanationLike
from relax.report.collection import Collection


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        png: A PNG file.
        caption: Stands under it.
        alt: Description for readers who cannot see it.
    """

    png: bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"png must be the bytes of a PNG file; got bytes that start with {self.png[:8]!r}")


@dataclass(frozen=True)
class Grid:
    """A table that the reader can sort.

    Attributes:
        title: Stands above it.
        headers: One per column.
        rows: One cell per header each; None and NaN are shown as a dash.
        note: Stands under it.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for place, row in enumerate(self.rows):
            if len(row) != len(self.headers):
                raise ValueError(
                    f"rows must have one cell for each of the {len(self.headers)} headers; row {place} has {len(row)}"
                )


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
        pixels: (h, w, 3) uint8, of any size, which the page reduces.
        caption: Stands under it.
        picture: Its number in the collection of the report, where a click leads; None if it is not there.
    """

    pixels: NDArray[np.uint8]
    caption: str
    picture: int | None = None

    def __post_init__(self) -> None:
        _check_pixels("pixels", self.pixels)


@dataclass(frozen=True)
class Strip:
    """A row of small pictures under a title; the note stands under them."""

    title: str
    thumbnails: tuple[Thumbnail, ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A chapter: title, paragraphs and blocks, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    blocks: tuple[Chart | Grid | Strip, ...] = ()


@dataclass(frozen=True)
class Neighbour:
    """An image close to the exhibit: its name, its similarity (higher is closer) and (h, w, 3) uint8 pixels."""

    name: str
    similarity: float
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_pixels("pixels", self.pixels)


@dataclass(frozen=True)
class Exhibit:
    """One picture of the gallery.

    Attributes:
        explanation: The maps, the image and how they were made.
        title: Its title, such as a file name.
        neighbours: The closest images, closest first.
        notes: Further notes, as (name, value).
        values: (H, W) what the picture shows through a window, in its own unit, so that the page can show it through
            others; None for pictures without.
    """

    explanation: ExplanationLike
    title: str
    neighbours: tuple[Neighbour, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    values: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check_pixels("the image of an explanation", self.explanation.image)
        shape = self.explanation.image.shape[:2]
        if self.values is not None and self.values.shape != shape:
            raise ValueError(f"values must have the shape of the image, {shape}; got {self.values.shape}")
        for name in MAPS:
            map_shape = getattr(self.explanation, name).shape
            if map_shape != shape:
                raise ValueError(f"{name} must have the shape of the image, {shape}; got {map_shape}")


@dataclass(frozen=True)
class Report:
    """The whole content of the page, in its order.

    Attributes:
        title: The heading.
        findings: The main results, a sentence or two each.
        sections: The chapters.
        exhibits: The explained pictures; may be a lazy sequence that reads one at a time.
        settings: How the results were made, as JSON types.
        collection: All pictures; None if they are those of the exhibits.
        space: The chapter on the map of the space; the live map of the collection takes the place of its blocks where
            scripts run.
        about_maps: Whether the page says what maps mean and what they do not.
    """

    title: str
    findings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    exhibits: Sequence[Exhibit] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    collection: Collection | None = None
    space: Section | None = None
    about_maps: bool = True


def _check_pixels(name: str, pixels: NDArray[np.uint8]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"{name} must be (H, W, 3) uint8 with at least one pixel; got {pixels.shape} {pixels.dtype}")
