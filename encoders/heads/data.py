"""Which image has which label: a folder per class, or a CSV. Images are not opened here.

DIR/cat/1.png, DIR/cat/old/2.jpg, DIR/dog/1.png        the first folder below DIR is the class
path,label                                             a CSV with this header; paths start at the CSV's own folder
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import EncoderError, one_line
from encoders.folders import Listing
from encoders.values import described

COLUMNS = ("path", "label")


@dataclass(frozen=True)
class LabelledImages:
    """Paths with their classes.

    Attributes:
        paths: N image files, in a fixed order.
        labels: N class numbers from 0 to K - 1.
        classes: K names in alphabetical order, or in that of numbers where all are numbers.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    @property
    def images(self) -> dict[str, int]:
        """How many images every class has."""
        return {name: self.labels.count(number) for number, name in enumerate(self.classes)}

    def without(self, left_out: Iterable[int]) -> LabelledImages:
        """The same classes without the images at these positions."""
        dropped = set(left_out)
        kept = [index for index in range(len(self.paths)) if index not in dropped]
        return LabelledImages(
            tuple(self.paths[index] for index in kept), tuple(self.labels[index] for index in kept), self.classes
        )


def labelled_images(source: str | Path) -> LabelledImages:
    """List the images of a folder per class, or of a CSV.

    Args:
        source: A folder with one folder per class, in which the files that `encoders.folders` lists count, at any
            depth, and hidden ones do not; or a CSV with the columns path and label, with relative paths from
            its own folder.

    Raises:
        EncoderError: If it is neither, a row has no path or label, or an image has two labels.
    """
    source = Path(source).expanduser()
    if source.is_dir():
        pairs = _of_folders(source)
    elif source.is_file():
        pairs = _of_csv(source)
    else:
        raise EncoderError(f"images must be a folder per class or a CSV; got {str(source)!r}, which is not there")
    classes = _ordered({label for _, label in pairs})
    numbers = {name: number for number, name in enumerate(classes)}
    return LabelledImages(tuple(path for path, _ in pairs), tuple(numbers[label] for _, label in pairs), classes)


def _of_folders(folder: Path) -> list[tuple[Path, str]]:
    listing = Listing(folder)
    for child in sorted(folder.iterdir()):  # a class may be a link to a folder
        if child.is_dir() and not child.name.startswith("."):
            listing.walk(child)
    listing.warn()
    pairs = [(path, path.relative_to(folder).parts[0]) for path in sorted(listing.images)]
    if not pairs:
        raise EncoderError(
            f"{folder} must hold one folder of images per class, as {folder}/cat/1.png; it has none: sort the images "
            "into folders, or give a CSV with the columns path,label"
        )
    return pairs


def _of_csv(file: Path) -> list[tuple[Path, str]]:
    labels: dict[Path, str] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise EncoderError(f"{file} must be a CSV with the header path,label; got {described(rows.fieldnames)}")
            for row in rows:
                path, label = ((row[column] or "").strip() for column in COLUMNS)
                if not path or not label:
                    raise EncoderError(f"{file} line {rows.line_num} must have a path and a label")
                image = file.parent / Path(path).expanduser()
                if labels.setdefault(image, label) != label:
                    raise EncoderError(
                        f"{file} line {rows.line_num} calls an image {described(label)}, after "
                        f"{described(labels[image])}: keep one"
                    )
    except EncoderError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise EncoderError(f"{file} cannot be read as a CSV ({one_line(error, 120)}): save it as UTF-8 text") from error
    if not labels:
        raise EncoderError(f"{file} must have at least one line below its header; it has none")
    return list(labels.items())


def _ordered(names: set[str]) -> tuple[str, ...]:
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))
