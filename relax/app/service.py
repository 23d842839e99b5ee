"""What the app does, apart from HTTP: its encoders, its visitors, its line, and what each request comes to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from encoders import Encoder
from relax.app import asking, saving
from relax.app.explaining import explain, with_more
from relax.app.limits import Limits
from relax.app.line import Job, Line, Tell
from relax.app.painting import painted
from relax.app.refusals import Refusal, in_words
from relax.app.visitors import ROLES, Picture, Visitor, Visitors
from relax.explanation import Explanation
from relax.io.choice import split_choice
from relax.io.errors import ImageError
from relax.io.images import read_with_record
from relax.notes import heeded
from relax.report.maps import jpeg
from relax.report.notebook import viewer_page

PREVIEW = 960  # px of a picture as the page shows it


class Service:
    """The app; to be used as a context, at whose end nothing of a visitor is left on the disk.

    Args:
        encoders: Specs and encoders that are served, the first by default.
        execution: How encoders are run: keywords of `relax.explain`.
        limits: Of masks, visitors and line.
        debug: Print the tracebacks of errors.
    """

    def __init__(
        self,
        encoders: Sequence[tuple[str, Encoder]],
        execution: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        *,
        debug: bool = False,
    ) -> None:
        self.encoders, self.execution = list(encoders), dict(execution or {})
        self.limits, self.debug = limits or Limits(), debug
        self.folder = Path(tempfile.mkdtemp(prefix="relax-serve-"))  # readable by its owner only
        self.visitors = Visitors(self.folder, self.limits)
        self.line = Line(self.limits.at_once)
        self._open = ExitStack()

    def __enter__(self) -> Service:
        self._open.enter_context(heeded())
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self.line.close()
        self._open.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop whatever runs or waits."""
        for visitor in self.visitors:
            if visitor.job is not None:
                visitor.job.stop()

    def choices(self) -> dict[str, Any]:
        """What the page offers."""
        offered = asking.choices([spec for spec, _ in self.encoders], self.limits)
        return {**offered, "files": [*saving.OFFERED], "roles": ROLES}

    def look_at(self, visitor: Visitor, role: str, path: Path) -> dict[str, Any]:
        """Read a file that came in, take it as the visitor's picture, and tell what the page shows of it.

        Raises:
            ImageError: If it is no picture, or one that is too large; it is deleted then.
        """
        try:
            return self._taken(visitor, role, Picture.at(path))
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise

    def choose(self, visitor: Visitor, role: str, choice: str) -> dict[str, Any]:
        """As `look_at`, for another picture in the file that is there; a wrong choice changes nothing."""
        if role not in visitor.pictures:
            raise Refusal(409, "there is no picture yet: drop one in, or take an example")
        return self._taken(visitor, role, Picture.at(visitor.pictures[role].path, choice))

    def _taken(self, visitor: Visitor, role: str, picture: Picture) -> dict[str, Any]:
        pixels, record = read_with_record(picture.source, channels=3)
        if visitor.job is not None and role == "image":
            visitor.job.stop()
        visitor.take(role, picture)
        height, width = pixels.shape[-2:]
        shown = (pixels[0] * 255).round().byte().permute(1, 2, 0).numpy()
        return {
            "name": picture.name,
            "width": width,
            "height": height,
            "shown": jpeg(shown, PREVIEW),
            "read": "; ".join(f"{name}: {value}" for name, value in record.items()),
            "choice": picture.choice,
            "choices": split_choice(picture.address)[1] is not None,
        }

    def take_example(self, visitor: Visitor, role: str, name: str) -> dict[str, Any]:
        """As `look_at`, for one of the examples."""
        if name not in asking.EXAMPLES:
            raise ImageError(f"example must be one of {', '.join(asking.EXAMPLES)}")
        path = visitor.room_for(name)
        asking.example(name, path)
        return self.look_at(visitor, role, path)

    def start(self, visitor: Visitor, form: Mapping[str, Any], tell: Tell) -> Job:
        """Explain the visitor's picture as the form says, or add masks to the last result; events go to `tell`.

        Raises:
            Refusal: If something runs already, or there is nothing to explain.
            ValueError: If the form holds something impossible.
        """
        if visitor.job is not None and not visitor.job.over:
            raise Refusal(409, "an explanation of this page runs already: stop it first")
        if "more" in form:
            question, earlier = with_more(visitor, form["more"], self.limits)
        else:
            question, earlier = self._asked(visitor, form), None
        job = Job(partial(self._work, visitor, question, earlier), tell)
        visitor.job = job
        self.line.join(job)
        return job

    def paint(self, visitor: Visitor, form: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
        """The similarities of the painted picture, under the encoder, fill and seed of a form."""
        kept = {name: form[name] for name in ("encoder", "fill", "seed", "regions") if name in form}
        return painted(visitor, self._asked(visitor, kept), layer)

    def viewer(self, visitor: Visitor) -> str:
        """The interactive viewer of the last result, as a page of its own."""
        return viewer_page(self._result(visitor).explanation)

    def file(self, visitor: Visitor, ending: str) -> tuple[str, bytes]:
        """A file of the last result: its name and bytes."""
        return saving.saved(self._result(visitor), ending)

    def lines(self, visitor: Visitor) -> dict[str, str]:
        """The command and the lines of Python that make the last result."""
        return saving.lines(self._result(visitor))

    def words(self, error: BaseException) -> str:
        """An error in words for a visitor."""
        return in_words(error, str(self.folder), debug=self.debug)

    def _work(self, visitor: Visitor, question: asking.Asked, earlier: Explanation | None, job: Job) -> None:
        try:
            explain(visitor, question, earlier, job)
        except Exception as error:  # of any kind: the others must be served on
            job.end({"kind": "failed", "words": self.words(error)})

    def _asked(self, visitor: Visitor, form: Mapping[str, Any]) -> asking.Asked:
        if "image" not in visitor.pictures:
            raise Refusal(409, "there is no picture yet: drop one in, or take an example")
        return asking.asked(form, visitor.pictures, self.encoders, self.execution, self.limits)

    def _result(self, visitor: Visitor) -> Any:
        if visitor.result is None:
            raise Refusal(409, "there is no map yet")
        return visitor.result
