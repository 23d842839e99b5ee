"""The files written for each explanation, as a table, and names for them that overwrite nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from relax.explanation import Explanation
from relax.files import with_ending, write_files
from relax.io.choice import stem_of
from relax.plotting.figure import figure_file
from relax.plotting.overlay import overlay_file


@dataclass(frozen=True)
class Output:
    """One file.

    Attributes:
        ending: Of its name, after the stem of the image.
        content: The bytes of the file for an explanation, made before anything is written.
    """

    ending: str
    content: Callable[[Explanation], bytes]


OUTPUTS = (
    Output(".png", figure_file),
    Output(".npz", Explanation.to_bytes),
    Output(".json", lambda explanation: (explanation.to_json() + "\n").encode()),
)
"""Written by `relax explain` for each image."""

OVERLAY = Output("-overlay.png", overlay_file)
"""Written on request: the importance as colours to lay over the image."""

ENDINGS = tuple(output.ending for output in OUTPUTS)


def chosen_outputs(format: str, *, overlay: bool, **options: Any) -> tuple[Output, ...]:
    """`OUTPUTS` with the figure in this format and with these options of `relax.figure`; with the overlay if wanted."""
    drawn = Output(f".{format}", partial(figure_file, format=format, **options))
    return (drawn, *OUTPUTS[1:], *([OVERLAY] if overlay else []))


def write_outputs(explanation: Explanation, target: Path, outputs: Sequence[Output] = OUTPUTS) -> list[Path]:
    """Write the outputs of an explanation, each file whole, and none if the content of one cannot be made.

    Args:
        explanation: The explanation.
        target: The path of the files, without their endings.
        outputs: Which files to write.

    Returns:
        Their paths.

    Raises:
        OSError: If a file cannot be written.
    """
    return write_files(target, {output.ending: output.content(explanation) for output in outputs})


def targets(
    images: Sequence[str], folder: Path, inputs: Sequence[str | Path] = (), endings: Sequence[str] = ENDINGS
) -> list[Path]:
    """The path of each image's files, without their endings.

    It is the image's name in `folder`; if one of the files would overwrite a file of another image, one of the images
    or one of the `inputs`, the first of NAME-2, NAME-3, ... whose files are all free. Upper and lower case count as
    equal, as on some file systems.
    """
    stems = [stem_of(image) for image in images]
    names = FreeNames(folder, (*images, *inputs), endings)
    free = {index: stem for index, stem in enumerate(stems) if names.take(stem)}  # a name goes first to its image
    return [folder / (free[index] if index in free else names.numbered(stem)) for index, stem in enumerate(stems)]


class FreeNames:
    """Stems whose files overwrite neither an input nor each other.

    Args:
        folder: The folder of the files.
        inputs: Files that must not be overwritten.
        endings: Of the files of each stem.
    """

    def __init__(self, folder: Path, inputs: Iterable[str | Path], endings: Sequence[str]) -> None:
        self.folder, self.endings = folder, endings
        self.inputs = {Path(path).resolve() for path in inputs}
        self.taken: set[str] = set()

    def take(self, stem: str) -> bool:
        """Reserve the files of a stem, if all of them are free."""
        paths = [with_ending(self.folder / stem, ending) for ending in self.endings]
        files = {path.name.casefold() for path in paths}
        if files & self.taken or {path.resolve() for path in paths} & self.inputs:
            return False
        self.taken |= files
        return True

    def numbered(self, stem: str) -> str:
        """Reserve the stem itself or the first of STEM-2, STEM-3, ... that is free."""
        if self.take(stem):
            return stem
        number = 2
        while not self.take(f"{stem}-{number}"):
            number += 1
        return f"{stem}-{number}"
