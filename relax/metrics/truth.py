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
from PIL import Image

from encoders.folders import Listing, image_endings
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image
from relax.io.opening import formats
from relax.metrics.maps import Mask

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels from 0, edges not centres

LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".heic", ".heif", ".hif")
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
    """

    path: Path
    boxes: tuple[Box, ...] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the boxes or of the file."""
        content = repr(self.boxes).encode() if self.boxes is not None else self.path.read_bytes()
        return sha256(content).hexdigest()

    def mask(self, size: tuple[int, int]) -> Mask:
        """(H, W) bool for a picture of `size` (H, W), True = inside.

        Raises:
            TruthError: If the file cannot be read, or does not fit the picture.
        """
        if self.boxes is not None:
            return _drawn(self.boxes, size, self.path)
        if self.path.suffix.lower() == ".xml":
            return _drawn(_voc_boxes(self.path), size, self.path)
        return _mask(self.path, size)


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
    if source.is_dir():
        truths = _in_folder(images, source)
    elif source.is_file():
        boxes = _csv_boxes(source)
        truths = [_row_of(image, boxes, source) for image in images]
    else:
        raise TruthError(f"truth must be a folder of masks or a CSV of boxes; {source} is not there")
    if not any(truths):
        endings = ", ".join((*image_endings(), ".xml"))
        raise TruthError(f"{source} has nothing for any of the images: name files as the image, with {endings}")
    return truths


def _in_folder(images: Sequence[Path], folder: Path) -> list[Truth | None]:
    pictures = {image.resolve() for image in images}
    by_stem: dict[str, list[Path]] = {}
    listing = Listing(folder, (*image_endings(), ".xml")).walk(recursive=False)
    listing.warn()
    for path in listing.images:
        if path.resolve() not in pictures:
            by_stem.setdefault(path.stem, []).append(path)
    truths: list[Truth | None] = []
    for image in images:
        paths = by_stem.get(image.stem, [])
        if len(paths) > 1:
            name = Path(name_of(image)).name
            which = f": {paths[0]} and {paths[1]}" if name == image.name else ""  # they are named as the image is
            raise TruthError(f"{name} has two truths{which}; keep one")
        truths.append(Truth(paths[0]) if paths else None)
    return truths


def _row_of(image: Path, boxes: dict[str, list[Box]], source: Path) -> Truth | None:
    rows = boxes.get(image.name, boxes.get(image.stem))
    return None if rows is None else Truth(source, tuple(rows))


def _csv_boxes(path: Path) -> dict[str, list[Box]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or [])]:
                raise TruthError(f"{path} must have the columns {','.join(COLUMNS)}; {', '.join(missing)} is missing")
            boxes: dict[str, list[Box]] = {}
            for row in reader:
                box = _box([row[name] for name in COLUMNS[1:]], f"{path}, line {reader.line_num}")
                boxes.setdefault(Path(row["image"] or "").name, []).append(box)
            return boxes
    except (UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"{path} cannot be read as a CSV in UTF-8: {error}") from None


def _voc_boxes(path: Path) -> list[Box]:
    try:
        text = path.read_bytes()[: XML_BYTES + 1].decode("utf-8-sig")
        # Entities can make a small file fill the memory; no annotation needs them.
        if len(text) > XML_BYTES or "<!DOCTYPE" in text:
            raise TruthError(f"{path} is no Pascal VOC file: it is too large, or has a DOCTYPE")
        root = ElementTree.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise TruthError(f"{path} is not XML in UTF-8: {error}") from None
    boxes = []
    for entry in root.iter("bndbox"):
        left, top, right, bottom = _box([entry.findtext(name) for name in COLUMNS[1:]], str(path), closed=True)
        boxes.append((left - 1, top - 1, right, bottom))
    return boxes


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


def _drawn(boxes: Sequence[Box], size: tuple[int, int], path: Path) -> Mask:
    height, width = size
    inside = np.zeros(size, dtype=bool)
    for left, top, right, bottom in boxes:
        # Tools disagree by one on where counting starts; by more, the box belongs to another picture.
        if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
            raise TruthError(
                f"{path}: the box {left:g}, {top:g}, {right:g}, {bottom:g} leaves the picture of {width} x {height} px"
            )
        inside[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = True
    return inside


def _mask(path: Path, size: tuple[int, int]) -> Mask:
    try:
        values = read_image(path, channels=1)[0, 0].numpy()
        with Image.open(path, formats=formats()) as opened:
            see_through = "A" in opened.getbands() or "transparency" in opened.info
    except ImageError as error:
        raise TruthError(str(error)) from None
    if see_through:
        raise TruthError(f"{path}: a mask must not be transparent, or inside is unclear: save it in black and white")
    if values.shape != size:
        raise TruthError(
            f"{path}: the mask is {values.shape[1]} x {values.shape[0]} px, and the picture {size[1]} x {size[0]} px"
        )
    lossy = path.suffix.lower() in LOSSY
    inside: Mask = values > (0.5 if lossy else 0)
    return inside
