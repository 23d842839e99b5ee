"""Pictures that are no files of their own here: members of a tar, such as those of WebDataset, and objects in a store.

    photos.tar#member=cats/tom.jpg      a member; nothing is unpacked, and its place in the tar is looked up once
    s3://bucket/cats/tom.jpg            an object, read by fsspec; memory:// and file:// need nothing further

They are image files (PNG, JPEG, ...) alone: DICOM and NIfTI, whose readers want a file, are passed over.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from encoders.errors import one_line
from encoders.folders import ALWAYS
from relax.io.errors import ImageError
from relax.io.limits import check_bytes

MEMBER = "#member="
STORES = ("file", "memory", "s3", "gs", "gcs", "az", "abfs", "abfss", "http", "https", "hf")
"""Protocols of fsspec that are opened: none of those that run what they read, or lead to others."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")
_PATH = re.compile(rf"({'|'.join(STORES)}):/(?!/)")  # what a Path makes of a URL
WILD = re.compile(r"[*?\[]")


def is_url(address: str) -> bool:
    """Whether it names an object, or several, in a store."""
    return _URL.match(address) is not None or _PATH.match(address) is not None


def whole_url(address: str) -> str:
    """A URL with the slashes that a Path took from it; any other address as it is."""
    return _PATH.sub(lambda match: f"{match[1]}:///" if match[1] == "file" else f"{match[1]}://", address, count=1)


def absolute(address: str | Path) -> str:
    """The address of a picture, a folder or a URL for whoever is in another folder."""
    text = os.fspath(address)
    return whole_url(text) if is_url(text) else os.path.abspath(text)


def tar_of(address: str) -> tuple[Path, str] | None:
    """The tar and the name of the member in it; None for any other address."""
    front, separator, member = address.partition(MEMBER)
    return (Path(front), member) if separator and os.path.isfile(front) else None


def is_elsewhere(address: str) -> bool:
    """Whether it names a picture that is no file of its own here."""
    return is_url(address) or tar_of(address) is not None


def opened_elsewhere(address: str) -> IO[bytes]:
    """The bytes of a picture.

    Raises:
        ImageError: If there is no such picture, or it would take too much memory.
        ImportError: If fsspec needs a further package for its store.
    """
    if (place := tar_of(address)) is not None:
        return _member(*place)
    store, path = _store(address)
    try:
        size = store.size(path)
        if size is not None:
            check_bytes(size, "the object")
        with store.open(path, "rb") as file:
            content = file.read()
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("no such object") from None
    except Exception as error:  # of any kind that a store may raise
        raise ImageError(f"cannot be read: {one_line(error)}") from None
    return io.BytesIO(content)


def state_elsewhere(address: str) -> tuple[int | None, int | None]:
    """Bytes of a picture, and when its tar was last changed, in nanoseconds; None where that is not known.

    Raises:
        ImageError, OSError: If there is no such picture.
    """
    if (place := tar_of(address)) is not None:
        state = place[0].stat()
        return _place(*place)[1], state.st_mtime_ns
    store, path = _store(address)
    try:
        return store.size(path), None
    except FileNotFoundError:
        raise ImageError("no such object") from None


def names_several_elsewhere(address: str) -> bool:
    """Whether it is a tar, or a URL of a folder or a pattern: of anything but one picture."""
    if is_url(address):
        return not address.lower().endswith(ALWAYS) or WILD.search(address) is not None
    return address.lower().endswith(".tar") and os.path.isfile(address)


def pictures_elsewhere(address: str) -> tuple[str, list[str]]:
    """What precedes the names of the pictures in a tar, or below a URL or a pattern of URLs, and their addresses.

    Raises:
        ImageError: If it cannot be listed.
        ImportError: As for `opened_elsewhere`.
    """
    if not is_url(address):
        members = _members(Path(address), *_state(Path(address)))
        return address, [f"{address}{MEMBER}{name}" for name in members if name.lower().endswith(ALWAYS)]
    address = whole_url(address)
    store, path = _store(address)
    try:
        paths = store.glob(path) if WILD.search(path) else store.find(path)
    except Exception as error:  # of any kind that a store may raise
        raise ImageError(f"{address}: cannot be listed: {one_line(error)}") from None
    protocol = address.partition("://")[0]
    fixed = WILD.split(address)[0]
    prefix = fixed[: fixed.rfind("/") + 1] if fixed != address else address.rstrip("/") + "/"
    names = (name if protocol == "file" else name.lstrip("/") for name in paths)
    return prefix, sorted(f"{protocol}://{name}" for name in names if name.lower().endswith(ALWAYS))


def _member(tar: Path, name: str) -> IO[bytes]:
    offset, size = _place(tar, name)
    check_bytes(size, "the member")
    with tar.open("rb") as file:
        file.seek(offset)
        return io.BytesIO(file.read(size))


def _place(tar: Path, name: str) -> tuple[int, int]:
    """Where a member begins, and its bytes."""
    try:
        return _members(tar, *_state(tar))[name]
    except KeyError:
        raise ImageError("the tar has no such member") from None


@lru_cache(maxsize=16)
def _members(tar: Path, size: int, modified: int) -> dict[str, tuple[int, int]]:
    """Of a tar in this state of its file: where each file in it begins, and its bytes, in their order."""
    try:
        with tarfile.open(tar, "r:") as archive:  # not packed: a place in it can be gone to
            return {member.name: (member.offset_data, member.size) for member in archive if member.isreg()}
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ImageError(f"{tar}: is no tar, or a packed or damaged one ({one_line(error)})") from None


def _state(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def _store(address: str) -> tuple[Any, str]:
    """The store of a URL, and the path in it."""
    import fsspec

    address = whole_url(address)
    protocol = address.partition("://")[0]
    if protocol not in STORES or "::" in address:
        raise ImageError(f"{address}: pictures are read from {', '.join(f'{name}://' for name in STORES)}")
    try:
        store, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise ImportError(f"{protocol}:// needs a further package: {one_line(error)}") from None
    except Exception as error:  # of any kind that a store may raise
        raise ImageError(f"{address}: cannot be opened: {one_line(error)}") from None
    return store, str(path)
