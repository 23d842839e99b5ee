"""Write files atomically: they appear whole or not at all; and the names of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from encoders.files import IMAGE_ENDINGS as IMAGE_ENDINGS
from encoders.files import written_aside as written_aside


def write_files(target: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write several files that differ in their ending, each atomically.

    Args:
        target: Their common path, without the endings.
        contents: Bytes of each file, by ending.

    Returns:
        Paths of the files, in the order of `contents`.

    Raises:
        OSError: If one cannot be written.
    """
    paths = []
    for ending, content in contents.items():
        paths.append(with_ending(target, ending))
        with written_aside(paths[-1]) as temporary:
            temporary.write_bytes(content)
    return paths


def with_ending(target: Path, ending: str) -> Path:
    """The path with an ending appended to its name; `with_suffix` would turn "cat.v2" into "cat"."""
    return target.with_name(target.name + ending)


def file_names(paths: Sequence[Path]) -> str:
    """Files of one folder for a message, with the folder named once."""
    return ", ".join([str(paths[0]), *(path.name for path in paths[1:])]) if paths else "nothing"
