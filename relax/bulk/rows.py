"""Explanations in the frame of the view as rows of a Parquet table, and back.

A row has the picture's name, the state of its file, its size in pixels, what the encoder saw of it, three maps of
(view_height, view_width) values row by row, the scores of the masks, how it was made, and the further columns of a
manifest. Maps in the frame of the view do not grow with the photograph; `relax.frame.Frame` puts them back into it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relax.bulk.plan import Planned
from relax.explanation import Explanation
from relax.maps import MAPS

VOLATILE = ("seconds", "created", "command", "threads", "versions")  # of a record: what differs from run to run
"""Seconds, date and versions are kept beside the shard; those of the last run, and its command, in the manifest."""


@dataclass(frozen=True)
class PictureMaps:
    """A picture with its maps.

    Attributes:
        picture: Of the plan.
        explanation: Its maps in the frame of the view, with "placed" in the record.
        notes: Warnings that came with it.
    """

    picture: Planned
    explanation: Explanation
    notes: tuple[str, ...] = ()

    @property
    def how(self) -> dict[str, Any]:
        """The record without what differs from run to run."""
        return {name: value for name, value in self.explanation.provenance.items() if name not in VOLATILE}

    @property
    def seconds(self) -> list[Any]:
        """How many it took, and when that was."""
        return [self.explanation.provenance[name] for name in ("seconds", "created")]


def schema_of(numbers: str, columns: pa.Schema) -> pa.Schema:
    """Columns of a shard."""
    values = pa.list_(pa.from_numpy_dtype(np.dtype(numbers)))
    own = [
        *(("name", pa.string()), ("size", pa.int64()), ("modified", pa.int64())),
        *((name, pa.int32()) for name in ("height", "width", "view_height", "view_width")),
        ("seen", pa.list_(pa.float64())),
        *((name, values) for name in MAPS),
        ("scores", pa.list_(pa.float64())),
        ("how", pa.string()),
        ("notes", pa.list_(pa.string())),
    ]
    names = {name for name, _ in own}
    return pa.schema([*own, *(column.with_name(_further(column.name, names)) for column in columns)])


def to_table(explained: Sequence[PictureMaps], numbers: str, columns: pa.Schema) -> pa.Table:
    """Rows of pictures with their maps."""
    schema = schema_of(numbers, columns)
    data: dict[str, Any] = {name: [] for name in schema.names}
    for maps in explained:
        row = _row(maps, numbers)
        row |= {_further(name, set(row)): value for name, value in maps.picture.columns.items()}
        for name, values in data.items():
            values.append(row.get(name))
    return pa.table(data, schema=schema)


def view_maps(row: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """The three maps of a row of a table, (h, w) each, in the frame of the view."""
    shape = row["view_height"], row["view_width"]
    return {name: np.asarray(row[name], np.float32).reshape(shape) for name in MAPS}


def _row(maps: PictureMaps, numbers: str) -> dict[str, Any]:
    explanation, picture = maps.explanation, maps.picture
    placed = explanation.provenance["placed"]
    (height, width), (view_height, view_width) = placed["size"], explanation.importance.shape
    kind = np.dtype(numbers)
    return {
        **{"name": picture.name, "size": picture.size, "modified": picture.modified},
        **{"height": height, "width": width, "view_height": view_height, "view_width": view_width},
        "seen": placed["seen"],
        **{name: getattr(explanation, name).astype(kind).ravel() for name in MAPS},
        "scores": explanation.scores,
        "how": json.dumps(maps.how, ensure_ascii=False),
        "notes": list(maps.notes),
    }


def _further(name: str, own: set[str]) -> str:
    """The column of a manifest under a name that is free."""
    return f"manifest.{name}" if name in own else name
