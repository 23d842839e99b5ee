"""What a user names, as pictures that `read_image` reads: the one entry of every command and function.

    cat.png                      itself
    photos, scans                the pictures in a folder and those below it; DICOM by its content, whatever its name
    scans#series=3               those of one series, by its number, its UID or the name that the error lists
    DICOMDIR                     those that it lists
    us.dcm#frame=all             each frame; of a folder, each frame of each file
    brain.nii.gz#axial=all       each slice of a volume; scans#series=3&axial=all of a DICOM series
    scans#window=40,400          with a choice for each
    biopsy.svs#tiles=biopsy.h5   the tiles of a whole slide that a .h5 lists
    "photos/*/a*.jpg"            the image files that a pattern finds; ** stands for folders below each other
    photos.csv                   those that a table lists (CSV, Parquet, JSON Lines), see `relax.io.manifest`
    photos.tar, s3://bucket/a/   members of a tar and objects of a store, see `relax.io.elsewhere`

Each picture has an address, which stays the same as long as its file does: `us.dcm#frame=3`. What is passed over, and
why, is told by number, and file by file in passed_over.csv.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from glob import glob
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, TypeAlias

from encoders.folders import Listing, image_endings, pair_of
from relax.files import written_aside
from relax.io.choice import ALL, discreet_name, parse, plane_of, split_choice, unparse
from relax.io.elsewhere import (
    MEMBER,
    WILD,
    is_elsewhere,
    is_url,
    names_several_elsewhere,
    opened_elsewhere,
    pictures_elsewhere,
    state_elsewhere,
    tar_of,
    whole_url,
)
from relax.io.errors import ImageError
from relax.io.gathering import Gathered, gathered, sorted_out
from relax.io.manifest import manifest_of, read_manifest
from relax.text import csv_text

Row: TypeAlias = tuple[str, str, str]
"""Name, why and detail of a file that is passed over."""
CANNOT_BE_USED = "cannot be used"
"""Why a picture is left out that is damaged, too large or the like."""
PASSED_OVER = "passed_over.csv"
"""The file of a result that lists what was passed over."""


@dataclass(frozen=True)
class Sources:
    """Pictures by their addresses.

    Attributes:
        root: The folder to which their names are relative.
        pictures: Addresses.
        inventory: What was gathered, and what passed over, from a folder or a DICOMDIR.
        prefix: What precedes the names of objects in a store.
        columns: What else a table says of each picture; None without a table.
    """

    root: Path
    pictures: list[str]
    inventory: Gathered | None = field(default=None, repr=False)
    prefix: str = ""
    columns: Any = field(default=None, repr=False)

    @property
    def failed(self) -> list[tuple[Path, str]]:
        """What cannot be listed, with the reason."""
        return [] if self.inventory is None else self.inventory.listing.failed

    def name(self, address: str) -> str:
        """The address relative to the root, with slashes: the stable name of a picture."""
        if is_url(address):
            return whole_url(address).removeprefix(self.prefix)
        relative = os.path.relpath(address, self.root) if "#" not in address else _relative(address, self.root)
        return Path(relative).as_posix()

    def warn(self, *, failed: bool = True) -> None:
        """Warn of what is passed over, in one line."""
        if self.inventory is not None:
            self.inventory.warn(failed=failed)

    def passed_over(self) -> list[Row]:
        """Name, why and detail of each file that is passed over; a hash for a name that may be a patient's."""
        return [] if self.inventory is None else self.inventory.rows()


def sources_of(named: str | Path, *, recursive: bool = True, leave_out: Path | None = None) -> Sources:
    """The pictures that a user names; none is read, but headers of DICOM are.

    Args:
        named: A file, a folder, or either with a choice, as the module's first lines show.
        recursive: Whether a folder counts with those below it.
        leave_out: A folder to skip.

    Raises:
        ImageError: If the choice is malformed, there is no such series or several and none is named, or the volume of
            which slices are named cannot be opened.
    """
    address = os.fspath(named)
    if (listed := _listed(address)) is not None:
        return listed
    path, kind, choice = split_choice(address)
    if kind is None and not path.is_dir():
        return Sources(path.parent, [address])
    try:
        values = parse(choice, kind or "series")
        if kind in ("dicom", "nifti", "slide"):
            return Sources(path.parent, _of_file(path, kind, values, address))
        inventory = gathered(path, values.get("series"), recursive=recursive, leave_out=leave_out)
        return Sources(inventory.folder, _of_folder(path, inventory, values), inventory)
    except ImageError as error:
        raise ImageError(f"{discreet_name(address)}: {error}") from error.__cause__


