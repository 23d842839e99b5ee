"""Explain many image files with one encoder: progress, what failed, a table at the end."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from rich.text import Text

from relax.cli.console import MaskProgress, Stopped, complain, plain_table, print_table
from relax.cli.outputs import targets, write_outputs
from relax.explainer import ExplainImage
from relax.explanation import Explanation
from relax.files import file_names
from relax.questions.trust import Trust
from relax.text import number, shortened

if TYPE_CHECKING:
    from rich.table import Table

Assess: TypeAlias = Callable[..., Trust]  # `relax.assess` with everything set but the image and the progress


@dataclass(frozen=True)
class ExplainedFile:
    """One image that is done.

    Attributes:
        image: Its path.
        files: What was written.
        explanation: The maps.
        notes: What the library warned of.
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
    inputs: Sequence[str | Path] = (),
    assess: Assess | None = None,
    quiet: bool,
    debug: bool,
) -> int:
    """Explain each image on its own: what fails is said on stderr, the rest is done.

    Args:
        images: Paths.
        explain_image: Explains one of them.
        out: The folder to write to.
        inputs: Further files that must not be replaced.
        assess: How far a map can be trusted, if that is asked.
        quiet: No progress and no table.
        debug: Show the traceback of what fails.

    Returns:
        How many images failed.

    Raises:
        Stopped: On Ctrl-C; says what is done.
    """
    progress = MaskProgress(len(images), shown=not quiet)
    explained: list[ExplainedFile] = []
    try:
        with progress.bar:
            for image, target in zip(images, targets(images, out, inputs), strict=True):
                progress.start(image)
                try:
                    explained.append(explain_file(image, target, explain_image, progress, assess))
                    for note in explained[-1].notes:
                        complain(f"note: {note}")
                except Exception as error:  # whatever it is, the other images are still to be done
                    complain(_reason(image, error))
                    if debug:
                        traceback.print_exc()
                progress.finish()
    except KeyboardInterrupt:
        raise Stopped(f"{len(explained)} of {len(images)} images are done, in {out}") from None
    if explained and not quiet:
        print_table(summary(explained))
    failed = len(images) - len(explained)
    if failed and len(images) > 1:
        complain(f"{failed} of {len(images)} images failed, see above")
    return failed


def explain_file(
    image: str,
    target: Path,
    explain_image: ExplainImage,
    progress: MaskProgress | None = None,
    assess: Assess | None = None,
) -> ExplainedFile:
    """Explain one image and write its outputs beside each other.

    Args:
        image: Path of the image.
        target: What the files are called, without their endings.
        explain_image: Explains it.
        progress: Told of every batch.
        assess: As for `explain_files`.

    Raises:
        ImageError, EncoderError, ValueError, OSError: As `relax.explain`, or if a file cannot be written.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        explanation = explain_image(image, progress.masks if progress else None)
        if assess is not None:
            trust = assess(image, progress=progress.further() if progress else None)
            explanation = trust.beside(explanation)
    files = tuple(write_outputs(explanation, target))
    return ExplainedFile(image, files, explanation, tuple(dict.fromkeys(str(warning.message) for warning in caught)))


def summary(rows: Sequence[ExplainedFile]) -> Table:
    """One line per image: what was written, from how many masks, with what error, in what time."""
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


def _cell(text: str, limit: int) -> Text:
    return Text(shortened(text, limit))


def _reason(image: str, error: Exception) -> str:
    """The image, what went wrong, and for errors that nobody foresaw their kind and the way to see more."""
    if not isinstance(error, ValueError | OSError):
        return f"{image}: {type(error).__name__}: {error} (--debug shows where)"
    return str(error) if str(error).startswith(image) else f"{image}: {error}"
