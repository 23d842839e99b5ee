"""The two passes of Network Dissection over the pictures: first the levels of the units, then their areas.

The maps of the first pass are kept for the second where they take less than `KEPT_BYTES`; else the encoder runs twice.
Masks are kept in bits, to be laid on other pictures too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from relax.concepts.chance import shuffled_orders
from relax.concepts.folder import Annotated, ConceptSet
from relax.concepts.overlap import Overlaps, areas
from relax.concepts.parts import PartCounts
from relax.concepts.quantiles import LargestValues
from relax.concepts.reading import LayerMaps
from relax.io.errors import ImageError

KEPT_BYTES = 1 << 30  # of maps, between the passes
RANKED_CELLS = 50_000  # of all pictures, whose activations are ranked for AUC and AP

Progress = Callable[[str, int, int], None]


@dataclass
class Seen:
    """What the first pass leaves.

    Attributes:
        pictures: Those that could be used, in order.
        failed: Name and reason of the others.
        size: (h, w) of the masks that areas are compared with.
        grid: (gh, gw) cells of the layer.
        levels: (D,) of the units.
        peaks: (N, D) the largest activation of each unit in each picture.
        cells: (n, D) activations of cells, at most about `RANKED_CELLS`.
        inside: (n, C) whether they lie on a concept.
    """

    pictures: list[Annotated]
    failed: dict[str, str]
    size: tuple[int, int]
    grid: tuple[int, int]
    levels: Tensor
    peaks: NDArray[np.float32]
    cells: NDArray[np.float32]
    inside: NDArray[np.bool_]
    _bits: list[NDArray[np.uint8]] = field(default_factory=list, repr=False)
    _maps: list[Tensor] | None = field(default=None, repr=False)

    def masks(self, place: int, concepts: int) -> NDArray[np.bool_]:
        """(C, h, w) the masks of a picture."""
        bits = np.unpackbits(self._bits[place], axis=1, count=self.size[0] * self.size[1])
        return bits.reshape(concepts, *self.size).astype(bool)


def look(concepts: ConceptSet, reader: LayerMaps, quantile: float, side: int, seed: int, report: Progress) -> Seen:
    """The first pass.

    Args:
        concepts: Pictures and masks.
        reader: The layer.
        quantile: Share of a unit's cells that exceed its level.
        side: Pixels of the longer side of masks, at most that of the view.
        seed: Of the draw of cells that are ranked.
        report: Told what is done.

    Raises:
        ValueError: If no picture can be used, or the layer's grid differs between them.
        ConceptError, TruthError: If a mask cannot be used.
    """
    first = _First(concepts, reader, quantile, side, np.random.default_rng(seed))
    for place, annotated in enumerate(concepts.pictures):
        report("levels", place, len(concepts.pictures))
        first.add(annotated)
    report("levels", len(concepts.pictures), len(concepts.pictures))
    return first.seen()


def count(
    seen: Seen, concepts: ConceptSet, reader: LayerMaps, shuffles: int, seed: int, report: Progress
) -> tuple[Overlaps, PartCounts]:
    """The second pass: overlaps with each picture's masks and with those of others, and the parts of concepts."""
    names, total = len(concepts.concepts), len(seen.pictures)
    overlaps, parts = Overlaps.empty(reader.units, names, shuffles), PartCounts.empty(reader.units, names)
    orders = shuffled_orders(total, shuffles, seed)
    width = max(1.0, max(side / cells for side, cells in zip(seen.size, seen.grid, strict=True)) / 2)
    for place, maps in enumerate(_again(seen, reader)):
        report("areas", place, total)
        masks = seen.masks(place, names)
        others = [seen.masks(int(other), names) for other in orders[:, place]]
        active, active_areas = areas(maps, seen.levels, seen.size)
        stacked = torch.from_numpy(np.stack(others)) if others else None
        overlaps.add(active, active_areas, torch.from_numpy(masks), stacked)
        parts.add(active_areas, active, masks, width)
    report("areas", total, total)
    return overlaps, parts


