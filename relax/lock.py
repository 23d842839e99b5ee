"""One run at a time in a folder that is continued by the next run."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from relax.files import sweep

LOCK, HOLDER = ".relax.lock", ".relax.run"


class InUse(OSError):
    """Another run writes to the folder; the text says which."""


@contextmanager
def sole_run(folder: Path, command: str) -> Iterator[None]:
    """Keep other runs out of a folder, which is created if necessary, while the block runs.

    The lock is one of the operating system, which frees it when the process ends, however it ends. A block may hold it
    twice, as `relax audit` does, which updates an archive. Unfinished files of runs that were killed are removed.

    Args:
        folder: The folder.
        command: What runs, such as "relax index", for the message that others get.

    Raises:
        InUse: If another run holds it.
        OSError: If the folder cannot be created or written to.
    """
    from filelock import FileLock, Timeout  # with asyncio; most commands need none

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0, is_singleton=True)
    if lock.is_locked:
        yield
        return
    try:
        lock.acquire()
    except Timeout:
        raise InUse(
            f"{folder} is in use by {_holder(folder)}: wait until it ends, or name another folder to write to"
        ) from None
    try:
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        about = {"command": command, "process": os.getpid(), "host": socket.gethostname(), "since": since}
        (folder / HOLDER).write_text(json.dumps(about), encoding="utf-8")
        for place in (folder, *(entry for entry in folder.iterdir() if entry.is_dir())):
            sweep(place)
        yield
    finally:  # removed while it is held: whoever opened it before sees, once it is free, that it is gone (filelock 4.3)
        for name in (HOLDER, LOCK):
            with suppress(OSError):  # an open file cannot be removed on Windows
                (folder / name).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as that is known."""
    try:
        about = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return "{command} (process {process} on {host}, since {since})".format(**about)
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
