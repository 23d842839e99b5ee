"""One explanation for a visitor: looks while masks come in, the maps so far after a stop, more masks on request."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from relax.app.asking import Asked
from relax.app.limits import Limits
from relax.app.line import Job
from relax.app.refusals import Refusal
from relax.app.visitors import Visitor
from relax.explanation import Explanation
from relax.maps import map_unit
from relax.method import image_watcher
from relax.notes import collected
from relax.plotting.overlay import overlay
from relax.report.maps import averaged, data_uri, fitted
from relax.run import Interrupted
from relax.scale import doubts
from relax.text import number

EVERY = 128  # masks between two looks at first; see `relax.run`
PAUSE = 0.1  # seconds between two reports of progress
LONGEST = 720  # px of the maps that are shown while masks come in


@dataclass(frozen=True)
class Result:
    """An explanation, and the question that it answers.

    Attributes:
        explanation: The maps.
        asked: The question.
        files: Those made of it so far, by ending, since drawing takes a second.
    """

    explanation: Explanation
    asked: Asked
    files: dict[str, bytes] = field(default_factory=dict)


def explain(visitor: Visitor, question: Asked, earlier: Explanation | None, job: Job) -> None:
    """Explain the picture of a visitor; each look is told, and the last is kept as the visitor's result.

    Args:
        visitor: Gets the result.
        question: What is asked.
        earlier: To which masks are added; None starts anew.
        job: Is told what there is, and says when to stop.
    """
    report = _Progress(job)
    image = question.pictures["image"].source
    with collected() as notes:
        watch = image_watcher(question.encoder, question.settings)
        try:
            for explanation in watch(image, report, EVERY, earlier, LONGEST):
                if "stopped_early" in explanation.provenance:
                    job.tell({"kind": "look", **told(explanation)})
            _keep(visitor, question, explanation)
        except Interrupted as stop:
            _keep(visitor, question, stop.explanation)
        except KeyboardInterrupt:  # before there were two masks: what was there stays
            pass
    result = visitor.result
    if result is None or (result.asked is not question and earlier is None):
        job.end({"kind": "stopped", "words": "stopped before there was a map"})
    else:
        job.end({"kind": "done", **told(result.explanation), "notes": notes})


def with_more(visitor: Visitor, more: Any, limits: Limits) -> tuple[Asked, Explanation]:
    """The question of the visitor's result with `more` masks, and the explanation that they are added to.

    Raises:
        Refusal: If there is none that can be continued, or too many masks are asked for.
    """
    result = visitor.result
    if result is None or result.explanation.scores is None or result.asked.settings.request.method != "relax":
        raise Refusal(409, "there is no map to which masks can be added: only RELAX keeps what it needs for that")
    if any(visitor.pictures.get(role) != picture for role, picture in result.asked.pictures.items()):
        raise Refusal(409, "the pictures have changed since this map was made: explain anew")
    if not isinstance(more, int) or isinstance(more, bool) or more < 1:
        raise Refusal(422, "masks to add must be a whole number, 1 or more")
    masks = len(result.explanation.scores) + more
    if masks > limits.masks:
        raise Refusal(422, f"masks must be {limits.masks:,} or fewer here; this would be {masks:,}")
    settings = result.asked.settings
    settings = replace(settings, estimation=replace(settings.estimation, masks=masks))
    return replace(result.asked, settings=settings), result.explanation


def told(explanation: Explanation) -> dict[str, Any]:
    """What the page shows of an explanation at once, as JSON types."""
    record = explanation.provenance
    early = record.get("stopped_early")
    count = record["masks"]["count"]
    return {
        "masks": count,
        "of": early["of"] if early else count,
        "early": bool(early),
        "error": _error(explanation),
        "words": _words(explanation),
        "doubts": [str(doubt) for doubt in doubts(explanation)],
        "overlay": _overlay(explanation),
        "seconds": record["seconds"],
        "more": explanation.scores is not None and record["method"] == "relax",
    }


def _keep(visitor: Visitor, question: Asked, explanation: Explanation) -> None:
    if visitor.pictures.get("image") == question.pictures["image"]:  # it was not replaced meanwhile
        visitor.result = Result(explanation, question)


def _error(explanation: Explanation) -> dict[str, float] | None:
    """The median and the largest standard error of the importance, in its unit; None where there is none."""
    errors = explanation.standard_error[np.isfinite(explanation.standard_error)]
    return {"median": float(np.median(errors)), "largest": float(errors.max())} if errors.size else None


def _words(explanation: Explanation) -> str:
    values = explanation.importance[np.isfinite(explanation.importance)]
    if not values.size:
        return "no pixel has a value"
    low, high = float(values.min()), float(values.max())
    ends = f"{number(low, high - low)} to {number(high, high - low)}"
    error = _error(explanation)
    if error is None:
        return f"{map_unit(explanation.provenance)} {ends}; this method has no standard error"
    median, largest = number(error["median"]), number(error["largest"])
    return f"{map_unit(explanation.provenance)} {ends}; standard error {median} (median), {largest} (largest)"


def _overlay(explanation: Explanation) -> str:
    """The importance to lay over the picture, as the data URI of a PNG; drawn small, since large ones take seconds."""
    small = averaged(explanation.importance, fitted(explanation.importance.shape, LONGEST)).astype(np.float32)
    stream = io.BytesIO()
    Image.fromarray(overlay(replace(explanation, importance=small))).save(stream, "PNG")
    return data_uri(stream.getvalue(), "image/png")


class _Progress:
    """Tells how far the masks are, not too often, and ends the run as Ctrl-C does when the job was stopped."""

    def __init__(self, job: Job) -> None:
        self.job, self.told = job, 0.0

    def __call__(self, done: int, total: int) -> None:
        if self.job.stopped:
            raise KeyboardInterrupt
        if time.monotonic() - self.told >= PAUSE or done >= total:
            self.told = time.monotonic()
            self.job.tell({"kind": "progress", "done": done, "of": total})
