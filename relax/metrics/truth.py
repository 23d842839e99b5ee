"""The annotated truth: a mask or boxes for a picture, read from the files that annotation tools write.

    masks/cat.png                       a mask of the same stem, in any format of pictures: above 0 is inside; in JPEG,
                                        AVIF and HEIC, whose zeros are not exact, above half of white
    boxes/cat.xml                       Pascal VOC: pixels from xmin to xmax, counted from 1, both included
    boxes.csv                           image,xmin,ymin,xmax,ymax: counted from 0, the first pixel after the box at xmax

Masks have the size of the picture as it is shown, after EXIF rotation. Several boxes together are the truth.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import numpy as np

from encoders.folders import Listing, image_endings, is_dicom
from relax.io.choice import folder_name, split_choice, stem_of
from relax.io.errors import ImageError
from relax.io.images import name_of
from relax.io.regions.masks import is_lossy, mask_values
from relax.metrics.maps import Mask

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels from 0, edges not centres

COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax")
XML_BYTES = 4_000_000


class TruthError(ValueError):
    """A mask or box that cannot be used. The text is one line: which file, what is wrong, the way out."""


@dataclass(frozen=True)
class Truth:
    """Where the truth of one picture is.

    Attributes:
        path: The mask, the XML or the CSV.
        boxes: The boxes of a CSV; None for the other two, which are read by `mask`.
        called: What errors call it, if not by its path, which may name a patient as that of the picture does.
    """

    path: Path
    boxes: tuple[Box, ...] | None = None
    called: str | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.called or str(self.path)

    @property
    def digest(self) -> str:
        """SHA-256 of the boxes or of the file."""
        content = repr(self.boxes).encode() if self.boxes is not None else _content(self.path, self.name)
        return sha256(content).hexdigest()

    def mask(self, size: tuple[int, int]) -> Mask:
        """(H, W) bool for a picture of `size` (H, W), True = inside.

        Raises:
            TruthError: If the file cannot be read, or does not fit the picture.
        """
        if self.boxes is not None:
            return drawn(self.boxes, size, self.name)
        if self.path.suffix.lower() == ".xml":
            return drawn(_voc_boxes(self.path, self.name), size, self.name)
        return _mask(self.path, size, self.name)


def find_truths(images: Sequence[Path], source: str | Path) -> list[Truth | None]:
    """The truth of each image: a file of the same stem in a folder, or the rows of a CSV.

    Args:
        images: Paths of the pictures.
        source: A folder of masks or Pascal VOC files, or a CSV of boxes whose first column is the file name of the
            picture, with or without its ending.

    Returns:
        One per image; None where there is none.

    Raises:
        TruthError: If the source is neither, fits no image at all, or an image has two masks.
        OSError: If the source cannot be read.
    """
    source = Path(source)
    name = folder_name(source, images, "the truth")
    if source.is_dir():
        truths = _in_folder(images, source)
    elif source.is_file():
        boxes = _csv_boxes(source, name)
        truths = [_row_of(image, boxes, source, name) for image in images]
    else:
        raise TruthError(f"truth must be a folder of masks or a CSV of boxes; {name} is not there")
    if not any(truths):
        endings = ", ".join((*image_endings(), ".xml"))
        raise TruthError(f"{name} has nothing for any of the images: name files as the image, with {endings}")
    return truths


def _in_folder(images: Sequence[Path], folder: Path) -> list[Truth | None]:
    pictures = {image.resolve() for image in images}
    by_stem: dict[str, list[Path]] = {}
    listing = Listing(folder, (*image_endings(), ".xml")).walk(recursive=False)
    listing.warn(discreet=any(map(is_dicom, images)))
    for path in listing.images:
        if path.resolve() not in pictures:
            by_stem.setdefault(path.stem, []).append(path)
    truths: list[Truth | None] = []
    for image in images:
        paths = by_stem.get(stem_of(str(image)), by_stem.get(split_choice(str(image))[0].stem, []))
        if len(paths) > 1:
            which = "" if _hidden(image) else f": {paths[0]} and {paths[1]}"
            raise TruthError(f"{Path(name_of(image)).name} has two truths{which}; keep one")
        called = f"the truth of {name_of(image)}" if paths and _hidden(image) else None
        truths.append(Truth(paths[0], called=called) if paths else None)
    return truths


def _hidden(image: Path) -> bool:
    """Whether a hash stands for the picture's path, and its truth, which is named as it is, cannot be named either."""
    return name_of(image) != str(image)