def of_files(files: Sequence[Path], folder: Path, choice: str) -> tuple[list[list[str]], Sources]:
    """The addresses of the pictures of each file, and all of them with what is passed over.

    Args:
        files: Their paths, or addresses, which stay as they are.
        folder: That in which they lie, for the names of those that are passed over.
        choice: As in an address, such as "frame=all" or "".

    Raises:
        ImageError: If the choice is malformed.
    """
    values = parse(choice, "series")
    pictures, entries, passed = sorted_out(file for file in files if not split_choice(str(file))[2])
    inventory = Gathered(folder, pictures, entries, passed, Listing(folder))
    kept = {name: value for name, value in values.items() if name not in ("series", "frame")}
    listed = set(pictures)
    addresses = [
        _of_listed(file, inventory, values, kept) if file in listed else [str(file)] * bool(split_choice(str(file))[2])
        for file in files
    ]
    return addresses, Sources(folder, [address for several in addresses for address in several], inventory)


def names_several(source: object) -> bool:
    """Whether it names a folder, a DICOMDIR, or all frames or slices of a file, and so may be several pictures."""
    if not isinstance(source, str | os.PathLike):
        return False
    address = os.fspath(source)
    if not isinstance(address, str) or "\0" in address:
        return False
    if names_several_elsewhere(address) or manifest_of(address) is not None or _is_pattern(address):
        return True
    if is_elsewhere(address):
        return False
    path, kind, choice = split_choice(address)
    if kind is None:
        return os.path.isdir(path)
    try:
        values = parse(choice, kind)
    except ImageError:  # raised again when it is read
        return False
    plane = plane_of(values)
    return ALL in values.values() or "tiles" in values or (kind == "series" and plane is None)


def files_of(address: str | Path) -> list[Path]:
    """The files that hold a picture: one, two of a pair, or those of a series.

    Raises:
        ImageError: If there is no such series.
    """
    if (tar := tar_of(os.fspath(address))) is not None:
        return [tar[0]]
    path, kind, choice = split_choice(os.fspath(address))
    if kind == "series":
        from relax.io.volumes.opening import files_at

        return files_at(path, kind, parse(choice, kind).get("series"))
    other = pair_of(path) if kind == "nifti" else None
    return [path] if other is None else [path, other]


def state_of(address: str | Path) -> tuple[int | None, int | None]:
    """Bytes of the files of a picture, and when one of them was last changed, in nanoseconds.

    None where that is not known, as of objects in a store.

    Raises:
        ImageError, OSError: If there are none, or they cannot be read.
    """
    if is_elsewhere(os.fspath(address)):
        return state_elsewhere(os.fspath(address))
    states = [file.stat() for file in files_of(address)]
    return sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def digest_of(address: str | Path) -> str:
    """SHA-256 of the file of a picture, or of those of its files.

    Raises:
        ImageError, OSError: As for `state_of`.
    """
    if is_url(os.fspath(address)):
        with opened_elsewhere(os.fspath(address)) as stream:
            digest = sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    digests = [_digest(file, *_state(file)) for file in files_of(address)]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _state(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=4096)
def _digest(file: Path, size: int, modified: int) -> str:
    """Of a file in this state: several pictures may lie in it."""
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def unusable(address: str | Path, error: object) -> Row:
    """The row of a picture that cannot be used, with the reason; a hash for a name that may be a patient's."""
    name = discreet_name(os.fspath(address))
    return name, CANNOT_BE_USED, " ".join(str(error).removeprefix(f"{name}: ").split())


