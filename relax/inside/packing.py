"""An `Inside` as JSON types for its page, of a size that can be sent: numbers as float16 and bytes, deflated.

A page holds as many channels of each layer as fit, those with the most energy and effect first; attention for as many
tokens as fit, and cosines between cells where there are few. What is left out is said in words (`left_out`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.inside.stage import Stage
from relax.report.packing import compressed
from relax.report.text import plain

if TYPE_CHECKING:  # which imports this module
    from relax.inside.result import Inside


WHOLE = 14_500_000  # bytes of the layers in a page
ACTIVATIONS, ATTENTION, COSINES = 6_600_000, 16_000_000, 1_300_000
"""Bytes before compression: the first and the last take at most 10.6 MB in a page, and attention what is left."""
CHANNELS = (4096, 2048, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
CELLS = 1024  # of a layer whose cells are compared with each other
FARTHEST = 64  # patches between two whose attention is kept
LARGEST = 65504.0  # of float16


@dataclass(frozen=True)
class Page:
    """Layers as JSON types, and what they leave out, as phrases."""

    stages: list[dict[str, Any]]
    left_out: list[str]


def packed_page(inside: Inside) -> Page:
    """The layers for the page."""
    most = channels_that_fit(inside.stages, ACTIVATIONS)
    compared = _compared(inside.stages, COSINES)
    stages = [packed_stage(stage, most, stage.name in compared) for stage in inside.stages]
    step, heads = heads_that_fit(inside.stages, WHOLE - sum(len(json.dumps(stage)) for stage in stages))
    left_out = []
    fewer = [stage.name for stage in inside.stages if len(stage.activations) > most]
    if fewer:
        left_out.append(f"all but {most} channels a layer, those with the most energy and effect, of {_few(fewer)}")
    if step > 1:
        left_out.append(
            f"attention of all but every {_nth(step)} patch along rows and columns (others show that of the nearest)"
        )
    if missing := [stage.name for stage in inside.stages if stage.name not in compared and np.prod(stage.grid) > 1]:
        left_out.append(f"cosines between cells of {_few(missing)}")
    return Page([{**stage, "heads": own} for stage, own in zip(stages, heads, strict=True)], left_out)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")


def packed_stage(stage: Stage, most: int, compared: bool) -> dict[str, Any]:
    """One layer as JSON types, without its attention."""
    kept = kept_channels(stage, most)
    activations = stage.activations[kept]
    cells = stage.activations.reshape(len(stage.activations), -1)
    return {
        "name": plain(stage.name),
        "kind": plain(stage.kind),
        "grid": stage.grid,
        "channels": len(stage.activations),
        "prefix": len(stage.prefix),
        "kept": compressed(kept.astype(np.uint16)),
        "values": halves(activations),
        "energy": compressed(stage.energy[kept]),
        "contrast": compressed(stage.contrast[kept]),
        "effect": None if stage.effect is None else compressed(stage.effect[kept]),
        "reset": stage.reset,
        "mean": halves(cells.mean(0, dtype=np.float64)),
        "size": halves(np.sqrt((cells.astype(np.float64) ** 2).mean(0))),
        "rows": None if stage.field is None else compressed(stage.field.rows.astype(np.uint16)),
        "columns": None if stage.field is None else compressed(stage.field.columns.astype(np.uint16)),
        "factors": _factors(stage),
        "cosines": compressed(cosines(stage)) if compared else None,
        "kernel": _kernel(stage, kept),
    }


def kept_channels(stage: Stage, most: int) -> NDArray[np.int64]:
    """Numbers of the channels on the page, ascending: by turns the next in energy and the next in effect."""
    if len(stage.activations) <= most:
        return np.arange(len(stage.activations))
    orders = [stage.order("energy"), *([] if stage.effect is None else [stage.order("effect")])]
    turns = np.stack(orders, 1).ravel()
    kept = list(dict.fromkeys(turns.tolist()))[:most]
    return np.sort(np.array(kept, np.int64))


def channels_that_fit(stages: tuple[Stage, ...], budget: int) -> int:
    """The most channels a layer so that float16 values of all layers take at most `budget` bytes; at least 1."""

    def size(most: int) -> int:
        return sum(2 * min(len(stage.activations), most) * stage.grid[0] * stage.grid[1] for stage in stages)

    return next((most for most in CHANNELS if size(most) <= budget), 1)


def heads_that_fit(stages: tuple[Stage, ...], room: int) -> tuple[int, list[dict[str, Any] | None]]:
    """Attention of every patch, or as far apart as it takes to need at most `room` bytes: how far, and by layer."""
    step = 1
    while sum(_size_of_heads(stage, step) for stage in stages) > ATTENTION and step < FARTHEST:
        step += 1
    heads = [_heads(stage, step) for stage in stages]
    while len(json.dumps(heads)) > room and step < FARTHEST:
        step += 1
        heads = [_heads(stage, step) for stage in stages]
    return step, heads


def queries(stage: Stage, step: int) -> NDArray[np.int64]:
    """Numbers of the tokens whose attention is kept: prefix tokens, then every so many patches in rows and columns."""
    rows, columns = (np.arange(0, length, step) for length in stage.grid)
    patches = (rows[:, None] * stage.grid[1] + columns).ravel()
    prefix = len(stage.prefix)
    tokens: NDArray[np.int64] = np.concatenate([np.arange(prefix), prefix + patches])
    return tokens


def _size_of_heads(stage: Stage, step: int) -> int:
    if stage.heads is None:
        return 0
    heads, _, tokens = stage.heads.weights.shape
    return int(heads * len(queries(stage, step)) * tokens)


def _compared(stages: tuple[Stage, ...], budget: int) -> set[str]:
    """Layers whose cells are compared: the coarsest and deepest first, as long as there is room."""
    names: set[str] = set()
    for stage in sorted(reversed(stages), key=lambda stage: stage.grid[0] * stage.grid[1]):
        cells = stage.grid[0] * stage.grid[1]
        budget -= cells * (cells - 1) // 2
        if not 1 < cells <= CELLS or budget < 0:
            continue
        names.add(stage.name)
    return names


def cosines(stage: Stage) -> NDArray[np.uint8]:
    """Cosines of all pairs of cells i > j, row by row, as steps of 1/127 from -1 (0) to 1 (254)."""
    cells = stage.activations.reshape(len(stage.activations), -1).astype(np.float64)
    lengths = np.linalg.norm(cells, axis=0)
    units = cells / np.where(lengths > 0, lengths, 1)
    below = np.tril_indices(cells.shape[1], -1)
    steps: NDArray[np.uint8] = np.rint((units.T @ units)[below].clip(-1, 1) * 127 + 127).astype(np.uint8)
    return steps


def halves(values: NDArray[Any]) -> dict[str, Any]:
    """Numbers as float16: 11 significant bits, so three digits and more; scaled where they would be too large."""
    size = float(np.abs(values).max(initial=0))
    scale = 1.0 if size <= LARGEST and (size == 0 or size > 1e-2) else size
    coded = (values / scale).astype(np.float16)
    return {"scale": scale, **compressed(coded.view(np.uint16))}


def _factors(stage: Stage) -> dict[str, Any] | None:
    if stage.factors is None:
        return None
    factors = stage.factors
    return {
        "method": factors.method,
        "maps": halves(factors.maps),
        "shares": [float(share) for share in factors.shares],
        "note": factors.note,
        "channels": [np.argsort(-np.abs(vector), kind="stable")[:4].tolist() for vector in factors.vectors],
    }


def _heads(stage: Stage, step: int) -> dict[str, Any] | None:
    """Attention as steps: 255 * sqrt(share / largest), so that small shares keep a digit."""
    if stage.heads is None:
        return None
    kept = stage.heads.weights[:, queries(stage, step)].astype(np.float32)
    largest = float(kept.max()) or 1.0
    steps = np.rint(255 * np.sqrt(kept / largest)).astype(np.uint8)
    return {"count": len(kept), "step": step, "largest": largest, "steps": compressed(steps)}


def _kernel(stage: Stage, kept: NDArray[np.int64]) -> dict[str, Any] | None:
    """The convolution of the pixels, for the channels that are kept."""
    if stage.kernel is None:
        return None
    kernel = stage.kernel
    return {
        "shape": kernel.weight.shape[1:],
        "weight": compressed(kernel.weight[kept]),
        "bias": compressed(kernel.bias[kept]),
        "input": compressed(kernel.input),
        "size": kernel.input.shape[1:],
        "stride": kernel.stride,
        "padding": kernel.padding,
        "dilation": kernel.dilation,
    }


def _nth(step: int) -> str:
    return {2: "second", 3: "third"}.get(step, f"{step}th")
