"""The images in a folder: one list of endings for every command, and a word about what is passed over.

Where a folder holds DICOM, any path in it may name a patient, and a word about it shows a hash instead.
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ALWAYS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".gif"),
    *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"),
)
BY_EXTRA = {  # what each extra of the package reads, with the module that it brings
    "heif": {".avif": "PIL.AvifImagePlugin", ".heic": "pillow_heif", ".heif": "pillow_heif", ".hif": "pillow_heif"},
    "medical": {
        ".dcm": "pydicom",
        **dict.fromkeys((".nii", ".nii.gz", ".mgz", ".mgh", ".img", ".img.gz"), "nibabel"),
    },
}
DICOM = "DICOM"  # in place of an ending, of files that are recognised by content
_FIRST_ELEMENTS = tuple(  # of a data set without a preamble: lengths of groups, character set, image type, ids
    group + element
    for group, elements in (
        (b"\x02\0", (b"\0\0", b"\1\0", b"\2\0", b"\x10\0")),
        (b"\x08\0", (b"\0\0", b"\1\0", b"\5\0", b"\x08\0", b"\x16\0", b"\x18\0")),
    )
    for element in elements
)
_NAMED = 10  # files that a warning names
_SHORT = 5  # characters of an ending that is nobody's name
_KINDS: dict[str, Callable[[int], bool]] = {
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


@cache
def image_endings() -> tuple[str, ...]:
    """The endings, in lower case, of the files in a folder that count as images: all that can be read here."""
    return ALWAYS + tuple(
        ending for modules in BY_EXTRA.values() for ending, module in modules.items() if _is_there(module)
    )


def _is_there(module: str) -> bool:
    """Whether it is installed; a plugin of Pillow, which is there in any case, says whether its decoder is, too."""
    if find_spec(module) is None:
        return False
    return not module.startswith("PIL.") or bool(import_module(module).SUPPORTED)


@dataclass
class Listing:
    """The images below a folder, by their ending; names that begin with a dot are skipped, links to folders too.

    Attributes:
        folder: The folder.
        endings: Of the files that are listed, in lower case.
        images: Their paths, in the order in which they are met.
        failed: What cannot be listed, with the reason.
        special: What has such an ending and is no file, such as a pipe, which nobody may open, with what it is.
        others: How many files have another ending, by ending.
        passed: The paths of those.
    """

    folder: Path
    endings: tuple[str, ...] = field(default_factory=image_endings)
    images: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    special: list[tuple[Path, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    passed: list[Path] = field(default_factory=list)

    def walk(self, root: Path | None = None, *, recursive: bool = True, leave_out: Path | None = None) -> Listing:
        """Add the images below `root`, None being the folder itself, but not those in the folder `leave_out`."""

        def fail(error: OSError) -> None:
            self.failed.append((Path(error.filename), f"cannot be listed: {error.strerror}"))

        for folder, folders, names in os.walk(root or self.folder, onerror=fail):
            directory = Path(folder)
            kept = [name for name in folders if not name.startswith(".") and directory / name != leave_out]
            folders[:] = sorted(kept) if recursive else []
            for name in sorted(names):
                if not name.startswith("."):
                    self._add(directory / name)
        return self

    def _add(self, path: Path) -> None:
        name = path.name.lower()
        if name.endswith((".hdr", ".hdr.gz")) and pair_of(path):
            return  # the header of an image
        by_ending = name.endswith(self.endings) and not (name.endswith((".img", ".img.gz")) and not pair_of(path))
        by_content = not by_ending and looks_like_dicom(path)
        if not by_ending and not (by_content and ".dcm" in self.endings):
            self.others[DICOM if by_content else ending_of(path)] += 1
            self.passed.append(path)
            return
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.special.append((path, "a link to itself"))
            else:
                self.failed.append((path, f"cannot be read: {error.strerror}"))
            return
        if stat.S_ISREG(mode):
            self.images.append(path)
        else:
            self.special.append((path, next((kind for kind, test in _KINDS.items() if test(mode)), "no file")))

    def warn(self, *, failed: bool = True, discreet: bool = False, also: Sequence[str] = ()) -> None:
        """Warn of what is passed over: by name what is no file, and by ending how many files are no images here.

        Args:
            failed: Whether to name what cannot be listed, too; where it is told otherwise, it need not be.
            discreet: Whether names may be those of patients though no DICOM lies here.
            also: What else is passed over, and of how many files, in words.
        """
        named = [*self.special, *(self.failed if failed else [])]
        if not named and not self.others and not also:
            return
        discreet = discreet or any(map(is_dicom, [*self.images, *(path for path, _ in named)]))
        paths = [str(path.relative_to(self.folder)) for path, _ in named[:_NAMED]]
        names = [f"file-{hashed(path)}" for path in paths] if discreet else paths
        parts = [f"{name} ({what})" for name, (_, what) in zip(names, named, strict=False)]
        parts += [*([f"{len(named) - _NAMED} more"] if len(named) > _NAMED else []), *also]
        others: Counter[str] = Counter()
        for ending, count in self.others.items():
            others["of other endings" if discreet and not is_usual(ending) else ending] += count
        parts += [f"{count} {ending}{_way_out(ending)}" for ending, count in others.most_common()]
        folder = "a folder" if discreet else self.folder
        warnings.warn(f"{folder}: passed over as no images: {', '.join(parts)}", stacklevel=3)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its ending or by the letters in it."""
    return path.suffix.lower() == ".dcm" or is_signed(path)


def is_signed(path: Path) -> bool:
    """Whether a file begins as DICOM does; TIFFs of slide scanners may have its letters, too."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" and head[:2] not in (b"II", b"MM")


def looks_like_dicom(path: Path) -> bool:
    """Whether a file of any name begins as DICOM does, with or without the preamble."""
    if is_signed(path):
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(4) in _FIRST_ELEMENTS
    except OSError:
        return False


def pair_of(path: Path) -> Path | None:
    """The other file of a NIfTI or Analyze pair, header for image and image for header, if it is there."""
    ending = next(
        (ending for ending in (".hdr.gz", ".img.gz", ".hdr", ".img") if path.name.lower().endswith(ending)), ""
    )
    if not ending:
        return None
    stem, wanted = path.name[: -len(ending)], "img" if ending.startswith(".hdr") else "hdr"
    others = (f"{stem}{case}{packed}" for packed in ("", ".gz") for case in (f".{wanted}", f".{wanted.upper()}"))
    return next((path.with_name(other) for other in others if path.with_name(other).is_file()), None)


def hashed(path: str) -> str:
    """A name for a file that cannot be read, and whose own name is not told: a hash of that."""
    return sha256(os.fsencode(path)).hexdigest()[:12]


def ending_of(path: Path) -> str:
    """The ending of a file in lower case, with what a packed one holds; or that there is none."""
    ending = path.suffix.lower()
    if ending == ".gz":
        ending = Path(path.stem).suffix.lower() + ending
    return ending or "without ending"


def is_usual(ending: str) -> bool:
    """Whether an ending says what a file is, and not, as in CT.1.Quagmire, whose it is."""
    known = (*ALWAYS, *(known for modules in BY_EXTRA.values() for known in modules), "without ending", DICOM)
    return len(ending) <= _SHORT or ending in known


def _way_out(ending: str) -> str:
    extra = next((extra for extra, modules in BY_EXTRA.items() if ending in modules), None)
    extra = "medical" if ending == DICOM else extra
    return f' (to read them: pip install "relax-explainer[{extra}]")' if extra else ""
