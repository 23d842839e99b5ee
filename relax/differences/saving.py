"""A `Differences` as one .npz file: arrays, the maps of parts as files within it, and a record; no pickle."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.differences.parts import Part
from relax.explanation import Explanation
from relax.npz import read_npz
from relax.records import check_record
from relax.saved import Kind

if TYPE_CHECKING:
    from relax.differences.result import Differences

ARRAYS = ("sample", "nearest", "elsewhere", "scores", "layouts")
NUMBERS = ("near", "far", "chance", "low", "high", "p")
MAPS = ("near", "far", "beyond")
ENTRIES: dict[str, Any] = {
    "encoders": list,
    "root": str,
    "paths": list,
    "names": list,
    "limit": (int, float),
    "groups": list,
    "agreement": dict,
    "settings": dict,
}
KIND = Kind("differences", "a file of Differences.save", ENTRIES)
PART = {"picture": int, "slope": (int, float), "same_frame": bool}


def packed(differences: Differences) -> bytes:
    """The bytes of the file."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(differences, name) for name in ARRAYS}
    groups = []
    for place, group in enumerate(differences.groups):
        arrays |= {f"{place}.members": group.members, f"{place}.joined": group.joined}
        for number, part in enumerate(group.parts):
            for name in MAPS:
                arrays[f"{place}.{number}.{name}"] = np.frombuffer(getattr(part, name).to_bytes(), np.uint8)
        groups.append(
            {
                "name": group.name,
                "side": group.side,
                **{name: _null(getattr(group, name)) for name in NUMBERS},
                "common": [asdict(excess) for excess in group.common],
                "parts": [
                    {
                        "picture": part.picture,
                        "slope": part.slope,
                        "correlation": _null(part.correlation),
                        "same_frame": part.same_frame,
                    }
                    for part in group.parts
                ],
            }
        )
    record = {
        "encoders": differences.encoders,
        "root": str(differences.root),
        "paths": differences.paths,
        "names": differences.names,
        "limit": differences.limit,
        "groups": groups,
        "agreement": {name: value.record() for name, value in differences.agreement.items()},
        "settings": differences.settings,
    }
    return KIND.packed(record, arrays)


def unpacked(path: str | Path) -> dict[str, Any]:
    """The attributes of the `Differences` in a file; errors as of `Differences.load`."""
    with KIND.reading(path) as record:
        arrays = read_npz(path, ARRAYS)
        count = len(record["paths"])
        if arrays["scores"].shape != (2, count) or arrays["nearest"].shape[:2] != (2, count):
            raise ValueError(f"its arrays are not of {count} pictures")
        return {
            **arrays,
            "encoders": tuple(record["encoders"]),
            "root": Path(record["root"]),
            "paths": tuple(record["paths"]),
            "names": tuple(record["names"]),
            "limit": float(record["limit"]),
            "groups": [_group(path, place, group) for place, group in enumerate(record["groups"])],
            "agreement": {
                name: {key: _number(value) for key, value in each.items()} for name, each in record["agreement"].items()
            },
            "settings": record["settings"],
        }


def _group(path: str | Path, place: int, record: dict[str, Any]) -> dict[str, Any]:
    lists = read_npz(path, [f"{place}.members", f"{place}.joined"])
    parts = []
    for number, each in enumerate(record["parts"]):
        check_record(each, PART)
        files = read_npz(path, [f"{place}.{number}.{name}" for name in MAPS])
        maps = [_explanation(files[f"{place}.{number}.{name}"]) for name in MAPS]
        parts.append(
            Part(
                each["picture"],
                maps[0],
                maps[1],
                maps[2],
                each["slope"],
                _number(each["correlation"]),
                each["same_frame"],
            )
        )
    return {
        "name": record["name"],
        "side": record["side"],
        "members": lists[f"{place}.members"],
        "joined": lists[f"{place}.joined"],
        **{name: _number(record[name]) for name in NUMBERS},
        "common": record["common"],
        "parts": tuple(parts),
    }


def _explanation(content: NDArray[np.uint8]) -> Explanation:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz"
        file.write_bytes(content.astype(np.uint8).tobytes())
        return Explanation.load(file)


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