def reduced_mask(reader: LayerMaps, mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w): where a mask (H, W) of a picture covers at least half of a pixel of the reduced view."""
    share = reader.encoder.preprocess.view_of_mask(torch.from_numpy(mask)[None, None].float())
    return (F.adaptive_avg_pool2d(share, size)[0, 0] >= 0.5).numpy()


def reduced_size(view: tuple[int, int], side: int) -> tuple[int, int]:
    """(h, w) of a view with at most `side` px on its longer side."""
    scale = min(1.0, side / max(view))
    return max(1, round(view[0] * scale)), max(1, round(view[1] * scale))


class _First:
    """The first pass, picture by picture."""

    def __init__(
        self, concepts: ConceptSet, reader: LayerMaps, quantile: float, side: int, rng: np.random.Generator
    ) -> None:
        self.concepts, self.reader, self.quantile, self.side, self.rng = concepts, reader, quantile, side, rng
        self.pictures: list[Annotated] = []
        self.failed: dict[str, str] = {}
        self.size = self.grid = (0, 0)
        self.largest: LargestValues | None = None
        self.peaks: list[Tensor] = []
        self.cells: list[NDArray[np.float32]] = []
        self.inside: list[NDArray[np.bool_]] = []
        self.bits: list[NDArray[np.uint8]] = []
        self.maps: list[Tensor] | None = []

    def add(self, annotated: Annotated) -> None:
        try:
            view, size = self.reader.view(annotated.picture)
        except ImageError as error:
            self.failed[annotated.name] = str(error)
            return
        read = annotated.read(size)
        maps = self.reader.maps(view)[0]
        self._begin(maps, (int(view.shape[-2]), int(view.shape[-1])), annotated.name)
        nothing = np.zeros(size, dtype=bool)
        masks = [reduced_mask(self.reader, read.get(name, nothing), self.size) for name in self.concepts.concepts]
        self.bits.append(np.packbits(np.stack(masks).reshape(len(masks), -1), axis=1))
        flat = maps.flatten(1)
        assert self.largest is not None  # noqa: S101 - _begin made it
        self.largest.add(flat)
        self.peaks.append(flat.amax(1))
        self._rank(flat, np.stack(masks))
        self._keep(maps)
        self.pictures.append(annotated)

    def seen(self) -> Seen:
        if self.largest is None:
            name, reason = next(iter(self.failed.items()))
            raise ValueError(f"no picture can be used; the first, {name}: {reason}")
        return Seen(
            self.pictures,
            self.failed,
            self.size,
            self.grid,
            self.largest.levels(),
            torch.stack(self.peaks).numpy(),
            np.concatenate(self.cells),
            np.concatenate(self.inside),
            self.bits,
            self.maps,
        )

    def _begin(self, maps: Tensor, view: tuple[int, int], name: str) -> None:
        grid = (int(maps.shape[1]), int(maps.shape[2]))
        if self.largest is None:
            self.size, self.grid = reduced_size(view, self.side), grid
            cells = grid[0] * grid[1]
            self.largest = LargestValues(len(maps), cells * len(self.concepts.pictures), self.quantile)
            self.share = min(1.0, RANKED_CELLS / (cells * len(self.concepts.pictures)))
        elif grid != self.grid:
            raise ValueError(
                f"pictures must give the layer the same cells; {name} gives {grid[0]} x {grid[1]}, the first "
                f"{self.grid[0]} x {self.grid[1]}: say the size that the encoder sees, size=224, or view=squash"
            )

    def _rank(self, flat: Tensor, masks: NDArray[np.bool_]) -> None:
        """Draw cells, each with whether a concept covers at least half of it."""
        covered = F.adaptive_avg_pool2d(torch.from_numpy(masks).float()[None], self.grid)[0].flatten(1) >= 0.5
        drawn = np.flatnonzero(self.rng.random(flat.shape[1]) < self.share)
        self.cells.append(flat[:, drawn].T.numpy().copy())
        self.inside.append(covered[:, drawn].T.numpy())

    def _keep(self, maps: Tensor) -> None:
        if self.maps is not None:
            self.maps.append(maps)
            if len(self.maps) * maps.numel() * 4 > KEPT_BYTES:
                self.maps = None


def _again(seen: Seen, reader: LayerMaps) -> Iterator[Tensor]:
    """The maps of each picture once more."""
    if seen._maps is not None:
        yield from seen._maps
        return
    for annotated in seen.pictures:
        yield reader.maps(reader.view(annotated.picture)[0])[0]
