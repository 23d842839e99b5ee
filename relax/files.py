"""Files that appear whole or not at all, and names of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from encoders.files import IMAGE_ENDINGS as IMAGE_ENDINGS
from encoders.files import written_aside as written_aside


def write_files(target: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write several files of one name, each whole.

    Args:
        target: What they are called, without their endings.
        contents: By ending.

    Returns:
        Their paths.

    Raises:
        OSError: If one cannot be written.
    """
    paths = []
    for ending, content in contents.items():
        paths.append(with_ending(target, ending))
        with written_aside(paths[-1]) as aside:
            aside.write_bytes(content)
    return paths


def with_ending(target: Path, ending: str) -> Path:
    """The path with an ending after its whole name; `with_suffix` would cut "cat.v2"."""
    return target.with_name(target.name + ending)


def file_names(paths: Sequence[Path]) -> str:
    """Files of one folder, for a message: the folder once."""
    return ", ".join([str(paths[0]), *(path.name for path in paths[1:])]) if paths else "nothing"
