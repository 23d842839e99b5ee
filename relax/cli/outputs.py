"""What is written for each explanation, as data, and names for it that replace nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relax.explanation import Explanation
from relax.files import with_ending, write_files
from relax.io.choice import stem_of
from relax.plotting.figure import png


@dataclass(frozen=True)
class Output:
    """One file.

    Attributes:
        ending: Of its name, after the stem of the image's.
        content: From an explanation to the bytes of the file, made before anything is written.
    """

    ending: str
    content: Callable[[Explanation], bytes]


OUTPUTS = (
    Output(".png", png),
    Output(".npz", Explanation.to_bytes),
    Output(".json", lambda explanation: (explanation.to_json() + "\n").encode()),
)
"""What `relax explain` writes for each image."""

ENDINGS = tuple(output.ending for output in OUTPUTS)


def write_outputs(explanation: Explanation, target: Path, outputs: Sequence[Output] = OUTPUTS) -> list[Path]:
    """Write every output of an explanation: all of them, each whole, or none where one cannot be made.

    Args:
        explanation: What to write.
        target: What the files are called, without their endings.
        outputs: Which.

    Returns:
        Their paths.

    Raises:
        OSError: If a file cannot be written.
    """
    return write_files(target, {output.ending: output.content(explanation) for output in outputs})


def targets(
    images: Sequence[str], folder: Path, inputs: Sequence[str | Path] = (), endings: Sequence[str] = ENDINGS
) -> list[Path]:
    """What to call the files of each image, without their endings.

    The image's own name in `folder`; where one of the files would replace a file of another image, one of the images or
    one of the `inputs`, the first of NAME-2, NAME-3, ... whose files are all free. Upper and lower case count as the
    same, as on some file systems.
    """
    stems = [stem_of(image) for image in images]
    names = FreeNames(folder, (*images, *inputs), endings)
    chosen = {place: stem for place, stem in enumerate(stems) if names.take(stem)}  # a name goes first to its image
    for place, stem in enumerate(stems):
        if place not in chosen:
            chosen[place] = names.numbered(stem)
    return [folder / chosen[place] for place in range(len(images))]


class FreeNames:
    """Stems whose files would replace neither an input nor each other.

    Args:
        folder: Where the files go.
        inputs: Files that must stay.
        endings: Of the files of one stem.
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
