"""Pictures of several data sets in one tar, with planted copies and marks: a folder whose faults are known.

About 71 % are pictures as they are (CIFAR-10, Caltech 101, the ImageNet sample, Kvasir-SEG, BCCD); 2 % each are copies
of one of them of every kind in `COPIES`; the rest are augmented (another crop, brightness and contrast, half mirrored),
as folders for training are. Two marks: a printed label at bottom left in 60 % of the trucks of CIFAR-10, and a
watermark at random places in half of the aeroplanes of Caltech 101. Copies stand beside their originals and have no
mark.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from experiments.data.planted import label, plant

AS_THEY_ARE, EACH_KIND = 0.71, 0.02  # shares
COPIES = ("exact", "rescaled", "recompressed", "mirrored", "cropped")
MARKS = {"cifar10/train/truck": ("label", 0.6), "caltech101/airplanes": ("watermark", 0.5)}
PLACE = (0.82, 0.04)  # top and left of the label

Read: TypeAlias = Callable[[], bytes]


@dataclass(frozen=True)
class Planted:
    """One picture of the tar.

    Attributes:
        member: Its name.
        family: The member that it was made from; its own for one that is as it is.
        kind: "", one of `COPIES`, or "augmented".
        mark: "", "label" or "watermark".
    """

    member: str
    family: str
    kind: str = ""
    mark: str = ""


def write_tar(data: Path, out: Path, count: int, seed: int) -> tuple[Path, list[Planted]]:
    """Write `count` pictures to pictures.tar, and what they are to planted.csv, unless they are there.

    Args:
        data: Folder with the data sets.
        out: Where to write.
        count: Pictures in all.
        seed: The only source of randomness.
    """
    tar, table = out / "pictures.tar", out / "planted.csv"
    if table.is_file():
        with table.open(newline="") as stream:
            return tar, [Planted(*row) for row in list(csv.reader(stream))[1:]]
    out.mkdir(parents=True, exist_ok=True)
    planted: list[Planted] = []
    with tarfile.open(tar, "w") as archive:
        for picture, content in pictures(data, count, np.random.default_rng(seed)):
            entry = tarfile.TarInfo(picture.member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            planted.append(picture)
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([[field.name for field in fields(Planted)], *map(astuple, planted)])
    return tar, planted


def pictures(data: Path, count: int, rng: np.random.Generator) -> Iterator[tuple[Planted, bytes]]:
    """The pictures with their files."""
    files = list(originals(data))
    chosen = sorted(rng.permutation(len(files))[: round(AS_THEY_ARE * count)])
    plain: list[tuple[str, Read]] = []
    for place in chosen:
        name, read = files[place]
        mark, share = MARKS.get(name.rpartition("/")[0], ("", 0.0))
        if rng.random() < share:
            yield Planted(name, name, mark=mark), marked(read(), mark, rng)
        else:
            plain.append((name, read))
            yield Planted(name, name), read()
    order = rng.permutation(len(plain)).tolist()
    each = round(EACH_KIND * count)
    rest = count - len(chosen) - each * len(COPIES)
    kinds = [kind for kind in COPIES for _ in range(each)] + ["augmented"] * rest
    for number, kind in enumerate(kinds):
        name, read = plain[order[number % len(order)]]
        yield Planted(f"{name.rpartition('.')[0]}_{number:06}.jpg", name, kind), copied(read(), kind, rng)


def originals(data: Path) -> Iterator[tuple[str, Read]]:
    """Name and reader of every picture."""
    zips = {f"cifar10/{split}": data / "cifar10" / f"{split}.zip" for split in ("train", "test")}
    for name, file in (zips | {"caltech101": data / "caltech101.zip"}).items():
        archive = zipfile.ZipFile(file)
        for member in sorted(archive.namelist()):
            if member.lower().endswith(".jpg"):
                yield f"{name}/{member}", partial(archive.read, member)
    folders = {"imagenet": "imagenet_sample", "kvasir": "kvasir_seg/train/images", "blood": "bccd/images"}
    for name, folder in folders.items():
        for path in sorted((data / folder).glob("*.jpg")):
            yield f"{name}/{path.name}", path.read_bytes


def copied(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A copy of one of the `COPIES`, or an augmented one."""
    if kind == "exact":
        return content
    picture = _opened(content)
    width, height = picture.size
    if kind == "recompressed":
        return _saved(picture, 60)
    if kind == "mirrored":
        return _saved(ImageOps.mirror(picture))
    if kind == "rescaled":
        return _saved(picture.resize((round(0.75 * width), round(0.75 * height)), Image.Resampling.LANCZOS))
    side = 0.9 if kind == "cropped" else rng.uniform(0.6, 0.85)
    left, top = (round(rng.random() * (1 - side) * length) for length in (width, height))
    picture = picture.crop((left, top, left + round(side * width), top + round(side * height)))
    if kind == "cropped":
        return _saved(picture)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.3))
    picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.7, 1.3))
    return _saved(ImageOps.mirror(picture) if rng.random() < 0.5 else picture, 90)


def marked(content: bytes, mark: str, rng: np.random.Generator) -> bytes:
    """A picture with a mark."""
    pixels = np.asarray(_opened(content))
    if mark == "label":
        return _saved(Image.fromarray(label(pixels, *PLACE)))
    return _saved(Image.fromarray(plant(pixels, "watermark", rng=rng, share=0.25)[0]))


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def _saved(picture: Image.Image, quality: int = 95) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
