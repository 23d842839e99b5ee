"""Read arrays from .npz files that anybody may have written: nothing is unpacked before its size is known."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import one_line
from encoders.limits import TooLarge, check_unfolded

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The arrays of these names, and of the optional ones those that are there; no pickle is opened.

    Raises:
        FileNotFoundError: If there is no such file.
        TooLarge: If it would take more memory than `encoders.limits` says.
        ValueError: If it is no such file, is damaged or lacks an array; the message is the reason alone.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            known = set(archive.namelist())
            names = [*names, *(name for name in optional if f"{name}.npy" in known)]
            members = {name: archive.getinfo(f"{name}.npy") for name in names}
            check_unfolded(path, sum(member.file_size for member in members.values()))
            return {name: _array(archive, member) for name, member in members.items()}
    except (FileNotFoundError, TooLarge):
        raise
    except Exception as error:  # of any kind: zip, zlib, the header of an array in Python's syntax
        raise ValueError(one_line(error)) from error


def text_of(values: NDArray[Any]) -> str:
    """The text in an array without axes; numpy's own conversion fails on characters that there are not."""
    if values.dtype.kind != "U" or values.shape:
        raise ValueError(f"its record must be text; got {values.dtype} {values.shape}")
    order = "be" if values.dtype.str.startswith(">") else "le"
    return values.tobytes().decode(f"utf-32-{order}").rstrip("\0")


def names_in_npz(path: str | Path) -> list[str]:
    """Names of the arrays in a file; a ValueError with the reason alone if it is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except zipfile.BadZipFile as error:
        raise ValueError(one_line(error)) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is packed in a way that numpy does not use")
    with archive.open(member) as stream:
        shape, _, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject or min(shape, default=0) < 0:
            raise ValueError(f"{member.filename} must hold numbers or text; got {dtype}")
        if stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename} is not of the size that its header says")
        stream.seek(0)
        values: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return values
