"""Pictures with the masks of concepts, from a folder that says by its names what lies where.

    CONCEPTS/images/x.png               the pictures
    CONCEPTS/masks/stripes/x.png        a mask for each concept: above 0 is the concept; in JPEG above half of white
    CONCEPTS/masks/x.png                or of one concept only, which is called "mask"
    CONCEPTS/labels/x.png               or a number for each pixel, 0 for none; names in labels.csv, columns value,name
    CONCEPTS/annotations/x.xml          or boxes of Pascal VOC, whose object names are the concepts

Kinds may be mixed. A picture with any of these files shows nothing of the concepts that it has no file for: leave an
all-black mask beside pictures that show none at all. Pictures without any file are left out, for nobody said what
they show. In Python, a list of (picture, {"stripes": mask}) does the same.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encoders.values import described
from relax.io.choice import name_within, split_choice, stem_of
from relax.io.errors import ImageError, decoding_errors
from relax.io.images import ImageSource, name_of
from relax.io.raster.opening import opened
from relax.io.sources import sources_of
from relax.metrics.truth import Truth, drawn, find_truths, voc_objects

Mask: TypeAlias = NDArray[np.bool_]  # (H, W)
ConceptSource: TypeAlias = str | Path | Iterable[tuple[ImageSource, Mapping[str, Any]]]
"""A folder, or pictures with their masks by concept."""

IMAGES, MASKS, LABELS, BOXES = "images", "masks", "labels", "annotations"
ALONE = "mask"
LARGEST_LABEL = 65_535


class ConceptError(ValueError):
    """A folder of concepts, or a mask in it, cannot be used. One line: which, what is wrong, the way out."""


@dataclass(frozen=True)
class Annotated:
    """One picture with what is known about it.

    Attributes:
        picture: As `relax.read_image` takes it.
        name: In results.
        masks: By concept: a file, or (H, W) an array.
        labels: A file of numbers for pixels.
        boxes: A file of Pascal VOC.
        values: Name by number in `labels`.
    """

    picture: ImageSource
    name: str
    masks: Mapping[str, Truth | Mask] = field(default_factory=dict)
    labels: Path | None = None
    boxes: Path | None = None
    values: Mapping[int, str] = field(default_factory=dict)

    def read(self, size: tuple[int, int]) -> dict[str, Mask]:
        """The masks (H, W) of the concepts that it may show; others are nowhere in it.

        Args:
            size: (H, W) of the picture.

        Raises:
            TruthError, ConceptError: If a file cannot be read, or is of another size.
        """
        masks = {name: _sized(mask, size, name, self.name) for name, mask in self.masks.items()}
        if self.labels is not None:
            numbers = label_values(self.labels)
            _check_size(numbers.shape, size, str(self.labels))
            for value in np.unique(numbers[numbers > 0]).tolist():
                _add(masks, self.values.get(value, f"label {value}"), numbers == value)
        if self.boxes is not None:
            for name, box in voc_objects(self.boxes, str(self.boxes)):
                _add(masks, name, drawn([box], size, str(self.boxes)))
        return masks


@dataclass(frozen=True)
class ConceptSet:
    """Pictures with masks.

    Attributes:
        name: Of the folder, or "pictures".
        concepts: Names, sorted.
        pictures: Those that anything is known about.
        without: Names of the pictures that nothing is known about, which are left out.
    """

    name: str
    concepts: tuple[str, ...]
    pictures: tuple[Annotated, ...]
    without: tuple[str, ...] = ()


def read_concepts(source: ConceptSource | ConceptSet) -> ConceptSet:
    """List pictures and masks; files of labels and boxes are read for their names, pictures and masks are not.

    Raises:
        ConceptError: If there is no picture, or no concept.
        TruthError, ImageError: If a file cannot be read.
    """
    if isinstance(source, ConceptSet):
        return source
    if isinstance(source, str | Path):
        return _of_folder(Path(source))
    return _of_rows(source)


def label_values(path: Path) -> NDArray[np.int64]:
    """(H, W) the numbers of a label picture: grey values as they are stored, or the places in its palette.

    Raises:
        ConceptError: If it cannot be read, or is in colour.
    """
    try:
        with decoding_errors(), path.open("rb") as file:
            picture = opened(file)
            mode, values = picture.mode, np.asarray(picture)
    except ImageError as error:
        raise ConceptError(f"{path}: {error}") from None
    if mode not in ("1", "L", "P", "I;16", "I") or values.ndim != 2 or int(values.max(initial=0)) > LARGEST_LABEL:
        raise ConceptError(
            f"{path}: labels must be whole numbers from 0 to {LARGEST_LABEL}, one a pixel; got {mode}: save them as a "
            "grey or palette PNG"
        )
    return values.astype(np.int64)


def _of_folder(folder: Path) -> ConceptSet:
    if not (folder / IMAGES).is_dir():
        what = "is not there" if not folder.exists() else f"has no folder {IMAGES!r}"
        raise ConceptError(
            f"concepts must be a folder with {IMAGES}/ and {MASKS}/CONCEPT/, {LABELS}/ or {BOXES}/; {folder} {what}"
        )
    sources = sources_of(folder / IMAGES)
    sources.warn()
    pictures = sorted(sources.pictures)
    if not pictures:
        raise ConceptError(f"{folder / IMAGES} holds no picture that can be read")
    masks = _mask_folders(folder / MASKS, pictures)
    labels = _beside(folder / LABELS, pictures, ".png", ".tif", ".tiff", ".bmp", ".gif")
    boxes = _beside(folder / BOXES, pictures, ".xml")
    values = _label_names(folder)
    annotated = [
        Annotated(picture, name_within(folder / IMAGES, sources.name(picture)),
                  {name: truth for name, truths in masks.items() if (truth := truths[place])},
                  labels.get(place), boxes.get(place), values)
        for place, picture in enumerate(pictures)
    ]  # fmt: skip
    known = tuple(picture for picture in annotated if picture.masks or picture.labels or picture.boxes)
    without = tuple(picture.name for picture in annotated if not (picture.masks or picture.labels or picture.boxes))
    names = {*masks}
    for path in labels.values():
        names |= {values.get(value, f"label {value}") for value in np.unique(label_values(path)).tolist() if value > 0}
    for path in boxes.values():
        names |= {name for name, _ in voc_objects(path, str(path))}
    if not known or not names:
        raise ConceptError(
            f"{folder} has {len(pictures)} pictures and no mask for any: put them into {MASKS}/CONCEPT/, named as the "
            f"pictures, or labels into {LABELS}/, or Pascal VOC files into {BOXES}/"
        )
    return ConceptSet(folder.resolve().name, tuple(sorted(names)), known, without)


def _of_rows(rows: Iterable[tuple[ImageSource, Mapping[str, Any]]]) -> ConceptSet:
    pictures = []
    for place, row in enumerate(rows):
        if not (isinstance(row, tuple | list) and len(row) == 2 and isinstance(row[1], Mapping)):
            raise ConceptError(
                f'concepts must be a folder, or (picture, {{"name": mask}}) for each picture; got {described(row)}'
            )
        name = f"{place}: {name_of(row[0])}"
        masks = {str(key): _as_mask(value, str(key), name) for key, value in row[1].items()}
        pictures.append(Annotated(row[0], name, masks))
    names = sorted({name for picture in pictures for name in picture.masks})
    if not names:
        raise ConceptError(f"concepts must have a mask; {len(pictures)} pictures without any were given")
    return ConceptSet("pictures", tuple(names), tuple(pictures))


def _mask_folders(folder: Path, pictures: Sequence[str]) -> dict[str, list[Truth | None]]:
    """For each concept the mask of every picture, None where it has none."""
    if not folder.is_dir():
        return {}
    paths = [Path(picture) for picture in pictures]
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if any(path.is_file() and not path.name.startswith(".") for path in folder.iterdir()):
        if inner:
            raise ConceptError(
                f"{folder} must hold either masks or a folder for each concept; got both: put the masks into a folder"
            )
        return {ALONE: find_truths(paths, folder)}
    return {path.name: find_truths(paths, path) for path in inner}


def _beside(folder: Path, pictures: Sequence[str], *endings: str) -> dict[int, Path]:
    """The file of each picture that has one, by its place: of the same stem."""
    if not folder.is_dir():
        return {}
    by_stem = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in endings}
    stems = [(stem_of(picture), split_choice(picture)[0].stem) for picture in pictures]
    files = {place: by_stem.get(full, by_stem.get(file)) for place, (full, file) in enumerate(stems)}
    return {place: path for place, path in files.items() if path is not None}


def _label_names(folder: Path) -> dict[int, str]:
    path = folder / "labels.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [*csv.DictReader(stream)]
        return {int(row["value"]): row["name"].strip() for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError, AttributeError, TypeError):
        raise ConceptError(f"{path} must be a CSV in UTF-8 with the columns value,name and whole numbers") from None


def _as_mask(value: Any, concept: str, name: str) -> Mask:
    array = np.asarray(value.cpu() if hasattr(value, "cpu") else value)
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise ConceptError(f"the mask of {concept!r} for {name} must be (H, W), above 0 inside; got {described(value)}")
    return np.asarray(array > 0)


def _sized(mask: Truth | Mask, size: tuple[int, int], concept: str, name: str) -> Mask:
    if isinstance(mask, Truth):
        return mask.mask(size)
    _check_size(mask.shape, size, f"the mask of {concept!r} for {name}")
    return mask


def _check_size(shape: tuple[int, ...], size: tuple[int, int], what: str) -> None:
    if shape != size:
        raise ConceptError(f"{what}: is {shape[1]} x {shape[0]} px, and the picture {size[1]} x {size[0]} px")


def _add(masks: dict[str, Mask], name: str, mask: Mask) -> None:
    masks[name] = masks[name] | mask if name in masks else mask