def write_passed_over(folder: Path, rows: Iterable[Row], name: str = PASSED_OVER) -> Path | None:
    """Write what was passed over as a CSV: file, why, detail; where there is nothing, an earlier one is removed.

    Returns:
        Its path; None if there is nothing.
    """
    path, rows = folder / name, list(rows)
    if not rows:
        path.unlink(missing_ok=True)
        return None
    with written_aside(path) as aside:
        aside.write_text(csv_text([("file", "why", "detail"), *rows]), encoding="utf-8", newline="")
    return path


def _listed(address: str) -> Sources | None:
    """What a table, a tar, a store or a pattern lists; None for anything else."""
    if (table := manifest_of(address)) is not None:
        addresses, columns = read_manifest(*table)
        return Sources(Path(os.path.abspath(table[0].parent)), addresses, columns=columns)
    if names_several_elsewhere(address):
        prefix, addresses = pictures_elsewhere(address)
        return Sources(Path(prefix) if is_url(address) else Path(address).parent, addresses, prefix=prefix)
    if is_elsewhere(address):
        return Sources(Path(address.partition(MEMBER)[0]).parent, [address], prefix=address[: address.rfind("/") + 1])
    if _is_pattern(address):
        files = [path for path in sorted(glob(address, recursive=True)) if os.path.isfile(path)]
        fixed = Path(WILD.split(address)[0] + "x").parent  # the folder before the first wild card
        return Sources(fixed, [path for path in files if path.lower().endswith(image_endings())])
    return None


def _is_pattern(address: str) -> bool:
    return WILD.search(address) is not None and not is_url(address) and not os.path.lexists(split_choice(address)[0])


def _of_file(path: Path, kind: str, values: dict[str, Any], address: str) -> list[str]:
    """The frames, slices or tiles of a file that are named, or what was named itself."""
    if values.get("frame") == ALL:
        from relax.io.dicom.inventory import entry_of

        return _frames(path, entry_of(path).frames, values)
    if "tiles" in values:
        from relax.io.tiles import tile_addresses

        return tile_addresses(path, values)
    plane = plane_of(values)
    return _slices(path, kind, values, plane) if plane and values[plane] == ALL else [address]


def _of_folder(path: Path, inventory: Gathered, values: dict[str, Any]) -> list[str]:
    plane = plane_of(values)
    kept = {name: value for name, value in values.items() if name not in ("series", "frame")}
    if plane and inventory.entries:
        return _slices(path, "series", values, plane) if values[plane] == ALL else [f"{path}#{unparse(values)}"]
    return [address for file in inventory.files for address in _of_listed(file, inventory, values, kept)]


def _of_listed(file: Path, inventory: Gathered, values: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """The pictures of one file of a folder; `kept` is what is chosen of those that can have it."""
    if (entry := inventory.entries.get(file)) is not None:
        several = values.get("frame") == ALL and entry.frames > 1
        return _frames(file, entry.frames, kept) if several else [_with_choice(file, kept)]
    if kept and split_choice(str(file))[1] == "nifti":
        return _of_file(file, "nifti", kept, _with_choice(file, kept))
    return [str(file)]


def _frames(file: Path, count: int, values: dict[str, Any]) -> list[str]:
    """The address of each frame; that of the file where there is one."""
    others = {name: value for name, value in values.items() if name != "frame"}
    if count == 1:
        return [_with_choice(file, others)]
    return [_with_choice(file, {"frame": frame, **others}) for frame in range(1, count + 1)]


def _slices(path: Path, kind: str, values: dict[str, Any], plane: str) -> list[str]:
    """The address of each slice of a volume."""
    from relax.io.volumes.opening import volume_at

    count = volume_at(path, kind, {name: value for name, value in values.items() if name != plane}).count(plane)
    return [f"{path}#{unparse({**values, plane: number})}" for number in range(count)]


def _with_choice(file: Path, values: dict[str, Any]) -> str:
    return f"{file}#{unparse(values)}" if values else str(file)


def _relative(address: str, root: Path) -> str:
    if (tar := tar_of(address)) is not None:
        return f"{os.path.relpath(tar[0], root)}{MEMBER}{tar[1]}"
    path, kind, choice = split_choice(address)
    relative = os.path.relpath(path, root)
    return relative if kind is None or not choice else f"{'' if relative == '.' else relative}#{choice}"
