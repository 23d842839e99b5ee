"""Files that appear whole or not at all, and JSON; `relax.files` hands these on."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

ASIDE = re.compile(r"\..+\.[a-z0-9_]{8}\.part")
"""Names of files that are not finished."""


class WriteError(OSError):
    """A file cannot be written: the text names it. What was there before is unchanged."""

    def __str__(self) -> str:
        full = self.errno in (ENOSPC, EDQUOT)
        way_out = ": free some space, or write to another disk" if full else ""
        return f"{self.filename} cannot be written ({self.strerror}){way_out}"


def read_json(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: If it is not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextmanager
def writing(path: str | Path, aside: Path | None = None) -> Iterator[None]:
    """Turn errors of the operating system inside into a WriteError about `path`.

    Args:
        path: What is written, as the user knows it.
        aside: Where it is written until it is whole. Errors that name another file are left as they are.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, WriteError) or (aside and error.filename not in (None, str(aside))):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise WriteError(error.errno or 0, reason, str(path)) from error


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Give the path of a temporary file beside `path`, which replaces `path` when the block ends without error.

    On an error or Ctrl-C the temporary file is removed and `path` is left unchanged. The folder is
    created if necessary; unfinished files that killed processes left in it are removed.

    Raises:
        WriteError: If the file cannot be written.
    """
    with written_together([path]) as asides:
        yield asides[0]


@contextmanager
def written_together(paths: Sequence[str | Path]) -> Iterator[list[Path]]:
    """As `written_aside` for several files: all of them are replaced, or none. Only a kill can part them."""
    targets = [Path(path) for path in paths]
    with ExitStack() as stack:
        for folder in {path.parent for path in targets}:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        asides = [stack.enter_context(_aside(path)) for path in targets]
        yield asides
        _replace_all(asides, targets)


def sweep(folder: Path) -> None:
    """Remove the unfinished files in a folder whose process is gone."""
    with suppress(OSError), os.scandir(folder) as entries:
        strays = [Path(entry.path) for entry in entries if ASIDE.fullmatch(entry.name)]
        for stray in strays:
            if not _in_use(stray):
                stray.unlink(missing_ok=True)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A new file beside `path`, locked as long as the block runs, and removed after it."""
    with writing(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with _held(descriptor), writing(path, temporary):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _replace_all(asides: Sequence[Path], targets: Sequence[Path]) -> None:
    """Rename the files; if that fails for one, those before it are put back."""
    umask = os.umask(0)
    os.umask(umask)
    with ExitStack() as stack:
        before = [stack.enter_context(_copy(path)) for path in targets[:-1]]  # the last needs none
        replaced = []
        try:
            for aside, path in zip(asides, targets, strict=True):
                with writing(path):
                    aside.chmod(0o666 & ~umask)  # as an ordinary new file; mkstemp makes it private
                    aside.replace(path)
                replaced.append(path)
        except BaseException:
            for path, copy in zip(replaced, before, strict=False):
                path.unlink() if copy is None else copy.replace(path)
            raise


@contextmanager
def _copy(path: Path) -> Iterator[Path | None]:
    """A copy of a file while the block runs; None if there is no such file."""
    if not path.is_file():
        yield None
        return
    with _aside(path) as copy:
        with writing(path):
            shutil.copy2(path, copy)
        yield copy


if sys.platform == "win32":

    @contextmanager
    def _held(descriptor: int) -> Iterator[None]:
        os.close(descriptor)  # an open file cannot be renamed there
        yield

    def _in_use(path: Path) -> bool:
        return time.time() - path.stat().st_mtime < 24 * 3600
else:

    @contextmanager
    def _held(descriptor: int) -> Iterator[None]:
        """Lock the file; the system undoes it when the process ends, however it ends."""
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def _in_use(path: Path) -> bool:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False
