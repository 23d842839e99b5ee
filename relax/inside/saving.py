"""An `Inside` as one .npz file: arrays by the number of their layer, and a record of what they are; no pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.inside.factors import Factors
from relax.inside.fields import Field
from relax.inside.stage import Heads, Kernel, Stage
from relax.npz import read_npz
from relax.records import check_record, missing_entries
from relax.saved import Kind

MOST_STAGES = 4096
STAGE = {"name": str, "kind": str, "reset": str, "arrays": list}
PAIRS = ("stride", "padding", "dilation")
KIND = Kind("inside", "a file of Inside.save", {"provenance": dict, "stages": list})

Content = tuple[NDArray[np.uint8], NDArray[np.float32], tuple[Stage, ...], dict[str, Any]]
"""View, embedding, layers and provenance, the attributes of `Inside`."""


def packed(
    view: NDArray[np.uint8], embedding: NDArray[np.float32], layers: tuple[Stage, ...], provenance: dict[str, Any]
) -> bytes:
    """The bytes of the file."""
    arrays: dict[str, NDArray[Any]] = {"view": view, "embedding": embedding}
    stages = []
    for place, stage in enumerate(layers):
        own = _arrays(stage)
        arrays |= {f"{place}.{name}": values for name, values in own.items()}
        stages.append({"name": stage.name, "kind": stage.kind, "reset": stage.reset, "arrays": [*own], **_words(stage)})
    return KIND.packed({"provenance": provenance, "stages": stages}, arrays)


def unpacked(path: str | Path) -> Content:
    """What `packed` made; errors as of `Inside.load`."""
    with KIND.reading(path) as record:
        stages = [_checked(stage) for stage in record["stages"][:MOST_STAGES]]
        names = [f"{place}.{name}" for place, stage in enumerate(stages) for name in stage["arrays"]]
        arrays = read_npz(path, ["view", "embedding", *names])
        return (
            _shaped(arrays, "view", (None, None, 3), np.uint8),
            _shaped(arrays, "embedding", (None,)),
            tuple(_stage(stage, _own(arrays, place)) for place, stage in enumerate(stages)),
            record["provenance"],
        )


def _arrays(stage: Stage) -> dict[str, NDArray[Any]]:
    """The arrays of a layer by name."""
    arrays: dict[str, NDArray[Any]] = {"activations": stage.activations, "prefix": stage.prefix}
    if stage.effect is not None:
        arrays["effect"] = stage.effect
    if stage.field is not None:
        arrays |= {"rows": stage.field.rows, "columns": stage.field.columns}
    if stage.factors is not None:
        factors = stage.factors
        arrays |= {"factor_maps": factors.maps, "factor_vectors": factors.vectors, "factor_shares": factors.shares}
    if stage.heads is not None:
        arrays["heads"] = stage.heads.weights
    if stage.kernel is not None:
        arrays |= {"weight": stage.kernel.weight, "bias": stage.kernel.bias, "input": stage.kernel.input}
    return arrays


def _words(stage: Stage) -> dict[str, Any]:
    """What is no array of a layer."""
    factors = {} if stage.factors is None else {"method": stage.factors.method, "note": stage.factors.note}
    kernel = {} if stage.kernel is None else {name: list(getattr(stage.kernel, name)) for name in PAIRS}
    return factors | kernel


def _checked(stage: Any) -> dict[str, Any]:
    check_record(stage, {**STAGE, "method": str, "note": str, **dict.fromkeys(PAIRS, list)}, "stage")
    if missing := missing_entries(stage, STAGE):
        raise ValueError(f"the record of a layer lacks {', '.join(missing)}")
    if not all(isinstance(name, str) for name in stage["arrays"]):
        raise ValueError("the record of a layer must name its arrays")
    record: dict[str, Any] = stage
    return record


def _own(arrays: Mapping[str, NDArray[Any]], place: int) -> dict[str, NDArray[Any]]:
    start = f"{place}."
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}


def _stage(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Stage:
    activations = _shaped(arrays, "activations", (None, None, None))
    channels, rows, columns = activations.shape
    factors = kernel = field = heads = None
    if "factor_maps" in arrays:
        maps = _shaped(arrays, "factor_maps", (None, rows, columns))
        vectors = _shaped(arrays, "factor_vectors", (len(maps), channels))
        shares = _shaped(arrays, "factor_shares", (len(maps),))
        factors = Factors(str(record["method"]), maps, vectors, shares, str(record["note"]))
    if "weight" in arrays:
        weight = _shaped(arrays, "weight", (channels, None, None, None))
        inputs = _shaped(arrays, "input", (weight.shape[1], None, None))
        kernel = Kernel(weight, _shaped(arrays, "bias", (channels,)), inputs, *(_pair(record[name]) for name in PAIRS))
    if "rows" in arrays:
        edges = (
            _shaped(arrays, name, (length, 2), np.int32) for name, length in (("rows", rows), ("columns", columns))
        )
        field = Field(*edges)
    if "heads" in arrays:
        tokens = rows * columns + len(arrays["prefix"])
        heads = Heads(_shaped(arrays, "heads", (None, tokens, tokens), np.float16))
    return Stage(
        record["name"],
        record["kind"],
        activations,
        _shaped(arrays, "prefix", (None, channels)),
        _shaped(arrays, "effect", (channels,)) if "effect" in arrays else None,
        record["reset"],
        field,
        factors,
        heads,
        kernel,
    )


def _pair(values: Sequence[Any]) -> tuple[int, int]:
    rows, columns = map(int, values)
    return rows, columns


def _shaped(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], dtype: Any = np.float32
) -> NDArray[Any]:
    """An array of this shape, None for any length above 0, and this type, in the byte order of this machine."""
    values = arrays[name]
    fits = len(values.shape) == len(shape) and all(
        length == wanted if wanted is not None else True for length, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits or values.dtype.newbyteorder("=") != dtype:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must be {np.dtype(dtype)} ({wanted}); got {values.dtype} {values.shape}")
    return values.astype(dtype, copy=False)
