"""Visitors: what each has brought and made, told apart by a secret, with a folder that is removed when they leave.

A visitor is one open page. Its secret travels in a header, never in an address, so that it stands in no log or history.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from relax.app.limits import Limits
from relax.app.refusals import Refusal
from relax.io.choice import name_within
from relax.io.datasets import Row
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.text import printable

if TYPE_CHECKING:
    from relax.app.explaining import Result
    from relax.app.line import Job
    from relax.scene import Scene

ROLES = {
    "image": "the picture",
    "reference": "the picture to compare with",
    "foil": "the picture to tell it from",
}
_LONGEST = 120  # characters of a file name; its end says what it is, and is kept
_GONE = "this page has been idle for too long, or the app was started again: load it again"


@dataclass(frozen=True)
class Picture:
    """A file of a visitor.

    Attributes:
        path: Where it lies.
        choice: Of a picture in a medical file, such as "frame=3", see `relax.io.choice`; "" is the default one.
        name: What results call it: as `relax explain` does in the folder of the file.
    """

    path: Path
    choice: str
    name: str

    @classmethod
    def at(cls, path: Path, choice: str = "") -> Picture:
        """The picture in a file.

        Raises:
            ImageError: If the choice could be no choice.
        """
        if "#" in choice or "/" in choice:
            raise ImageError(f"the choice of a picture in a file is NAME=VALUE, joined with &; got {choice!r}")
        return cls(path, choice, name_within(path.parent, path.name + _after(choice)))

    @property
    def address(self) -> str:
        """As `relax.io` takes it."""
        return str(self.path) + _after(self.choice)

    @property
    def argument(self) -> str:
        """As the command line takes it, in the folder of the file."""
        return self.path.name + _after(self.choice)

    @property
    def source(self) -> ImageSource:
        """It as `relax.io` reads it, under its name."""
        return cast(ImageSource, Row(self.address, self.name))


def _after(choice: str) -> str:
    return f"#{choice}" if choice else ""


@dataclass
class Visitor:
    """One open page.

    Attributes:
        folder: Of its files.
        pictures: By role.
        result: Its last explanation.
        job: What runs or waits for it.
        scene: The scene that was painted on last, with what it was made for.
        seen: When it last gave a sign of life.
    """

    folder: Path
    pictures: dict[str, Picture] = field(default_factory=dict)
    result: Result | None = None
    job: Job | None = None
    scene: tuple[object, Scene] | None = None
    seen: float = field(default_factory=time.monotonic)
    _numbers: Iterator[int] = field(default_factory=count)

    def room_for(self, name: str) -> Path:
        """A path for a further file, in a folder of its own so that it can keep its name."""
        folder = self.folder / f"file{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder / safe_name(name)

    def take(self, role: str, picture: Picture | None) -> None:
        """Put a picture in a role, or none; the file of the one before is deleted."""
        before = self.pictures.pop(role, None)
        if before is not None and (picture is None or picture.path != before.path):
            shutil.rmtree(before.path.parent, ignore_errors=True)
        if picture is not None:
            self.pictures[role] = picture
        if role == "image":
            self.result = self.scene = None


class Visitors:
    """Those whose page is open.

    Args:
        folder: In which each gets a folder.
        limits: How many, and for how long without a sign of life.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._all: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Visitor]:
        return iter([*self._all.values()])

    def welcome(self) -> str:
        """The secret of a new visitor.

        Raises:
            Refusal: If there are too many.
        """
        self.sweep()
        secret = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._all) >= self.limits.visitors:
                raise Refusal(503, f"{len(self._all)} pages are open, and no more are served at once: try later")
            self._all[secret] = Visitor(self.folder / f"visitor{secrets.token_hex(8)}")
        return secret

    def known(self, secret: str) -> Visitor:
        """The visitor with this secret, who thereby gives a sign of life.

        Raises:
            Refusal: If there is none.
        """
        visitor = self._all.get(secret)
        if visitor is None:
            raise Refusal(410, _GONE)
        visitor.seen = time.monotonic()
        return visitor

    def leave(self, secret: str) -> None:
        """Stop what runs for a visitor, and remove all that there is of it."""
        with self._lock:
            visitor = self._all.pop(secret, None)
        if visitor is None:
            return
        if visitor.job is not None:
            visitor.job.stop()
        visitor.pictures.clear()
        visitor.result = visitor.scene = None
        shutil.rmtree(visitor.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Let go of those that have been silent for too long."""
        now = time.monotonic()
        for secret, visitor in [*self._all.items()]:
            if now - visitor.seen > self.limits.silence:
                self.leave(secret)


def safe_name(text: str) -> str:
    """A file name from what a browser says: no folders, no control characters, of limited length, never empty.

    Nor that of a DICOMDIR, which names further files, and would name those of this machine.
    """
    name = printable(PurePosixPath(text.replace("\\", "/")).name).strip().lstrip(".")
    while len(name) > _LONGEST or len(name.encode()) > 2 * _LONGEST:
        name = name[1:]
    return "picture" if name.upper() in ("", "DICOMDIR") else name
