"""Receptive fields: exactly the pixels that a cell of a layer depends on, in any network.

A pixel that is not a number makes every number not a number that is computed from it, whatever its weights, and no
other. So rows of the input are set to NaN in turn, and the cells that follow are the ones that see the row; and so for
columns. Nothing is assumed about the layers, so that it holds with pooling, dilation, padding, squeeze-and-excitation
and attention alike. A field is the box of its rows and columns; holes inside it, as of dilated kernels, are not told.

Rows that a stride apart behave alike where a network has one: then two strides of rows at the upper and lower edge tell
all, and what they tell must fit; else every row is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Seen = NDArray[np.bool_]
Run = Callable[[Seen, Sequence[str]], Mapping[str, Seen]]
"""From pixels that are no numbers, (B, h, w) bool, and names of layers to their cells that are none, (B, gh, gw)."""


@dataclass(frozen=True)
class Field:
    """Where the cells of a layer look.

    Attributes:
        rows: (gh, 2) int32, the first row of pixels of the view that each row of cells depends on, and the one after
            the last; (0, 0) for cells that depend on none.
        columns: (gw, 2) int32, the same for columns.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) in pixels of the view of what one cell depends on."""
        (top, bottom), (left, right) = self.rows[row].tolist(), self.columns[column].tolist()
        return top, left, bottom, right


def receptive_fields(run: Run, size: tuple[int, int], grids: Mapping[str, tuple[int, int]]) -> dict[str, Field]:
    """The fields of several layers of one network.

    Args:
        run: Runs the network.
        size: (h, w) of its input.
        grids: (gh, gw) by the name of a layer, in the order in which they run.

    Returns:
        By name. A layer that no pixel reaches is not there.
    """
    corners = np.zeros((2, *size), bool)
    corners[0, 0, 0] = corners[1, -1, -1] = True
    from_corners = run(corners, list(grids))
    names = [name for name in grids if not from_corners[name].all()]
    fields = {name: _whole(size, grids[name]) for name in grids if name not in names}
    edges = [_axis(run, size, {name: grids[name] for name in names}, axis) for axis in (0, 1)]
    fields |= {name: Field(edges[0][name], edges[1][name]) for name in names}
    return {name: fields[name] for name in grids if fields[name].rows.any()}


def _whole(size: tuple[int, int], grid: tuple[int, int]) -> Field:
    rows, columns = (
        np.tile(np.array([0, length], np.int32), (cells, 1)) for length, cells in zip(size, grid, strict=True)
    )
    return Field(rows, columns)


def _axis(
    run: Run, size: tuple[int, int], grids: Mapping[str, tuple[int, int]], axis: int
) -> dict[str, NDArray[np.int32]]:
    """(cells, 2) edges along one axis, by name."""
    length = size[axis]
    strides = {name: length // grid[axis] if length % grid[axis] == 0 else 0 for name, grid in grids.items()}
    edges, open_ = {}, list(grids)
    stride = max(strides.values(), default=0)
    if open_ and 0 < 2 * stride < length:
        lines = np.r_[0:stride, length - stride : length]
        for name, seen in _lines(run, size, open_, axis, lines).items():
            cell_edges = _by_stride(seen, lines, strides[name], length) if strides[name] else None
            if cell_edges is not None:
                edges[name] = cell_edges
        open_ = [name for name in open_ if name not in edges]
    if open_:
        lines = np.arange(length)
        edges |= {name: _edges(seen, lines) for name, seen in _lines(run, size, open_, axis, lines).items()}
    return edges


def _lines(
    run: Run, size: tuple[int, int], names: Sequence[str], axis: int, lines: NDArray[np.int64]
) -> dict[str, Seen]:
    """(lines, cells) bool by name: which cells along the axis depend on each line of pixels."""
    marked = np.zeros((len(lines), *size), bool)
    places = (np.arange(len(lines)), lines) if axis == 0 else (np.arange(len(lines)), slice(None), lines)
    marked[places] = True
    return {name: np.any(seen, axis=2 - axis) for name, seen in run(marked, names).items()}


def _edges(seen: Seen, lines: NDArray[np.int64]) -> NDArray[np.int32]:
    """First line of each cell and the one after its last, from all lines."""
    reached = np.any(seen, axis=0)
    first, last = seen.argmax(0), len(lines) - seen[::-1].argmax(0)
    return np.where(reached[:, None], np.stack([first, last], 1), 0).astype(np.int32)


def _by_stride(seen: Seen, lines: NDArray[np.int64], stride: int, length: int) -> NDArray[np.int32] | None:
    """The same from some lines, if cells are `stride` lines apart; None if what was seen contradicts that."""
    apart = lines[:, None] - stride * np.arange(seen.shape[1])
    if not seen.any():
        return None
    low, high = int(apart[seen].min()), int(apart[seen].max())
    if not np.array_equal(seen, (apart >= low) & (apart <= high)):
        return None
    starts = stride * np.arange(seen.shape[1])
    return np.stack([starts + low, starts + high + 1], 1).clip(0, length).astype(np.int32)
