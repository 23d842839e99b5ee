"""Pictures of units: filters, the pictures of a folder that excite a unit most, pictures made for it; one type for all.

pictures = relax.filters("default")
pictures.pictures, pictures.values        (N, 3, H, W) in [0, 1], and a number for each
pictures.save("filters.npz"); relax.UnitPictures.load("filters.npz")
pictures.plot().savefig("filters.png")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.npz import read_npz
from relax.saved import Kind, Saved

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.figure import Figure

KINDS = ("filters", "exciting", "maximised")
HOW: dict[str, Any] = {
    "kind": str,
    "encoder": {"name": str},
    "asked": str,
    "value": str,
    "said": list,
}
"""Types of the entries that figures read."""
OPTIONAL = ("places", "boxes", "path")
KIND = Kind(
    "pictures of units",
    "a file of UnitPictures.save",
    {"how": dict, "units": list, "names": list},
    optional={"how": HOW},
    key="record",
)


@dataclass(frozen=True)
class UnitPictures(Saved):
    """Pictures, each of a unit.

    Attributes:
        pictures: (N, 3, H, W) float32 in [0, 1].
        values: (N,) float64, of each what `how["value"]` says; NaN where there is none.
        units: (N) which unit each is of, such as "layer4, channel 3".
        names: (N) what each is, such as the name of its file; "" where there is nothing to say.
        how: How they were made, as JSON types: "kind" is "filters", "exciting" or "maximised", "value" says what a
            value is, "said" is what a caption must say, in short phrases.
        places: (N, H, W) bool, where the unit answers at least half as strongly as at its strongest; None where units
            have no places.
        boxes: (N, 4) float64, top, left, bottom, right in pixels: all that moves the value lies inside; NaN where that
            is not known, and None where it is for none.
        path: (N, S) float64, the value at each step of an ascent, NaN after its last; None for all else.
    """

    pictures: NDArray[np.float32]
    values: NDArray[np.float64]
    units: tuple[str, ...]
    names: tuple[str, ...]
    how: dict[str, Any]
    places: NDArray[np.bool_] | None = None
    boxes: NDArray[np.float64] | None = None
    path: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        height, width = self.pictures.shape[2:]
        units = len(dict.fromkeys(self.units))
        words = " · ".join([*map(str, self.how.get("said") or [])][:2])
        return (
            f"UnitPictures ({self.how.get('kind')}): {len(self)} of {units} unit{'s' * (units != 1)}, "
            f"{height} x {width} px, through {(self.how.get('encoder') or {}).get('name')}\n{words}"
        )

    def of(self, unit: str) -> UnitPictures:
        """Those of one unit, by its name in `units`.

        Raises:
            ValueError: If there is none of that name.
        """
        rows = [row for row, name in enumerate(self.units) if name == unit]
        if not rows:
            raise ValueError(f"unit must be one of {', '.join(dict.fromkeys(self.units))}; got {unit!r}")
        kept: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[rows]
            for name in ("pictures", "values", *OPTIONAL)
        }
        units, names = (tuple(texts[row] for row in rows) for texts in (self.units, self.names))
        return UnitPictures(units=units, names=names, how=self.how, **kept)

    def to_bytes(self) -> bytes:
        """All of it, as the bytes of an `.npz` file."""
        arrays = {name: value for name in OPTIONAL if (value := getattr(self, name)) is not None}
        record = {"how": self.how, "units": list(self.units), "names": list(self.names)}
        return KIND.packed(record, {"pictures": self.pictures, "values": self.values, **arrays})

    @classmethod
    def load(cls, path: str | Path) -> UnitPictures:
        """Read what `save` wrote; no pickle is opened.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is none of these, is damaged, would take more memory than `encoders.limits` says, or its
                format is newer than this version reads.
        """
        with KIND.reading(path) as record:
            arrays = _checked(read_npz(path, ("pictures", "values"), OPTIONAL))
            units, names = (_texts(record[key], key, len(arrays["pictures"])) for key in ("units", "names"))
            return cls(units=units, names=names, how=record["how"], **arrays)

    def plot(self, **options: Any) -> Figure:
        """Draw them: a row for each unit, with names and values; very small ones as one mosaic.

        Args:
            options: `crop=True` shows only what lies in `boxes`; `width` in inches and `theme`, as for `relax.figure`.

        Raises:
            ValueError: If there are more than a figure can hold, or an option is impossible.
        """
        from relax.plotting.units import units_figure  # matplotlib takes a while to load

        return units_figure(self, **options)

    def _repr_png_(self) -> bytes:
        """The figure, as notebooks show it."""
        from relax.plotting.drawing import file_of  # matplotlib takes a while to load

        return file_of(self.plot())


class UnitsInterrupted(KeyboardInterrupt):
    """Ctrl-C while pictures were searched or made; a KeyboardInterrupt that keeps what there is.

    In a notebook it is `sys.last_value` afterwards.

    Attributes:
        pictures: Those that there are; their record says "stopped_early": after how much, of how much, of what.
    """

    def __init__(self, pictures: UnitPictures) -> None:
        self.pictures = pictures
        early = pictures.how["stopped_early"]
        super().__init__(f"{early['after']:,} of {early['of']:,} {early['what']} are done; see sys.last_value.pictures")


def _texts(values: Any, key: str, count: int) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) != count or not all(isinstance(text, str) for text in values):
        raise ValueError(f"its {key} must be {count} texts")
    return tuple(values)


def _checked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays in the byte order of this machine; ValueError if they do not belong together."""
    shape = arrays["pictures"].shape
    if len(shape) != 4 or shape[1] != 3 or min(shape) < 1:
        raise ValueError(f"pictures must be (N, 3, H, W); got {shape}")
    count, _, height, width = shape
    path = arrays.get("path")
    steps = path.shape[1] if path is not None and path.ndim == 2 else 0
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "pictures": (np.float32, shape),
        "values": (np.float64, (count,)),
        "places": (np.bool_, (count, height, width)),
        "boxes": (np.float64, (count, 4)),
        "path": (np.float64, (count, steps)),
    }
    checked = {}
    for name, values in arrays.items():
        dtype, wanted = expected[name]
        if values.dtype.newbyteorder("=") != dtype or values.shape != wanted:
            raise ValueError(f"{name} must be {np.dtype(dtype)} {wanted}; got {values.dtype} {values.shape}")
        checked[name] = values.astype(dtype, copy=False)
    if not ((checked["pictures"] >= 0) & (checked["pictures"] <= 1)).all():
        raise ValueError("pictures must be in [0, 1]")
    return checked
