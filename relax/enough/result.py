"""What a search found: a set of cells to show, a set of cells to hide, and what is known of how small they could be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.npz import read_npz
from relax.plotting.enough import sets_figure
from relax.records import check_record, missing_entries
from relax.saved import Kind, Saved
from relax.text import number

KIND = Kind("smallest sets", "a file of SmallestSets.save", {"provenance": dict, "sets": dict}, optional={"grid": list})
ENTRIES = {
    "size": int,
    "of": int,
    "share": float,
    "similarities": dict,
    "by_ranking": int,
    "at_least": int,
    "irreducible": bool,
}


@dataclass(frozen=True)
class CellSet:
    """A set of cells.

    Attributes:
        members: (n,) bool, by number of the cell.
        mask: (H, W) bool, its pixels in the frame of the picture.
        share: Of the pixels that the encoder sees, in [0, 1].
        similarities: By fill: with the set shown and all else hidden, or with the set hidden.
        by_ranking: Cells that the ranking by importance needs without a search.
        at_least: No set of fewer cells does: all of them were tried.
        irreducible: Whether it does not do without any single one of its cells: each was tried.
    """

    members: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    share: float
    similarities: dict[str, float]
    by_ranking: int
    at_least: int
    irreducible: bool

    @property
    def size(self) -> int:
        """How many cells."""
        return int(self.members.sum())

    @property
    def gap(self) -> int:
        """How many cells fewer a set could still have, for all that is known."""
        return self.size - self.at_least

    @property
    def proven(self) -> bool:
        """Whether no set of fewer cells does: all of them were tried."""
        return self.gap == 0

    def record(self) -> dict[str, Any]:
        """The numbers, as JSON types."""
        return {
            "size": self.size,
            "of": len(self.members),
            "share": self.share,
            "similarities": self.similarities,
            "by_ranking": self.by_ranking,
            "at_least": self.at_least,
            "irreducible": self.irreducible,
            "proven": self.proven,
        }

    def __str__(self) -> str:
        known = "proven smallest" if self.proven else f"smallest found, {self.at_least} or more are necessary"
        reached = ", ".join(f"{number(value)} ({fill})" for fill, value in self.similarities.items())
        return (
            f"{self.size} of {len(self.members)} cells, {self.share:.0%} of the pixels; {known}; the ranking alone "
            f"takes {self.by_ranking}; similarity {reached}"
        )


@dataclass(frozen=True)
class SmallestSets(Saved):
    """The smallest sets of one picture.

    Attributes:
        enough: Shown alone, it keeps the similarity under every fill.
        needed: Hidden alone, it loses the similarity under every fill; None where hiding all of the picture does not.
        labels: (h, w) number of the cell that each pixel of the encoder's view is in.
        grid: (rows, columns) of the cells; None for superpixels.
        image: (H, W, 3) uint8.
        provenance: How they were found, as JSON types; "similarity_at_least" is the similarity, "passes" what it took.
    """

    enough: CellSet
    needed: CellSet | None
    labels: NDArray[np.int64]
    grid: tuple[int, int] | None
    image: NDArray[np.uint8]
    provenance: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """The numbers and the provenance, as JSON types."""
        sets = {"enough": self.enough.record(), "needed": None if self.needed is None else self.needed.record()}
        return {"sets": sets, "provenance": self.provenance}

    def cells(self, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(rows, columns) bool of a set (n,) where cells are a grid; (n,) for superpixels."""
        return members if self.grid is None else members.reshape(self.grid)

    def plot(self, theme: str = "light") -> Figure:
        """Draw the picture, what is enough of it, and what is left of it without what is needed."""
        return sets_figure(self, theme)

    def to_bytes(self) -> bytes:
        """Everything, as the bytes of an `.npz` file."""
        sets = {"enough": self.enough, "needed": self.needed}
        arrays: dict[str, NDArray[Any]] = {"labels": self.labels, "image": self.image}
        for name, cells in sets.items():
            if cells is not None:
                arrays |= {name: cells.members, f"{name}_mask": cells.mask}
        grid = None if self.grid is None else [*self.grid]
        return KIND.packed({"grid": grid, **self.record()}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> SmallestSets:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such file, is damaged, too large, or of a later version.
        """
        with KIND.reading(path) as record:
            names = [name for name in ("enough", "needed") if record["sets"].get(name) is not None]
            arrays = read_npz(path, ["labels", "image", *names, *(f"{name}_mask" for name in names)])
            sets = {name: _set_of(record["sets"][name], arrays, name) for name in names}
            grid = record.get("grid")
            return cls(
                sets["enough"],
                sets.get("needed"),
                _of_kind(arrays["labels"], "labels", "i", 2),
                None if grid is None else (int(grid[0]), int(grid[1])),
                _of_kind(arrays["image"], "image", "u", 3),
                record["provenance"],
            )

    def __str__(self) -> str:
        at_least = number(self.provenance["similarity_at_least"])
        needed = "nothing: hiding all of it does not lose that" if self.needed is None else str(self.needed)
        lines = [f"enough to keep {at_least}: {self.enough}", f"needed to keep {at_least}: {needed}"]
        if backgrounds := self.provenance.get("backgrounds"):
            low, high = backgrounds["interval"]
            lines.append(
                f"before {backgrounds['pictures']} other pictures as background what is enough keeps it in "
                f"{backgrounds['share']:.0%} (95 % interval {low:.0%} to {high:.0%})"
            )
        return "\n".join(lines)


def _set_of(record: dict[str, Any], arrays: dict[str, NDArray[Any]], name: str) -> CellSet:
    check_record(record, ENTRIES, name)
    if missing := missing_entries(record, ENTRIES):
        raise ValueError(f"the record of {name} lacks {', '.join(missing)}")
    members, mask = _of_kind(arrays[name], name, "b", 1), _of_kind(arrays[f"{name}_mask"], f"{name}_mask", "b", 2)
    wanted = ("share", "similarities", "by_ranking", "at_least", "irreducible")
    return CellSet(members, mask, *(record[entry] for entry in wanted))


def _of_kind(values: NDArray[Any], name: str, kind: str, axes: int) -> NDArray[Any]:
    if values.dtype.kind != kind or values.ndim != axes:
        raise ValueError(f"{name} must have {axes} axes of kind {kind!r}; got {values.dtype} {values.shape}")
    return values
