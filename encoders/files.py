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
    """Give the path of a temporary file beside `path`, which replaces `path` when the block ends without error.

    On an error or Ctrl-C the temporary file is removed and `path` is left unchanged. The folder is
    created if necessary.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # as an ordinary new file; mkstemp makes it private
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
