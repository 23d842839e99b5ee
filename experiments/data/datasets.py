"""The real images of the recipes, studies and benchmarks, in a folder that the caller names.

    python -m experiments.data.datasets --data DATA      lists what is wrong with the files

`kvasir_seg`, `kvasir_shortcuts`, `bccd` and `imagenet_sample` list pictures as `Sample`s, which read pixels and truth
only when these are used. A loader that finds no picture raises; `check` opens every file and lists what is wrong.
"""

from __future__ import annotations

import csv
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from experiments.options import Options

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CALTECH_BACKGROUND = "BACKGROUND_Google"
CELLS = ("WBC", "RBC", "Platelets")
SHORTCUTS = ("text", "black-border", "marker-box")
SHORTCUTS_FILE = Path(__file__).parent / "annotations" / "kvasir_shortcuts.csv"
NEAR_BLACK = 30  # of 255, in the brightest channel: JPEG leaves noise in what was black


@dataclass(frozen=True)
class Box:
    """The pixels xmin <= x < xmax, ymin <= y < ymax; (0, 0) is the top left one."""

    kind: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


@dataclass(frozen=True)
class Sample:
    """One picture and its truth; files are read when they are used.

    Attributes:
        name: File name without its ending.
        path: The picture.
        mask_path: A picture of the same size, white where the truth lies; None without a mask.
        find_boxes: Returns the truth as boxes, where there is no mask.
        label: Class of the whole picture, "" without one.
    """

    name: str
    path: Path
    mask_path: Path | None = None
    find_boxes: Callable[[], tuple[Box, ...]] = tuple
    label: str = ""

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, upright.

        Raises:
            OSError: If the file is missing, damaged or no picture; the message names it.
        """
        return np.asarray(_opened(self.path).convert("RGB"))

    def truth(self, *kinds: str) -> NDArray[np.bool_]:
        """(H, W) True where the truth lies: on the mask, or in a box (of one of `kinds`, if any is named).

        Raises:
            OSError: If a file is missing or cannot be read.
            ValueError: If the mask's size is not the picture's, the boxes cannot be parsed, or there is neither.
        """
        width, height = _opened(self.path).size
        if self.mask_path is not None:
            mask = np.asarray(_opened(self.mask_path).convert("L")) >= 128
            if mask.shape != (height, width):
                raise ValueError(f"{self.mask_path}: must have the picture's size {(height, width)}; got {mask.shape}")
            return mask
        if not (boxes := self.find_boxes()):
            raise ValueError(f"{self.path}: has neither a mask nor boxes")
        return inside((height, width), [box for box in boxes if not kinds or box.kind in kinds])


def inside(size: tuple[int, int], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """(H, W) True in any of the boxes."""
    mask = np.zeros(size, dtype=bool)
    for box in boxes:
        mask[box.ymin : box.ymax, box.xmin : box.xmax] = True
    return mask


def jpegs(folder: Path) -> list[Path]:
    """Every *.jpg in a folder, by name. FileNotFoundError if there is none."""
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise FileNotFoundError(f"no *.jpg in {folder}")
    return paths


def kvasir_seg(data: Path, split: str) -> list[Sample]:
    """Colonoscopy pictures with a polyp mask each, 800 in "train" and 100 in "val" (Jha et al., MMM 2020)."""
    folder = data / "kvasir_seg" / split
    return [Sample(p.stem, p, mask_path=folder / "masks" / f"{p.stem}.png") for p in jpegs(folder / "images")]


def kvasir_shortcuts(data: Path) -> list[Sample]:
    """The 100 "val" pictures of `kvasir_seg`, with boxes around what is no part of the patient.

    The kinds are `SHORTCUTS`: burned-in text and symbols; the black corners and borders of the endoscope's picture;
    the box that shows the position of the endoscope, green or blacked out by the authors of the data set. Text was
    boxed by eye, black areas were proposed by a threshold, and all boxes were checked by eye on the pictures. A picture
    without any of them has no boxes.

    Raises:
        FileNotFoundError: If an annotated picture is missing.
    """
    boxes: dict[tuple[str, str], list[Box]] = {}
    with SHORTCUTS_FILE.open(newline="") as stream:
        for row in csv.DictReader(stream):
            listed = boxes.setdefault((row["split"], row["image"]), [])
            if row["kind"] != "none":
                listed.append(Box(row["kind"], *(int(row[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))))
    pictures = {(split, s.name): s for split in {key[0] for key in boxes} for s in kvasir_seg(data, split)}
    if missing := sorted(set(boxes) - set(pictures)):
        raise FileNotFoundError(f"no picture in kvasir_seg/{missing[0][0]} for the annotated {missing[0][1]!r}")
    return [
        Sample(key[1], pictures[key].path, find_boxes=partial(tuple, annotated)) for key, annotated in boxes.items()
    ]


def shortcut_masks(sample: Sample) -> dict[str, NDArray[np.bool_]]:
    """(H, W) for each of `SHORTCUTS`: True where the picture shows it, all False where it shows none.

    A box around a black corner contains tissue as well, so "black-border" is only its nearly black pixels outside
    marker boxes.
    """
    pixels, boxes = sample.pixels(), sample.find_boxes()
    masks = {kind: inside(pixels.shape[:2], [box for box in boxes if box.kind == kind]) for kind in SHORTCUTS}
    masks["black-border"] &= (pixels.max(axis=2) <= NEAR_BLACK) & ~masks["marker-box"]
    return masks


def bccd(data: Path) -> list[Sample]:
    """292 blood smears with a box around every cell (Shenggan/BCCD_Dataset); the kinds are `CELLS`."""
    folder = data / "bccd" / "annotations"
    return [
        Sample(path.stem, path, find_boxes=partial(voc_boxes, folder / f"{path.stem}.xml"))
        for path in jpegs(data / "bccd" / "images")
    ]


def voc_boxes(path: Path) -> tuple[Box, ...]:
    """The boxes of a Pascal VOC annotation, which counts pixels from 1 and includes both ends.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such annotation, or declares a DTD, whose entities could expand without end.
    """
    try:
        text = path.read_bytes().decode()
        if "<!DOCTYPE" in text:
            raise ValueError("got a <!DOCTYPE>, which is refused")
        return tuple(_voc_box(element) for element in ElementTree.fromstring(text).iter("object"))
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path}: must be plain XML with a name and a bndbox for every object: {error}") from error


def _voc_box(element: ElementTree.Element) -> Box:
    edges = ("xmin", "ymin", "xmax", "ymax")
    left, top, right, bottom = (int(element.findtext(f"bndbox/{edge}", "")) for edge in edges)
    return Box(element.findtext("name", ""), left - 1, top - 1, right, bottom)


def imagenet_sample(data: Path) -> list[Sample]:
    """900 photographs, one per class; the label follows the class's number in the file name."""
    return [Sample(p.stem, p, label=p.stem.partition("_")[2]) for p in jpegs(data / "imagenet_sample")]


