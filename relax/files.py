"""Write files atomically: they appear whole or not at all; and the names of several."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from encoders.files import WriteError as WriteError
from encoders.files import sweep as sweep
from encoders.files import writing as writing
from encoders.files import written_aside as written_aside
from encoders.files import written_together as written_together


def write_files(target: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write several files that differ in their ending: all of them, each whole, or none.

    Args:
        target: Their common path, without the endings.
        contents: Bytes of each file, by ending.

    Returns:
        Paths of the files, in the order of `contents`.

    Raises:
        WriteError: If one cannot be written.
    """
    paths = [with_ending(target, ending) for ending in contents]
    with written_together(paths) as asides:
        for aside, content in zip(asides, contents.values(), strict=True):
            aside.write_bytes(content)
    return paths


def with_ending(target: Path, ending: str) -> Path:
    """The path with an ending appended to its name; `with_suffix` would turn "cat.v2" into "cat"."""
    return target.with_name(target.name + ending)


def file_names(paths: Sequence[Path]) -> str:
    """Files for a message, with the folder named where it changes: out/cat.npz, cat.png, ./page.html."""
    first = [str(path) for path in paths[:1]]
    others = [
        path.name if path.parent == before.parent else os.path.join(path.parent, path.name)
        for before, path in pairwise(paths)
    ]
    return ", ".join([*first, *others]) or "nothing"
