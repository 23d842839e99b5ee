"""The pictures of the studies: out of a folder or out of one of the data sets, evenly spaced over the sorted names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.data.composed import composed
from experiments.data.datasets import bccd, cifar10, imagenet_sample, jpegs, kvasir_seg

DATASETS = ("kvasir", "bccd", "composed", "imagenet", "cifar10")
SMEAR = Path(__file__).parents[1] / "samples" / "blood_smear.jpg"
"""The picture that comes with the experiments: a blood smear (BCCD, MIT)."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8, and the truth (H, W) bool where there is one."""

    name: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool_] | None = None


def pictures(dataset: str, data: Path, count: int) -> list[Picture]:
    """`count` pictures of one of `DATASETS`; of the blood smears, only those with a white blood cell."""
    if dataset == "composed":
        return [Picture(sample.name, sample.pixels(), sample.truth()) for sample in composed(count)]
    if dataset == "cifar10":
        images, _ = cifar10(data, "test")
        return [Picture(f"cifar10-{index}", images[index]) for index in chosen(range(len(images)), count)]
    if dataset == "imagenet":
        return [Picture(sample.name, sample.pixels()) for sample in chosen(imagenet_sample(data), count)]
    if dataset == "kvasir":
        samples = chosen(kvasir_seg(data, "val"), count)
        return [Picture(sample.name, sample.pixels(), sample.truth()) for sample in samples]
    smears = [sample for sample in bccd(data) if any(box.kind == "WBC" for box in sample.find_boxes())]
    return [Picture(sample.name, sample.pixels(), sample.truth("WBC")) for sample in chosen(smears, count)]


def photographs_in(folder: Path, count: int, offset: float = 0.5) -> list[Path]:
    """`count` of the *.jpg in a folder. FileNotFoundError if there is none."""
    return chosen(jpegs(folder), count, offset)


def chosen(items: Sequence[Item], count: int, offset: float = 0.5) -> list[Item]:
    """`count` of the items, or all of fewer, evenly spaced; `offset` is the share of a gap before the first."""
    total, count = len(items), min(count, len(items))
    return [items[int((number + offset) * total / count)] for number in range(count)]
