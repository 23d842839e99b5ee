"""A collection as JSON types for the page's script: numbers as compressed arrays, text as compressed JSON."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.report.collection import Collection, Column, Plane
from relax.report.text import plain

GROUP_COLOURS = (  # Okabe & Ito (2008), distinguishable for colour-blind readers; then two more
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000"),
    *("#999999", "#7a5195"),
)
STEPS, NOWHERE = 65534, 65535  # the highest step of a place on a map, and the code of a picture without one
UNKNOWN = 65535  # the code of a picture without a group
MAX_GROUPS = 5000  # names of groups in a column; the rarer ones count as unknown


def packed_collection(collection: Collection) -> dict[str, Any]:
    """Everything but the thumbnails, which are drawn one by one."""
    neighbours, linked = None, None
    if collection.neighbours is not None and collection.similarities is not None:
        neighbours = _neighbours(collection.neighbours, collection.similarities)
    if collection.linked is not None:
        second = collection.linked
        linked = _neighbours(second.neighbours, second.similarities) | {"number": plain(second.number)}
    return {
        "names": _text([plain(name) for name in collection.names]),
        "columns": [_column(column) for column in collection.columns],
        "planes": [_plane(plane) for plane in collection.planes],
        "colour_by": plain(collection.colour_by),
        "neighbours": neighbours,
        "linked": linked,
        "explained": list(map(int, collection.explained)),
        "captions": _text([plain(caption) for caption in collection.captions]) if collection.captions else None,
        "order": plain(collection.order),
        "stack": plain(collection.stack),
        "profile": [plain(name) for name in collection.profile],
        "alike": collection.alike,
        "window": None if collection.window is None else asdict(collection.window),
    }


def _neighbours(pictures: NDArray[np.int64], similarities: NDArray[np.floating]) -> dict[str, Any]:
    return {
        "each": pictures.shape[1],
        "pictures": compressed(pictures.astype(np.uint32)),
        "similarities": compressed(similarities.astype(np.float32)),
    }


def compressed(values: NDArray[Any]) -> dict[str, Any]:
    """An array as text: its type, such as "u2", and its bytes, little-endian and deflated."""
    ordered = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return {"type": values.dtype.str[1:], "data": _deflated(ordered.tobytes())}


def _text(data: Any) -> str:
    return _deflated(json.dumps(data, ensure_ascii=False).encode())


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _plane(plane: Plane) -> dict[str, Any]:
    """Places as steps of one scale for both axes, so that distances keep their proportions."""
    known = np.isfinite(plane.points).all(1)
    points = plane.points[known]
    low = points.min(0) if len(points) else np.zeros(2)
    span = float((points - low).max()) if len(points) else 0.0
    steps = np.full(plane.points.shape, NOWHERE, np.uint16)
    steps[known] = np.rint((points - low) / (span or 1.0) * STEPS)
    return {"name": plain(plane.name), "places": compressed(steps), "known": int(known.sum())}


def _column(column: Column) -> dict[str, Any]:
    shared = {"name": plain(column.name), "about": plain(column.about)}
    if column.is_number:
        values = np.array([np.nan if value is None else float(value) for value in column.values], np.float32)
        return shared | {"kind": "numbers", "values": compressed(values)}
    names = [None if value is None else str(value) for value in column.values]
    kept = [name for name, _ in Counter(name for name in names if name is not None).most_common(MAX_GROUPS)]
    codes = {name: place for place, name in enumerate(kept)}
    values = np.array([UNKNOWN if name is None else codes.get(name, UNKNOWN) for name in names], np.uint16)
    return shared | {"kind": "groups", "labels": _text([plain(name) for name in kept]), "values": compressed(values)}
