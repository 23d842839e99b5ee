"""Embedded tiles as HDF5 in the layout of TRIDENT, which most tools of the field write and read.

    features   (N, D) float32; also read as (1, N, D), and in half precision
    coords     (N, 2) x and y of the upper left corners in pixels of level 0, with the attributes patch_size,
               patch_size_level0, level0_magnification, target_magnification, overlap, name, level0_width, level0_height

Files of this project hold besides, as the attribute "relax" of the file, how they were made, as JSON. Files of CLAM,
whose attributes are patch_size and downsample, are read as well.

Source: TRIDENT (Zhang et al., 2025, arXiv 2502.06750) and CLAM (Lu et al., 2021), as their files are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import one_line
from encoders.limits import TooLarge, check_unfolded
from relax.files import written_aside
from relax.records import check_record, read_json
from relax.slides.extra import pathology_extra
from relax.slides.tiles import SlideTiles
from relax.text import printable

with pathology_extra():
    import h5py

FORMAT = 1
ROWS = 4096  # of features that are copied at once
_FILTERS = {1: "deflate", 2: "shuffle", 3: "checksum", 32000: "LZF"}  # numbers of HDF5
_RECORD = {"format": int, "slide": dict, "encoder": {"name": str}, "tiles": dict, "tissue": dict}


def read_tiles(path: str | Path, *, span: int | None = None) -> SlideTiles:
    """The embedded tiles of a slide: what `embed_slide` wrote, or a `.h5` of TRIDENT or CLAM.

    Args:
        path: The file.
        span: Side of a tile in pixels of level 0, for files that do not say it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, is damaged, would take more memory than `encoders.limits` says, or does not
            say how large its tiles are.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    try:
        with h5py.File(path, "r") as file:
            features, coords = (_dataset(file, name) for name in ("features", "coords"))
            about = {**_plain(file.attrs), **_plain(features.attrs), **_plain(coords.attrs)}
            record = read_json(about.pop("relax")) if isinstance(about.get("relax"), str) else {"attributes": about}
            check_record(record, _RECORD)
            shape = features.shape[1:] if features.ndim == 3 and features.shape[0] == 1 else features.shape
            check_unfolded(path, 4 * math.prod(shape) + 8 * math.prod(coords.shape))
            corners = np.asarray(coords[()]).reshape(-1, coords.shape[-1])[:, :2]
            values = np.empty(shape, np.float32)
            features.read_direct(values.reshape(features.shape))
        if not np.array_equal(corners, corners.astype(np.int64)):
            raise ValueError("its coords are no whole pixels")
        width, height = (about.get(f"level0_{side}") for side in ("width", "height"))
        size = (int(width), int(height)) if width and height and min(width, height) > 0 else None
        side = span or _span(about)
        name = str(record.get("slide", {}).get("name") or about.get("name") or path.stem)
        return SlideTiles(printable(name), values, corners.astype(np.int64), side, size, record)
    except TooLarge as error:
        raise TooLarge(f"{path} {error}") from None
    except Exception as error:  # of any kind: a damaged file makes h5py raise almost anything
        raise ValueError(f"{path} holds no embedded tiles: {one_line(error, 200)}") from error


def write_tiles(
    path: str | Path,
    parts: Iterable[NDArray[np.float32]],
    shape: tuple[int, int],
    corners: NDArray[np.int64],
    attributes: Mapping[str, Any],
    record: Mapping[str, Any],
) -> Path:
    """Write embedded tiles; the file appears whole or not at all.

    Args:
        path: Of the file.
        parts: The rows of the features, in order, in any number of pieces.
        shape: (N, D).
        corners: (N, 2) in pixels of level 0.
        attributes: Of the coords, as TRIDENT names them.
        record: How they were made, as JSON types.
    """
    with written_aside(path) as aside, h5py.File(aside, "w", locking=False) as file:
        file.attrs["relax"] = json.dumps({"format": FORMAT, **record})
        features = file.create_dataset("features", shape, np.float32, chunks=(min(shape[0], 256), shape[1]))
        start = 0
        for part in parts:
            features[start : start + len(part)] = part
            start += len(part)
        if start != shape[0]:
            raise ValueError(f"there are features of {start} tiles, and corners of {shape[0]}")
        coords = file.create_dataset("coords", data=corners)
        for name, value in attributes.items():
            coords.attrs[name] = value
    return Path(path)


def _dataset(file: Any, name: str) -> Any:
    """A dataset of plain numbers that lies in this very file."""
    link = file.get(name, getlink=True)
    if link is None:
        raise ValueError(f"it lacks {name}; it holds {', '.join(list(file)[:8]) or 'nothing'}")
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise ValueError(f"its {name} are no numbers in the file itself")
    filters = dataset.id.get_create_plist()
    for number in range(filters.get_nfilters()):
        if filters.get_filter(number)[0] not in _FILTERS:
            raise ValueError(f"its {name} are packed by a plug-in, which is not loaded: write them with gzip")
    dimensions = (2, 3)
    if dataset.dtype.kind not in "fiu" or dataset.ndim not in dimensions or 0 in dataset.shape:
        raise ValueError(f"its {name} must be numbers (N, D); got {dataset.dtype} {dataset.shape}")
    return dataset


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON types; what is neither text nor a number is left out."""
    values = {}
    for name, value in attributes.items():
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        if isinstance(value, str | int | float | bool):
            values[str(name)] = value
    return values


def _span(about: Mapping[str, Any]) -> int:
    """Side of a tile in pixels of level 0, by what its file says."""
    size = about.get("patch_size")
    ways: list[Callable[[], Any]] = [
        lambda: about["patch_size_level0"],
        lambda: size * about["level0_magnification"] / about["target_magnification"],
        lambda: size * about["downsample"],
        lambda: {0: size}[about["patch_level"]],
    ]
    for way in ways:
        try:
            if math.isfinite(value := float(way())) and value >= 1:
                return round(value)
        except (KeyError, TypeError, ZeroDivisionError, ValueError):
            continue
    raise ValueError(
        "it does not say how large its tiles are: give --tile-span (in Python span=), in pixels of level 0"
    )
