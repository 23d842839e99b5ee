"""The pictures in a folder, of one series in it, or of a DICOMDIR, and what is passed over, and why.

Files count by their ending, and DICOM by its content, whatever it is called. Of DICOM, pictures of the patient count:
not reports, segmentations and the like, not scouts unless their series is named, and no picture twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.folders import DICOM, Listing, ending_of, hashed, image_endings, is_dicom, is_usual, looks_like_dicom
from relax.io.choice import name_within
from relax.io.errors import ImageError

if TYPE_CHECKING:  # an extra comes with it, and folders without DICOM need none
    from relax.io.dicom.inventory import Entry

NO_PICTURE, DUPLICATE, LOCALISER = "no picture", "duplicate", "localiser"
OTHER, NO_FILE = "of another ending", "no file"


@dataclass(frozen=True)
class PassedOver:
    """A file that is not read.

    Attributes:
        file: Its path.
        why: `NO_PICTURE`, `DUPLICATE`, `LOCALISER`, `OTHER` or `NO_FILE`.
        detail: Such as what it is; no identifiers.
    """

    file: Path = field(repr=False)
    why: str
    detail: str = ""


@dataclass
class Gathered:
    """Files of pictures, and what lies beside them.

    Attributes:
        folder: The folder, to which names are relative.
        files: Those of pictures, in the order of their names.
        entries: Of those that are DICOM and can be read.
        passed_over: The others.
        listing: As the folder was walked.
        missing: How many more files a DICOMDIR lists.
    """

    folder: Path
    files: list[Path]
    entries: dict[Path, Entry]
    passed_over: list[PassedOver]
    listing: Listing
    missing: int = 0

    @property
    def discreet(self) -> bool:
        """Whether names of files may be those of patients, since DICOM lies here."""
        return bool(self.entries) or any(map(is_dicom, [*self.files, *(item.file for item in self.passed_over)]))

    def warn(self, *, failed: bool = True) -> None:
        """Warn of what is passed over, in one line."""
        counts = Counter((item.why, item.detail) for item in self.passed_over if item.why not in (OTHER, NO_FILE))
        also = [f"{count} {_in_words(why, detail, count)}" for (why, detail), count in counts.most_common()]
        also += [f"{self.missing} that the DICOMDIR lists and that are not there"] if self.missing else []
        self.listing.warn(failed=failed, discreet=bool(self.entries), also=also)

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, why and detail of each file that is passed over; a hash for a name that may be a patient's."""
        discreet = self.discreet
        return [(_name(item, self.folder, discreet), item.why, _detail(item, discreet)) for item in self.passed_over]


def gathered(
    path: Path,
    series: str | None = None,
    *,
    recursive: bool = True,
    leave_out: Path | None = None,
) -> Gathered:
    """The pictures of a folder or of a DICOMDIR.

    Args:
        path: The folder, with those below it, or the DICOMDIR.
        series: Number, UID or name (`relax.io.dicom.inventory.Entry.series_name`) of the only series that counts.
        recursive: Whether to include folders below it.
        leave_out: A folder to skip.

    Raises:
        ImageError: If there is no such series, or several, with a list of those that there are; or the DICOMDIR is
            damaged.
    """
    missing = 0
    if path.is_dir():
        listing = Listing(path).walk(recursive=recursive, leave_out=leave_out)
        files = sorted(listing.images)
    else:
        from relax.io.dicom.dicomdir import listed_files

        listing = Listing(path.parent)
        files, missing = listed_files(path)
        listing.images = files
    passed = [PassedOver(file, OTHER, _ending(file)) for file in listing.passed]
    passed += [PassedOver(file, NO_FILE, what) for file, what in listing.special]
    pictures, entries, others = sorted_out(files, series)
    return Gathered(listing.folder, pictures, entries, [*passed, *others], listing, missing)


def sorted_out(
    files: Iterable[Path], series: str | None = None
) -> tuple[list[Path], dict[Path, Entry], list[PassedOver]]:
    """Pictures, the entries of those that are DICOM, and what is none."""
    others: list[Path] = []
    entries: list[Entry] = []
    passed: list[PassedOver] = []
    seen: set[str] = set()
    for file in files:
        entry = _entry(file)
        if entry is None:
            others.append(file)
        elif entry.no_picture:
            passed.append(PassedOver(file, NO_PICTURE, entry.no_picture))
        elif entry.instance and entry.instance in seen:
            passed.append(PassedOver(file, DUPLICATE, "of another file with the same SOPInstanceUID"))
        else:
            seen.add(entry.instance)
            entries.append(entry)
    if series is not None:
        from relax.io.dicom.inventory import named_series

        entries, others = named_series(entries, series), []
        passed = [item for item in passed if item.why != NO_PICTURE]
    scouts_only = series is not None and all(entry.localiser for entry in entries)
    kept = entries if scouts_only else [entry for entry in entries if not entry.localiser]
    passed += [PassedOver(entry.file, LOCALISER) for entry in entries if entry.localiser and not scouts_only]
    by_file = {entry.file: entry for entry in kept}
    return sorted([*others, *by_file]), by_file, passed


def _entry(file: Path) -> Entry | None:
    """The entry of a DICOM file; None for other files, and for what cannot be read, which is told when it is."""
    if ".dcm" not in image_endings() or not looks_like_dicom(file):
        return None
    from relax.io.dicom.inventory import entry_of

    try:
        return entry_of(file)
    except (ImageError, OSError):
        return None


def _in_words(why: str, detail: str, count: int) -> str:
    if why == NO_PICTURE:
        return f"no picture ({detail})"
    return f"{why}s" if count > 1 else why


def _name(item: PassedOver, folder: Path, discreet: bool) -> str:
    """The path in the folder; a hash of it, or of the file, where it may tell the patient."""
    path = item.file.relative_to(folder).as_posix() if item.file.is_relative_to(folder) else item.file.name
    path = path.encode(errors="backslashreplace").decode()
    if item.why in (OTHER, NO_FILE):
        return f"file-{hashed(str(item.file.relative_to(folder)))}" if discreet else path
    return name_within(folder, path)


def _detail(item: PassedOver, discreet: bool) -> str:
    """What a file is; an ending that may be a patient's name is left out."""
    return "" if discreet and item.why == OTHER and not is_usual(item.detail) else item.detail


def _ending(file: Path) -> str:
    return DICOM if looks_like_dicom(file) else ending_of(file)
