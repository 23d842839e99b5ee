"""The report on a pair of images: how close they are, and what in each brings it to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.maps import ExplanationLike
from relax.plotting.caption import measure_unit
from relax.plotting.drawing import file_of
from relax.plotting.questions import DirectionLike, PairLike, pair_figure
from relax.report.collection import Collection, Column
from relax.report.content import Chart, Exhibit, Neighbour, Report, Section, Strip, Thumbnail
from relax.report.plain import common
from relax.report.text import without_folders
from relax.scale import doubts
from relax.text import number

ERRORS = 2.0  # standard errors beyond which a pixel counts
PALER = 0.25  # how much is left of what does not count
ABOUT = (
    "Whatever is salient in a picture matters for any other picture, so the map for the other mostly shows the picture "
    "itself. Beyond itself is what the similarity to itself leaves unexplained over the masks: above 0, showing the "
    "place brings the picture closer to the other than its own recognition accounts for; below 0, less close."
)


def pair_report(pair: PairLike, title: str | None = None) -> Report:
    """The report on a pair, for `write_report`: each picture's maps for the other, beyond itself, and for itself."""
    names = _names(pair)
    both = ((pair.a, pair.b, *names), (pair.b, pair.a, *names[::-1]))
    exhibits = tuple(exhibit for direction in both for exhibit in _exhibits(*direction))
    shares = [_shares(direction.beyond) for direction in (pair.a, pair.b)]
    strip = Strip(
        "Closer to the other beyond itself",
        tuple(
            Thumbnail(_kept(direction.beyond), f"{name}: {closer:.0%} of the picture", 3 * place + 1)
            for place, (direction, name, (closer, _)) in enumerate(zip((pair.a, pair.b), names, shares, strict=True))
        ),
        f"Kept in full where “beyond itself” is more than {ERRORS:g} standard errors above 0, pale elsewhere.",
    )
    chart = Chart(
        file_of(pair_figure(bare(pair))),
        "A row for each picture: its map for the other, for itself, and what of the former goes beyond the latter.",
        f"Maps of {names[0]} and {names[1]}; the viewer above shows each of them.",
    )
    return Report(
        title or f"Why are {names[0]} and {names[1]} close?",
        tuple(_findings(pair, names, shares)),
        (Section("What carries it", (ABOUT,), (strip, chart)),),
        exhibits,
        common([without_folders(exhibit.explanation.provenance) for exhibit in exhibits]),
        _collection(exhibits, names),
    )


def bare(pair: PairLike) -> PairLike:
    """The pair under the names of its pictures, without the folders in which they lie."""
    return _Pair(*(_Direction(direction) for direction in (pair.a, pair.b)))


class _Maps:
    """An explanation whose record has no folders."""

    def __init__(self, maps: ExplanationLike) -> None:
        self.importance, self.uncertainty, self.standard_error = maps.importance, maps.uncertainty, maps.standard_error
        self.image, self.provenance = maps.image, without_folders(maps.provenance)


class _Direction:
    """A direction of such maps."""

    def __init__(self, direction: DirectionLike) -> None:
        self.to_other, self.to_itself = _Maps(direction.to_other), _Maps(direction.to_itself)
        self.beyond = _Maps(direction.beyond)
        self.similarity, self.slope, self.correlation = direction.similarity, direction.slope, direction.correlation


@dataclass(frozen=True)
class _Pair:
    """Both directions."""

    a: DirectionLike
    b: DirectionLike


def _names(pair: PairLike) -> tuple[str, str]:
    """Of the pictures, without folders; told apart where they are alike."""
    a, b = (Path(str(d.to_other.provenance.get("image", "image"))).name for d in (pair.a, pair.b))
    return (a, b) if a != b else (f"{a} (1)", f"{b} (2)")


def _exhibits(direction: DirectionLike, opposite: DirectionLike, name: str, other: str) -> list[Exhibit]:
    beside = (Neighbour(other, direction.similarity, opposite.to_other.image),)
    numbers = (
        (
            "correlation",
            f"{number(direction.correlation)} of the similarities to the other and to itself, over the masks",
        ),
        ("slope", number(direction.slope)),
    )
    titled = (("brought to", direction.to_other), ("beyond itself, to", direction.beyond))
    shown = [Exhibit(maps, f"{name} {words} {other}", beside, numbers) for words, maps in titled]
    return [*shown, Exhibit(direction.to_itself, f"{name} to itself", beside, numbers)]


def _collection(exhibits: Sequence[Exhibit], names: tuple[str, str]) -> Collection:
    pictures = [name for name in names for _ in range(3)]
    maps = ["to the other", "beyond itself", "to itself"] * 2
    return Collection(
        [exhibit.title for exhibit in exhibits],
        (Column("picture", pictures), Column("map", maps)),
        explained=range(len(exhibits)),
        order="picture",
    )


def _findings(pair: PairLike, names: tuple[str, str], shares: Sequence[tuple[float, float]]) -> list[str]:
    unit = measure_unit(str(pair.a.to_other.provenance.get("similarity", "similarity")))
    sentences = [f"The {unit} of {names[0]} and {names[1]} is {number(pair.a.similarity)}."]
    for direction, name, other, (closer, less) in zip((pair.a, pair.b), names, names[::-1], shares, strict=True):
        sentences.append(
            f"In {name}, {closer:.0%} of the picture brings it closer to {other} than its own recognition accounts for "
            f"and {less:.0%} less close, by more than {ERRORS:g} standard errors each; by chance about 2 % would. Over "
            f"the masks its similarities to the other and to itself correlate at {number(direction.correlation)}: "
            f"{_meaning(direction.correlation)}."
        )
        sentences += [f"{name}: {doubt}. Its maps may say little." for doubt in doubts(direction.to_other)]
    return sentences


def _meaning(correlation: float) -> str:
    """What the correlation says, in words."""
    if not np.isfinite(correlation):
        return "one of them does not vary"
    if correlation >= 0.9:
        return "what matters for the other is nearly what matters for the picture itself"
    if correlation >= 0.5:
        return "what matters for the other is partly what matters for the picture itself"
    return "what matters for the other is hardly what matters for the picture itself"


def _shares(beyond: ExplanationLike) -> tuple[float, float]:
    """Shares of the seen pixels whose value is beyond `ERRORS` standard errors above, and below, 0."""
    known = np.isfinite(beyond.importance)
    if not known.any():
        return 0.0, 0.0
    values, errors = beyond.importance[known], beyond.standard_error[known]
    return float((values > ERRORS * errors).mean()), float((values < -ERRORS * errors).mean())


def _kept(beyond: ExplanationLike) -> NDArray[np.uint8]:
    """(H, W, 3) the picture where it is brought closer to the other, pale and grey elsewhere."""
    kept: NDArray[Any] = (beyond.importance > ERRORS * beyond.standard_error)[..., None]
    grey = beyond.image.mean(2, keepdims=True)
    return np.where(kept, beyond.image, 255 - PALER * (255 - grey)).astype(np.uint8)
