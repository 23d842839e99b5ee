"""What is refused before torch is loaded, which takes seconds: specs of no encoder, and paths of nothing.

Nothing is read here. What passes may still be refused by what reads it, in the same words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from encoders.places import check_spec
from masking.tables import FILLS
from relax.cli.console import SOME_FAILED, UsageError, complain
from relax.cli.options import encoder_specs
from relax.io.choice import discreet_name, split_choice
from relax.io.elsewhere import is_elsewhere
from relax.io.errors import ImageError
from relax.io.sources import names_several
from relax.text import PROMPT

NO_FILE = "no such file"
NO_FILE_OR_FOLDER = "no such file or folder"
NO_ARCHIVE = "{0} holds no archive: run relax index DIR --out {0}"
FOLDERS = {  # parameters of commands that name pictures, a folder, an archive or a table, as people call them
    "archive": "ARCHIVE",
    "concepts": "CONCEPTS",
    "folder": "DIR",
    "images": "DIR",
    "pictures": "PICTURES",
    "backgrounds": "--backgrounds",
    "concept": "--concept",
    "corpus": "--corpus",
    "embedding_of": "--embedding-of",
    "foil": "--foil",
    "marks": "--marks",
    "metadata": "--metadata",
    "neighbours": "--neighbours",
    "random": "--random",
    "real": "--real",
    "reference": "--reference",
    "spectrum": "--spectrum",
    "strange": "--strange",
    "truth": "--truth",
}


def check_early(values: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse an encoder spec that cannot be one, and further pictures, folders and files that are not there.

    Args:
        values: Of the command's own parameters by name; those of encoders are "encoder" and "encoders".
        options: Of those that it shares with others.

    Raises:
        UsageError: Names the spec, or the path.
    """
    specs = [values.get("encoder"), *encoder_specs(values.get("encoders") or "")]
    several = len(specs) > 2  # where the others are used, and the one whose network is not there is named
    for spec in specs:
        if isinstance(spec, str):
            try:
                check_spec(spec, networks=not several)
            except ValueError as error:
                raise UsageError(str(error)) from None
    for name in ("reference", "foil"):
        named = [source for source in options.get(name) or [] if not source.startswith(PROMPT)]
        for path in absent(named):
            raise UsageError(f"{discreet_name(path)}: {NO_FILE}")
    for name, called in FOLDERS.items():
        value = values.get(name)
        check_named(called, *(value if isinstance(value, list) and name == "concept" else [value]))
    for name, file in FILES.items():
        value = options.get(name)
        if isinstance(value, str) and not file(value):
            raise UsageError(f"--{name} {discreet_name(value)}: {NO_FILE}")
    fill = options.get("fill")
    if isinstance(fill, str) and fill not in FILLS and absent([fill]):
        raise no_fill(f"{fill}: {NO_FILE}")


def check_named(called: str, *named: object) -> None:
    """Refuse what a parameter names if it is not there; what is neither text nor a path names nothing.

    Args:
        called: The parameter, as people call it.
        named: Files, folders, tables, archives, or several pictures at once.

    Raises:
        UsageError: Names both.
    """
    paths = [os.fspath(each) for each in named if isinstance(each, str | os.PathLike)]
    for path in absent([path for path in paths if not path.startswith(PROMPT)]):
        shown = discreet_name(path)
        raise UsageError(NO_ARCHIVE.format(shown) if called == "ARCHIVE" else f"{called} {shown}: {NO_FILE_OR_FOLDER}")


def no_fill(reason: object) -> UsageError:
    """The error for a fill that is nothing, with what reading it as an image said."""
    words = ", ".join(FILLS)
    return UsageError(f"--fill must be {words}, a number, three numbers r,g,b or the path of an image; got {reason}")


def absent(addresses: Sequence[str]) -> list[str]:
    """Those whose file or folder is not there."""
    return [address for address in addresses if not _exists(address)]


def all_absent(images: Sequence[str]) -> int | None:
    """The exit code where none of the pictures is there, each of which is reported; None where one is."""
    if len(absent(images)) < len(images):
        return None
    for image in images:
        complain(f"{discreet_name(image)}: {NO_FILE}")
    if len(images) > 1:
        complain(f"{len(images)} of {len(images)} images failed; see above")
    return SOME_FAILED


def check_there(*images: str) -> None:
    """Refuse the first picture that is not there.

    Raises:
        ImageError: Names it.
    """
    for image in absent(images):
        raise ImageError(f"{discreet_name(image)}: {NO_FILE}")


def _exists(address: str) -> bool:
    """Whether it may be there: patterns are not looked up, nor what lies in a store."""
    path, kind, _ = split_choice(address)
    if kind is not None or os.path.lexists(path) or is_elsewhere(address) or names_several(address):
        return True
    return os.path.lexists(_before_choice(address))


def _before_choice(address: str) -> str:
    """The file of FILE#CHOICE, of whatever kind, with ~ written out."""
    return os.path.expanduser(address.rpartition("#")[0] or address)


def _head_there(address: str) -> bool:
    stem = os.path.expanduser(address)
    return address == "network" or any(os.path.lexists(stem + ending) for ending in ("", ".json", ".safetensors"))


def _region_there(address: str) -> bool:
    return bool(_BOX.fullmatch(address)) or _exists(address)


_BOX = re.compile(r"[-+\d.eE,\s]+")  # left, top, right, bottom, right or wrong
FILES: dict[str, Callable[[str], bool]] = {"head": _head_there, "within": _region_there, "direction": _exists}
