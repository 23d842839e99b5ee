"""What people can say about a picture, as numbers: measures of its pixels, and columns of a table.

width, height     pixels
brightness        mean of the brightness (Finley, HSP colour model), in [0, 1]
contrast          standard deviation of the luma, in [0, 0.5]
entropy           of the luma, in bits, at most 8
sharpness         standard deviation of the Laplacian of the luma
colour            99th percentile of the largest difference between two channels: 0 is grey
red, green, blue  how far the mean of the channel lies above that of all three: the tint

A column of a table is a number, or a yes-or-no number for each of its values, such as "site = A"; scores of concepts
come in as columns, too. Columns of more than twelve names, or of one value, say nothing about kinds of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relax.auditing.metadata import read_metadata
from relax.auditing.predictability import MAX_GROUPS, Value
from relax.auditing.quality import FINLEY, LUMA, SIDE, measures_of
from relax.io.choice import name_within
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.small import shrunk

Progress = Callable[[int, int], None]
OF_QUALITY = ("width", "height", "entropy", "sharpness", "colour")
CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class Features:
    """Numbers about N pictures.

    Attributes:
        names: F names.
        values: (N, F) float64, NaN where unknown.
        left_out: Columns of the table that could not be used.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"values must be (N, {len(self.names)}), a column per name; got {self.values.shape}")

    def beside(self, other: Features) -> Features:
        """The features of both, of the same pictures."""
        both = np.hstack([self.values, other.values])
        return Features((*self.names, *other.names), both, (*self.left_out, *other.left_out))


def measured_features(paths: Sequence[str], progress: Progress | None = None) -> Features:
    """The measures of each picture at no more than 256 px; NaN for one that cannot be read any more."""
    rows = []
    for place, path in enumerate(paths, 1):
        try:
            rows.append(_measures(path))
        except ImageError:
            rows.append({})
        if progress is not None:
            progress(place, len(paths))
    names = next((list(row) for row in rows if row), [])
    return Features(tuple(names), np.array([[row.get(name, np.nan) for name in names] for row in rows]))


def table_features(file: str | Path, root: Path, paths: Sequence[str], but: str = "") -> Features:
    """The columns of a table with a column `path` relative to the root, but for one of this name.

    Raises:
        FileNotFoundError: If there is no such table.
        ValueError: If it cannot be used, or names none of the pictures.
    """
    columns = read_metadata(file).of(paths, [name_within(root, path) for path in paths]).columns
    return column_features({name: values for name, values in columns.items() if name != but})


def column_features(columns: Mapping[str, Sequence[Value]]) -> Features:
    """Columns of values as numbers; a column of names as one number, 0 or 1, for each name."""
    names: list[str] = []
    values: list[list[float]] = []
    left_out: list[str] = []
    for name, column in columns.items():
        known = {value for value in column if value is not None}
        if len(known) < 2 or (not _numeric(known) and len(known) > MAX_GROUPS):
            left_out.append(name)
        elif _numeric(known):
            names.append(name)
            values.append([np.nan if value is None else float(value) for value in column])
        else:
            for kind in sorted(known, key=str):
                names.append(f"{name} = {kind}")
                values.append([np.nan if value is None else float(value == kind) for value in column])
    count = len(next(iter(columns.values()), []))
    return Features(tuple(names), np.array(values, np.float64).reshape(len(names), count).T, tuple(left_out))


def _numeric(values: Iterable[Value]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _measures(path: str) -> dict[str, float]:
    pixels = read_image(path, channels=3)
    colours = shrunk(pixels, SIDE)[0].permute(1, 2, 0).double().numpy()
    means = colours.mean((0, 1))
    of_quality = measures_of(pixels)
    return {
        **{name: of_quality[name] for name in OF_QUALITY},
        "brightness": float(np.sqrt(colours**2 @ FINLEY).mean()),
        "contrast": float((colours @ LUMA).std()),
        **dict(zip(CHANNELS, (means - means.mean()).tolist(), strict=True)),
    }
