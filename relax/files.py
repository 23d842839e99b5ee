"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to; rename it to `path` when the block ends well.

    On an error or Ctrl-C the temporary file is removed and what was at `path` stays. The folder is
    made if need be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o666 & ~mask)  # as an ordinary new file; mkstemp makes it private
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


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
