"""Explain many image files with one encoder: names for what is written, progress, a table at the end."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from encoders import Encoder
from relax.cli.console import Stopped, complain
from relax.explainer import explain
from relax.explanation import Explanation
from relax.files import written_aside
from relax.io.choice import stem_of
from relax.plotting.figure import png
from relax.questions.trust import Trust
from relax.text import number, shortened

ENDINGS = (".png", ".npz", ".json")

Assess: TypeAlias = Callable[..., Trust]  # `relax.assess` with everything set but the image and the progress


@dataclass(frozen=True)
class Made:
    """One image that is done."""

    image: str
    target: Path  # what was written, without its endings
    explanation: Explanation
    notes: tuple[str, ...]  # what the library warned of


class MaskProgress:
    """Masks done over a whole run of images; draws nothing where nobody watches."""

    def __init__(self, images: int, *, shown: bool) -> None:
        console = Console(stderr=True)
        self.images, self.done = images, 0
        self.before, self.now = 0, 0  # masks of the images that are done, and of this one
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("masks"),
            _MasksPerSecond(),
            TimeRemainingColumn(),
            TextColumn("left", markup=False),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
            expand=True,
        )
        self.task = self.bar.add_task("", total=None)

    def start(self, image: str) -> None:
        """Say which image is next."""
        place = f"{self.done + 1}/{self.images} " if self.images > 1 else ""
        self.bar.update(self.task, description=place + shortened(Path(image).name, 32))

    def masks(self, done: int, most: int) -> None:
        """Masks of this image that are done, and how many there will be at most."""
        self.now = done
        expected = self.before + most * (self.images - self.done)
        self.bar.update(self.task, completed=self.before + done, total=expected)

    def further(self) -> Callable[[int, int], None]:
        """What to tell of masks that come on top of those already done for this image."""
        before = self.now
        return lambda done, most: self.masks(before + done, before + most)

    def turn(self, name: str) -> None:
        """The next of several is to start; whatever came before it has ended."""
        if self.bar.tasks[self.task].description:
            self.finish()
        self.start(name)

    def finish(self) -> None:
        """An image is done or has failed."""
        self.before, self.now = self.before + self.now, 0
        self.done += 1


class _MasksPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s")


def explain_files(
    images: Sequence[str],
    encoder: Encoder,
    settings: dict[str, Any],
    out: Path,
    *,
    assess: Assess | None = None,
    quiet: bool,
    debug: bool,
) -> int:
    """Explain each image on its own: what fails is said on stderr, the rest is done.

    Args:
        images: Paths.
        encoder: Who looks.
        settings: Keywords of `relax.explain`.
        out: The folder to write to.
        assess: What asks how far a map can be trusted, if anything shall.
        quiet: No progress and no table.
        debug: Show the traceback of what fails.

    Returns:
        How many images failed.

    Raises:
        Stopped: On Ctrl-C; says what is done.
    """
    asked = [path for name in ("reference", "foil") for path in settings.get(name) or []]
    spare = [*asked, *([settings["fill"]] if isinstance(settings["fill"], Path) else [])]
    progress = MaskProgress(len(images), shown=not quiet)
    made: list[Made] = []
    try:
        with progress.bar:
            for image, target in zip(images, targets(images, out, spare), strict=True):
                progress.start(image)
                try:
                    made.append(explain_file(image, target, encoder, settings, progress, assess))
                    for note in made[-1].notes:
                        complain(f"note: {note}")
                except Exception as error:  # whatever it is, the other images are still to be done
                    complain(_why(image, error))
                    if debug:
                        traceback.print_exc()
                progress.finish()
    except KeyboardInterrupt:
        raise Stopped(f"{len(made)} of {len(images)} images are done, in {out}") from None
    if made and not quiet:
        print_table(made)
    failed = len(images) - len(made)
    if failed and len(images) > 1:
        complain(f"{failed} of {len(images)} images failed, see above")
    return failed


def _why(image: str, error: Exception) -> str:
    """The image, what went wrong, and for errors that nobody foresaw their kind and the way to see more."""
    if not isinstance(error, ValueError | OSError):
        return f"{image}: {type(error).__name__}: {error} (--debug shows where)"
    return str(error) if str(error).startswith(image) else f"{image}: {error}"


def explain_file(
    image: str,
    target: Path,
    encoder: Encoder,
    settings: dict[str, Any],
    progress: MaskProgress | None = None,
    assess: Assess | None = None,
) -> Made:
    """Explain one image and write its figure, maps and recipe beside each other.

    Args:
        image: Path of the image.
        target: What the three files are called, without their endings.
        encoder: Who looks.
        settings: Keywords of `relax.explain`.
        progress: Told of every batch.
        assess: As for `explain_files`.

    Raises:
        ImageError, EncoderError, ValueError, OSError: As `relax.explain`, or if a file cannot be written.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        explanation = explain(image, encoder, progress=progress.masks if progress else None, **settings)
        if assess is not None:
            trust = assess(image, progress=progress.further() if progress else None)
            explanation = trust.beside(explanation)
    picture = png(explanation)  # before anything is written: all three files or none
    explanation.save(_ending(target, ".npz"))
    with written_aside(_ending(target, ".json")) as aside:
        aside.write_text(explanation.to_json() + "\n", encoding="utf-8")
    with written_aside(_ending(target, ".png")) as aside:
        aside.write_bytes(picture)
    return Made(image, target, explanation, tuple(dict.fromkeys(str(warning.message) for warning in caught)))


def targets(images: Sequence[str], folder: Path, spare: Sequence[str | Path] = ()) -> list[Path]:
    """What to call the files of each image, without their endings.

    The image's own name in `folder`; where that is taken by another image, or would replace one of the images
    or of the `spare` files, the first of NAME-2, NAME-3, ... that is free. Upper and lower case count as the same, as
    on some file systems.
    """
    inputs = {Path(path).resolve() for path in (*images, *spare)}
    taken: set[str] = set()

    def free(name: str) -> bool:
        replaced = {_ending(folder / name, ending).resolve() for ending in ENDINGS}
        return name.casefold() not in taken and not replaced & inputs

    chosen: dict[int, str] = {}
    for index, image in enumerate(images):  # every name goes first to an image that has it
        name = stem_of(image)
        if free(name):
            taken.add(name.casefold())
            chosen[index] = name
    for index, image in enumerate(images):
        if index not in chosen:
            stem = stem_of(image)
            name = next(name for count in range(2, len(images) + len(inputs) + 3) if free(name := f"{stem}-{count}"))
            taken.add(name.casefold())
            chosen[index] = name
    return [folder / chosen[index] for index in range(len(images))]


def table(rows: Sequence[Made]) -> Table:
    """What was made, one line per image."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("image", "written"):
        made.add_column(title, overflow="fold")
    for title in ("masks", "median standard error", "seconds"):
        made.add_column(title, justify="right")
    for row in rows:
        how, errors = row.explanation.provenance, row.explanation.standard_error
        errors = errors[np.isfinite(errors)]
        made.add_row(
            Text(shortened(row.image, 400)),
            Text(f"{row.target} {' '.join(ENDINGS)}"),
            f"{how['masks']['count']:,}",
            number(float(np.median(errors))) if errors.size else "undefined",
            f"{how['seconds']:.1f}",
        )
    return made


def print_table(rows: Sequence[Made]) -> None:
    """Print `table` to stdout, not folded at 80 letters where that is a file or a pipe."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table(rows))


def _ending(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)  # with_suffix would cut "cat.v2"
