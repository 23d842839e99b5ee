"""The real images that the recipes and evaluations read, from a folder that the caller names."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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


def photographs(data: Path) -> list[np.ndarray]:
    """Read the ImageNet sample: 900 photographs, (H, W, 3) uint8 each, in the order of their names."""
    photos = []
    for path in sorted((data / "imagenet_sample").glob("*.jpg")):
        with Image.open(path) as image:
            photos.append(np.asarray(image.convert("RGB")))
    if not photos:
        raise FileNotFoundError(f"no *.jpg in {data / 'imagenet_sample'}")
    return photos
