"""Files that appear whole or not at all, and the endings of image files; `relax.files` hands both on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif")
"""Of the files in a folder that count as images, in lower case."""


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
