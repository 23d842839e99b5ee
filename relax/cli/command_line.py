"""The command line, as it was typed and as results hold it: without what tells who a patient is."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from relax.io.choice import discreet_name, medical_files, tells_patient
from relax.text import printable, shortened

HIDDEN = "…"
LONGEST = 2000  # characters that results hold
FIRST = 20  # arguments beside options that they hold
FILES = 10  # whose patients are looked for in the arguments


def typed() -> str:
    """The command as it was given, for a shell."""
    return shlex.join(["relax", *sys.argv[1:]])


def recorded(arguments: Sequence[str]) -> str | None:
    """The command with these arguments, for a result that others see; None of the app, which others ask.

    Of DICOM a path that tells one of the file's identifiers is a hash, as in all that is written (see
    `relax.io.medical`), and any other argument that tells one is left out. Of many pictures the first ones stand there.
    """
    if "serve" in arguments[:1]:
        return None
    kept, more = _shortened(arguments)
    files = _files(kept)
    words = [_shown(argument, files) for argument in kept]
    return printable(shortened(shlex.join(["relax", *words]) + (f" {HIDDEN} and {more} more" if more else ""), LONGEST))


def _shortened(arguments: Sequence[str]) -> tuple[list[str], int]:
    """The first arguments, with all options and their values; and how many are left out."""
    before = ("", *arguments)
    kept = [
        argument
        for number, argument in enumerate(arguments)
        if number < FIRST or argument.startswith("-") or before[number].startswith("-")
    ]
    return kept, len(arguments) - len(kept)


def _files(arguments: Sequence[str]) -> list[Path]:
    """DICOM files at the arguments, the first of each folder."""
    files: dict[Path, Path] = {}
    for file in _all_files(arguments):
        files.setdefault(file.parent, file)
        if len(files) == FILES:
            break
    return list(files.values())


def _all_files(arguments: Sequence[str]) -> Iterator[Path]:
    for argument in arguments:
        yield from medical_files(_apart(argument)[1])


def _shown(argument: str, files: Sequence[Path]) -> str:
    option, value = _apart(argument)
    name = discreet_name(value) if os.path.lexists(value.rpartition("#")[0] or value) else value
    return option + (HIDDEN if tells_patient(name, files) else name)


def _apart(argument: str) -> tuple[str, str]:
    """An option with its equals sign, and its value; of any other argument nothing, and the whole."""
    option, sign, value = argument.partition("=")
    return (option + sign, value) if sign and option.startswith("--") else ("", argument)