def _row_of(image: Path, boxes: dict[str, list[Box]], source: Path, name: str) -> Truth | None:
    file = split_choice(str(image))[0]
    names = (image.name, file.name, image.stem, file.stem)
    rows = next((boxes[called] for called in names if called in boxes), None)
    return None if rows is None else Truth(source, tuple(rows), name)


def _csv_boxes(path: Path, name: str) -> dict[str, list[Box]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if missing := [column for column in COLUMNS if column not in (reader.fieldnames or [])]:
                raise TruthError(f"{name} must have the columns {','.join(COLUMNS)}; {', '.join(missing)} is missing")
            boxes: dict[str, list[Box]] = {}
            for row in reader:
                box = _box([row[column] for column in COLUMNS[1:]], f"{name}, line {reader.line_num}")
                boxes.setdefault(Path(row["image"] or "").name, []).append(box)
            return boxes
    except (UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"{name} cannot be read as a CSV in UTF-8: {error}") from None


def _content(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:  # whose own text names the path
        raise TruthError(f"{name} cannot be read: {error.strerror}") from None


def voc_objects(path: Path, name: str) -> list[tuple[str, Box]]:
    """Name and box of each object of a Pascal VOC file.

    Args:
        path: The file.
        name: What errors call it.

    Raises:
        TruthError: If it is no such file, or an object has no name.
    """
    objects = []
    for entry in _voc(path, name).iter("object"):
        if not (kind := (entry.findtext("name") or "").strip()):
            raise TruthError(f"{name}: each object must have a name, and one has none")
        objects += [(kind, _voc_box(box, name)) for box in entry.iterfind("bndbox")]
    return objects


def _voc_boxes(path: Path, name: str) -> list[Box]:
    return [_voc_box(entry, name) for entry in _voc(path, name).iter("bndbox")]


def _voc(path: Path, name: str) -> ElementTree.Element:
    try:
        text = _content(path, name)[: XML_BYTES + 1].decode("utf-8-sig")
        # Entities can make a small file fill the memory; no annotation needs them.
        if len(text) > XML_BYTES or "<!DOCTYPE" in text:
            raise TruthError(f"{name} is no Pascal VOC file: it is too large, or has a DOCTYPE")
        return ElementTree.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise TruthError(f"{name} is not XML in UTF-8: {error}") from None


def _voc_box(entry: ElementTree.Element, name: str) -> Box:
    left, top, right, bottom = _box([entry.findtext(corner) for corner in COLUMNS[1:]], name, closed=True)
    return left - 1, top - 1, right, bottom


def _box(texts: Sequence[str | None], where: str, *, closed: bool = False) -> Box:
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        raise TruthError(f"{where}: {', '.join(COLUMNS[1:])} must be numbers of pixels; got {list(texts)}") from None
    empty = right < left or bottom < top if closed else right <= left or bottom <= top
    if not all(map(math.isfinite, (left, top, right, bottom))) or empty:
        raise TruthError(
            f"{where}: a box must have xmin below xmax and ymin below ymax; got {', '.join(map(str, texts))}"
        )
    return left, top, right, bottom


def drawn(boxes: Sequence[Box], size: tuple[int, int], name: str) -> Mask:
    """(H, W) bool for a picture of `size`, True in any of the boxes; a TruthError if one leaves it by over a pixel."""
    height, width = size
    inside = np.zeros(size, dtype=bool)
    for left, top, right, bottom in boxes:
        # Tools disagree by one on where counting starts; by more, the box belongs to another picture.
        if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
            raise TruthError(
                f"{name}: the box {left:g}, {top:g}, {right:g}, {bottom:g} leaves the picture of {width} x {height} px"
            )
        inside[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = True
    return inside


def _mask(path: Path, size: tuple[int, int], name: str) -> Mask:
    try:
        values = mask_values(path)
    except ImageError as error:
        raise TruthError(f"{name}: {str(error).removeprefix(f'{name_of(path)}: ')}") from None
    if values.shape != size:
        raise TruthError(
            f"{name}: the mask is {values.shape[1]} x {values.shape[0]} px, and the picture {size[1]} x {size[0]} px"
        )
    inside: Mask = values > (0.5 if is_lossy(path) else 0)
    return inside
