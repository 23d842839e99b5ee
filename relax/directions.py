"""A direction as the question: how far an embedding reaches along a vector, one unit, concept or component.

array or tensor (D,)                  a vector
"concept.npy", "pca.npy#row=0"        a vector, or a row or column of a table
"probe.npz#weight&row=3"              an array of the file, of which a row: a linear head's weight for class 3
"sae.safetensors#W_enc&column=1207"   a tensor of the file, of which a column: a unit of a sparse autoencoder

The score is the projection on the vector scaled to length 1, in the unit of the embedding, neither clamped nor shifted:
a unit's input before its bias and activation function is that projection times the vector's length, which the record
keeps. Only the row or column is read of .npy and .safetensors files; no pickle is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from encoders.errors import did_you_mean, one_line
from encoders.values import described, unreadable
from relax.npz import names_in_npz, read_npz

DirectionSource: TypeAlias = "NDArray[Any] | Tensor | str | os.PathLike[str] | None"
FORMS = ".npy, .npz#NAME or .safetensors#NAME, with &row=K or &column=K of a table"
LONGEST = 2**20  # numbers of an embedding


@dataclass(frozen=True)
class Direction:
    """A vector to project embeddings on.

    Attributes:
        name: In captions.
        vector: (D,) float64, of any length but 0.
    """

    name: str
    vector: Tensor

    def record(self) -> dict[str, Any]:
        """What it was, as JSON types: its name, length and digest."""
        values = self.vector.cpu().numpy()
        return {
            "named": self.name,
            "length": float(f"{float(self.vector.norm()):.9g}"),
            "sha256": sha256(values.tobytes()).hexdigest(),
        }


def read_direction(source: Any) -> Direction:
    """The direction that a caller gives, as at the top of this module.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no vector of finite numbers that are not all 0, or cannot be read; the message begins with
            "direction".
    """
    if isinstance(source, np.ndarray | Tensor):
        name, values = f"direction of {' x '.join(map(str, source.shape))} numbers", real_numbers(source, "direction")
    elif isinstance(source, str | os.PathLike):
        name, values = f"direction {Path(source).name}", real_numbers(_read(os.fspath(source)), "direction")
    else:
        raise ValueError(f"direction must be a vector (D,) or a file, {FORMS}; got {described(source)}")
    if values.ndim != 1 or not 0 < len(values) <= LONGEST:
        raise ValueError(
            f"direction must be one vector (D,), at most {LONGEST:,} numbers; got {tuple(values.shape)}"
            + (": choose a row=K or column=K of it" if values.ndim == 2 else "")
        )
    vector = values.double()
    if not vector.isfinite().all():
        raise ValueError(
            f"direction must be finite; {int((~vector.isfinite()).sum())} of {len(vector)} numbers are not"
        )
    if not vector.any():
        raise ValueError(f"direction must not be all zeros; got {len(vector)} zeros, which point nowhere")
    return Direction(name, vector)


def real_numbers(vectors: Tensor | NDArray[Any], argument: str) -> Tensor:
    """Embeddings as a tensor of real numbers, of floats where numpy has wider ones than torch."""
    if isinstance(vectors, np.ndarray):
        if vectors.dtype.kind not in "fiub" or isinstance(vectors, np.ma.MaskedArray):
            raise ValueError(f"{argument} must be real numbers; got {described(vectors)}")
        return torch.from_numpy(np.array(vectors, np.float64 if vectors.dtype == np.longdouble else None))
    if reason := unreadable(vectors):
        raise ValueError(f"{argument} must be real numbers; got {reason}")
    vectors = vectors.detach()
    return vectors.float() if vectors.is_floating_point() and vectors.itemsize == 1 else vectors


@dataclass(frozen=True)
class _Choice:
    """What of a file is chosen: the name of an array, and a row (axis 0) or column (axis 1) of it."""

    array: str | None = None
    axis: int | None = None
    index: int = 0

    def of(self, table: Any, shape: tuple[int, ...]) -> Any:
        """The row or column, or all of it."""
        if self.axis is None:
            return table[:]
        if len(shape) != 2 or self.index >= shape[self.axis]:
            kind = ("row", "column")[self.axis]
            raise ValueError(f"{kind} {self.index} of an array {shape}: there is none")
        return table[self.index] if self.axis == 0 else table[:, self.index]


def _read(address: str) -> Any:
    path, choice = _split(address)
    kind = path.suffix.lower()
    if kind not in (".npy", ".npz", ".safetensors"):
        raise ValueError(f"direction must be a file {FORMS}; got {address!r}")
    if not path.is_file():
        raise FileNotFoundError(f"direction {address}: there is no file {path}")
    try:
        return {".npy": _of_npy, ".npz": _of_npz, ".safetensors": _of_safetensors}[kind](path, choice)
    except Exception as error:  # of any kind, from files that anybody may have written
        raise ValueError(f"direction {address} cannot be read: {one_line(error)}") from error


def _split(address: str) -> tuple[Path, _Choice]:
    """The file, and what is chosen of it after the last #."""
    path, _, text = address.rpartition("#")
    if not path or os.path.exists(address):
        return Path(address), _Choice()
    chosen: dict[str, Any] = {}
    for part in text.split("&"):
        kind, equals, number = part.partition("=")
        if equals and kind in ("row", "column"):
            if not number.isdecimal() or "axis" in chosen:
                raise ValueError(f"direction {address}: {kind} must be one whole number, 0 or more; got {part!r}")
            chosen |= {"axis": ("row", "column").index(kind), "index": int(number)}
        else:
            chosen["array"] = part
    return Path(path), _Choice(**chosen)


def _of_npy(path: Path, choice: _Choice) -> Any:
    if choice.array is not None:
        raise ValueError(f"an .npy file holds one array; got the name {choice.array!r}")
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.array(choice.of(table, table.shape))


def _of_npz(path: Path, choice: _Choice) -> Any:
    name = _named(choice.array, names_in_npz(path))
    table = read_npz(path, [name])[name]
    return choice.of(table, table.shape)


def _of_safetensors(path: Path, choice: _Choice) -> Any:
    with safe_open(path, framework="pt") as file:
        table = file.get_slice(_named(choice.array, list(file.keys())))
        return choice.of(table, tuple(table.get_shape()))


def _named(name: str | None, known: list[str]) -> str:
    """The name of the array; without one the only one."""
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return str(name)
    listed = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
    if name is None:
        raise ValueError(f"it holds {len(known)} arrays, so say which after #: {listed}")
    raise ValueError(f"it has no array {name!r}: {did_you_mean(name, known, f'it has {listed}')}")
