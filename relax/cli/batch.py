"""Explain many image files with one encoder: progress, failures, and a table at the end."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from rich.text import Text

from relax.cli.console import MaskProgress, Stopped, complain, plain_table, prefixed, print_table
from relax.cli.outputs import OUTPUTS, Output, targets, write_outputs
from relax.explanation import Explanation
from relax.files import file_names, with_ending
from relax.io.choice import discreet_name
from relax.io.sources import Row, unusable
from relax.method import ExplainImage, image_explainer
from relax.questions.trust import Trust
from relax.run import Interrupted
from relax.scale import doubts
from relax.text import number, shortened

if TYPE_CHECKING:
    from rich.table import Table

    from encoders import Encoder
    from relax.estimators.budget import Progress
    from relax.io.images import ImageSource
    from relax.settings import Settings

LEAST_UNSEEN = 0.005  # share of a picture that a crop hides, of which is told
NAMED = 3  # images about whose maps a doubt is told
AddMasks: TypeAlias = Callable[..., Explanation]  # `continue_file` with the encoder, the settings and a number
Assess: TypeAlias = Callable[..., Trust]  # `relax.assess` with all arguments set but image and progress


@dataclass(frozen=True)
class ExplainedFile:
    """One explained image.

    Attributes:
        image: Its name: its path, or a hash if that identifies the patient.
        files: Those written.
        explanation: The maps.
        notes: Warnings of the library.
    """

    image: str
    files: tuple[Path, ...]
    explanation: Explanation
    notes: tuple[str, ...]


def explain_files(
    images: Sequence[str],
    explain_image: ExplainImage,
    out: Path,
    *,
    add_masks: AddMasks | None = None,
    inputs: Sequence[str | Path] = (),
    outputs: Sequence[Output] = OUTPUTS,
    assess: Assess | None = None,
    quiet: bool,
    debug: bool,
    left_out: list[Row] | None = None,
) -> int:
    """Explain each image on its own; failures are reported on stderr, the other images are done.

    Args:
        images: Paths.
        explain_image: Explains one of them.
        out: The folder to write to.
        add_masks: Explains with further masks, given the path of the earlier files, without their ending.
        inputs: Further files that must not be overwritten.
        outputs: The files of each image.
        assess: Assesses how far a map can be trusted; None = not assessed.
        quiet: No progress and no table.
        debug: Show the traceback of each failure.
        left_out: Takes a row for each image that failed.

    Returns:
        How many images failed.

    Raises:
        Stopped: On Ctrl-C, with the number of images done, and the masks of the one whose maps were written early.
    """
    progress = MaskProgress(len(images), visible=not quiet)
    explained: list[ExplainedFile] = []
    try:
        with progress.bar:
            places = targets(images, out, inputs, [output.ending for output in outputs])
            for image, target in zip(images, places, strict=True):
                progress.start(image)
                explain = explain_image if add_masks is None else partial(add_masks, target)
                try:
                    explained.append(explain_file(image, target, explain, progress, assess, outputs))
                    for note in explained[-1].notes:
                        complain(f"note: {note}")
                except Exception as error:  # of any kind: the other images must still be explained
                    complain(_reason(discreet_name(image), error))
                    if left_out is not None:
                        left_out.append(unusable(image, error))
                    if debug:
                        traceback.print_exc()
                progress.finish()
    except KeyboardInterrupt as stop:
        done = f"{len(explained)} of {len(images)} images are done, in {out}"
        raise Stopped(f"{done}; {_so_far(stop)}" if isinstance(stop, Interrupted) else done) from None
    if explained and not quiet:
        print_table(summary(explained), *_doubts(explained), *_cropped(explained))
    failed = len(images) - len(explained)
    if failed and len(images) > 1:
        complain(f"{failed} of {len(images)} images failed; see above")
    return failed


def continue_file(
    encoder: Encoder, settings: Settings, more: int, target: Path, image: ImageSource, progress: Progress | None = None
) -> Explanation:
    """Explain one image with `more` masks than the earlier result has, whose masks are not embedded again.

    Args:
        encoder: As for `relax.explain`.
        settings: Those of the earlier result.
        more: How many masks.
        target: The path of the earlier files, without their ending.
        image: Path of the image.
        progress: Updated after every batch.

    Raises:
        ValueError: If there is no earlier result, or it cannot be continued, with the reason.
        Otherwise as `relax.explain`.
    """
    path = with_ending(target, ".npz")
    try:
        earlier = Explanation.load(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there: --more adds masks to an earlier result; leave it out first") from None
    masks = more if earlier.scores is None else len(earlier.scores) + more
    settings = replace(settings, estimation=replace(settings.estimation, masks=masks))
    try:
        return image_explainer(encoder, settings)(image, progress, earlier)
    except ValueError as error:
        if not str(error).startswith("earlier "):
            raise
        raise ValueError(f"{path} {str(error).removeprefix('earlier ')}") from None


def explain_file(
    image: str,
    target: Path,
    explain_image: ExplainImage,
    progress: MaskProgress | None = None,
    assess: Assess | None = None,
    outputs: Sequence[Output] = OUTPUTS,
) -> ExplainedFile:
    """Explain one image and write its outputs beside each other.

    Args:
        image: Path of the image.
        target: The path of the files, without their endings.
        explain_image: Explains it.
        progress: Updated after every batch.
        assess: As for `explain_files`.
        outputs: Which files to write.

    Raises:
        ImageError, EncoderError, ValueError, OSError: As for `relax.explain`, or if a file cannot be written.
        Interrupted: On Ctrl-C, after the outputs of the masks so far were written.
    """
    explanation: Explanation | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            explanation = explain_image(image, progress.masks if progress else None)
            if assess is not None:
                trust = assess(image, progress=progress.additional() if progress else None)
                explanation = trust.beside(explanation)
        except KeyboardInterrupt as stop:
            if explanation is None and isinstance(stop, Interrupted):
                explanation = stop.explanation
            if explanation is None or _surpassed(explanation, target):
                raise KeyboardInterrupt from None
            write_outputs(explanation, target, outputs)
            raise Interrupted([explanation]) from None
    files = tuple(write_outputs(explanation, target, outputs))
    return ExplainedFile(
        discreet_name(image), files, explanation, tuple(dict.fromkeys(str(warning.message) for warning in caught))
    )


def summary(rows: Sequence[ExplainedFile]) -> Table:
    """One line per image: files written, number of masks, error and time."""
    table = plain_table(["image", "written"], ["masks", "median standard error", "seconds"])
    for row in rows:
        record, errors = row.explanation.provenance, row.explanation.standard_error
        errors = errors[np.isfinite(errors)]
        table.add_row(
            _cell(row.image, 400),
            _cell(file_names(row.files), 1000),
            f"{record['masks']['count']:,}",
            number(float(np.median(errors))) if errors.size else "undefined",
            f"{record['seconds']:.1f}",
        )
    return table


def _doubts(rows: Sequence[ExplainedFile]) -> list[str]:
    """A line for each of the first images whose map may say little, and one for the number of the others."""
    doubtful = [(row.image, reasons) for row in rows if (reasons := doubts(row.explanation))]
    lines = [f"{shortened(image, 400)}: {doubt}" for image, reasons in doubtful[:NAMED] for doubt in reasons]
    more = len(doubtful) - NAMED
    return [*lines, f"{more} more such images: their figures say so"] if more > 0 else lines


def _cropped(rows: Sequence[ExplainedFile]) -> list[str]:
    """How much of the pictures the encoder's crop hides, and the way out: one line a run, or none."""
    shares = [(row.explanation.provenance.get("unseen") or {}).get("share", 0) for row in rows]
    hidden = [share for share in shares if share >= LEAST_UNSEEN]
    if not hidden:
        return []
    low, high = f"{min(hidden):.0%}".removesuffix("%"), f"{max(hidden):.0%}".replace("%", " %")
    much = high if low == high.removesuffix(" %") else f"{low} to {high}"
    which = (
        "the picture" if len(rows) == 1 else "the pictures" if len(hidden) == len(rows) else f"{len(hidden)} pictures"
    )
    return [f"the encoder's crop hides {much} of {which}: --view pad shows it all"]


def _surpassed(explanation: Explanation, target: Path) -> bool:
    """Whether the files of an earlier run come from as many masks, so that they should stay."""
    try:
        earlier = Explanation.load(with_ending(target, ".npz")).provenance["masks"]["count"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(earlier >= explanation.provenance["masks"]["count"])


def _so_far(stop: Interrupted) -> str:
    """Which image has files from fewer masks than were asked for."""
    record = stop.explanation.provenance
    early = record.get("stopped_early")
    masks = f"{early['after']:,} of {early['of']:,} masks" if early else "all masks and no --trust"
    return f"{record['image']} has files from {masks}"


def _cell(text: str, limit: int) -> Text:
    return Text(shortened(text, limit))


def _reason(image: str, error: Exception) -> str:
    """The image and what went wrong; for unexpected errors also their type and how to see more."""
    if not isinstance(error, ValueError | OSError):
        return f"{image}: {type(error).__name__}: {error} (--debug shows where)"
    return prefixed(image, error)