def photographs(data: Path) -> list[np.ndarray]:
    """Read the ImageNet sample: 900 photographs, (H, W, 3) uint8 each, in the order of their names."""
    return [sample.pixels() for sample in imagenet_sample(data)]


def cifar10(data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of CIFAR-10 from `data/cifar10/{split}.zip`, which holds one folder per class.

    Args:
        data: Folder with the data sets.
        split: "train" or "test".

    Returns:
        Images (N, 32, 32, 3) uint8 and class numbers (N,) int64, in the order of the names in the archive.
    """
    images, labels = [], []
    with zipfile.ZipFile(data / "cifar10" / f"{split}.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".png"))):
            with Image.open(BytesIO(archive.read(name))) as image:
                images.append(np.asarray(image.convert("RGB")))
            labels.append(CIFAR10.index(Path(name).parent.name))
    return np.stack(images), np.array(labels)


def caltech101(data: Path, split: str) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Photographs of 101 kinds of things, short side 128 px (Caltech 101; Fei-Fei, Fergus, Perona 2004; CC BY 4.0).

    Args:
        data: Folder with caltech101.zip, which holds one folder per class.
        split: "train", or "test" for every fifth picture of each class; of the background folder, which is no class,
            all but every fifth are in "train", with class number -1, and none in "test".

    Returns:
        Pictures (H, W, 3) uint8, class numbers (N,) int64, and the names of the classes.
    """
    with zipfile.ZipFile(data / "caltech101.zip") as archive:
        paths = sorted(name for name in archive.namelist() if name.lower().endswith(".jpg"))
        classes = sorted({Path(path).parent.name for path in paths} - {CALTECH_BACKGROUND})
        pictures, labels = [], []
        for folder in (CALTECH_BACKGROUND, *classes):
            for number, path in enumerate(path for path in paths if Path(path).parent.name == folder):
                label = classes.index(folder) if folder in classes else -1
                if (number % 5 == 4) != (split == "test") or (split == "test" and label < 0):
                    continue
                with Image.open(BytesIO(archive.read(path))) as image:
                    pictures.append(np.asarray(image.convert("RGB")))
                labels.append(label)
    return pictures, np.array(labels), classes


def check(data: Path) -> Iterator[str]:
    """What is wrong with the files of the data sets: a line per problem, which begins with the file."""
    loaders: dict[str, Callable[[], list[Sample]]] = {
        "kvasir_seg/train": partial(kvasir_seg, data, "train"),
        "kvasir_seg/val": partial(kvasir_seg, data, "val"),
        "kvasir_shortcuts": partial(kvasir_shortcuts, data),
        "bccd": partial(bccd, data),
        "imagenet_sample": partial(imagenet_sample, data),
    }
    kinds = {"bccd": CELLS, "kvasir_shortcuts": SHORTCUTS}
    for name, load in loaders.items():
        try:
            samples = load()
        except OSError as error:
            yield f"{name}: {error}"
            continue
        for sample in samples:
            yield from _problems(sample, kinds.get(name, ()))
    for split in ("train", "test"):
        try:
            cifar10(data, split)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            yield f"cifar10/{split}.zip: {error}"


def _problems(sample: Sample, kinds: tuple[str, ...]) -> Iterator[str]:
    try:
        height, width = sample.pixels().shape[:2]
        if sample.mask_path is not None and not sample.truth().any():
            yield f"{sample.mask_path}: shows nothing"
        boxes = sample.find_boxes()
    except (OSError, ValueError) as error:
        yield str(error)
        return
    if kinds == CELLS and not boxes:  # a picture may show no shortcut, but every smear shows cells
        yield f"{sample.path}: its annotation has no box"
    for box in boxes:
        if box.kind not in kinds:
            yield f"{sample.path}: kind must be one of {', '.join(kinds)}; got {box.kind!r}"
        if not (0 <= box.xmin < box.xmax <= width and 0 <= box.ymin < box.ymax <= height):
            yield f"{sample.path}: a box must be inside the picture of {width} x {height} px and not empty; got {box}"


def _opened(path: Path) -> Image.Image:
    """The whole picture, decoded and turned upright."""
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError) as error:  # Pillow does not always say which file
        raise OSError(f"{path}: cannot be read as a picture: {error}") from error


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("the data sets")
    problems = 0
    for problem in check(parser.parse_args().data):
        print(problem, flush=True)
        problems += 1
    print(f"{problems} problems" if problems != 1 else "1 problem")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
