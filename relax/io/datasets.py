"""Pictures out of data sets and data loaders of torch, one at a time; labels are ignored.

A row is what a data set gives for an index: a picture, a tuple that begins with one, or a dict that holds one. A loader
gives batches of rows, the pictures stacked or in a list. Whatever else has a length and items by index counts as a
data set too, such as those of Hugging Face; arrays do not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from relax.io.errors import ImageError
from relax.text import listed, shortened

KEYS = ("image", "img", "pixel_values", "pixels")  # of the picture in a dict, the first that is there


@dataclass(frozen=True)
class Row:
    """A picture out of a data set.

    Attributes:
        picture: As `relax.io.images.read_image` takes it.
        name: Of the data set, and the number in it, from 0.
        within: What names the region in it that masks vary in, where it has its own; see `relax.io.regions.within`.
    """

    picture: Any
    name: str
    within: Any = None


def is_dataset(source: object) -> bool:
    """Whether it gives pictures one after the other, or in batches."""
    if isinstance(source, Dataset | DataLoader):
        return True
    excluded = isinstance(source, Sequence | Mapping | Tensor | Image.Image) or hasattr(source, "__array__")
    return not excluded and hasattr(source, "__len__") and hasattr(source, "__getitem__")


def is_row(source: object) -> bool:
    """Whether it is a picture with its labels: a dict, or a tuple of a picture and what can be no picture."""
    if isinstance(source, Mapping):
        return True
    if not isinstance(source, tuple) or len(source) < 2 or not _is_picture(source[0]):
        return False
    return not any(_is_picture(part) and not _is_label(source[0], part) for part in source[1:])


def picture_of(source: Any) -> Any:
    """The picture of a row; anything else as it is.

    Raises:
        ImageError: If a dict holds no picture, or several and none under a usual name.
    """
    if isinstance(source, Row):
        return source.picture
    if isinstance(source, Mapping):
        key = next((key for key in KEYS if key in source), None)
        keys = [key] if key is not None else [key for key, value in source.items() if _is_pixels(value)]
        if len(keys) != 1:
            given = f"the keys {listed([shortened(str(key), 40) for key in source])}" if source else "no keys"
            raise ImageError(f"a row must hold its picture as {', '.join(KEYS)}; got {given}")
        return source[keys[0]]
    return source[0] if is_row(source) else source


def rows(dataset: Any) -> Iterator[Row]:
    """The pictures of a data set or loader, each read when it is its turn."""
    name = type(dataset).__name__
    for number, picture in enumerate(_pictures(dataset)):
        yield Row(picture, f"{name}[{number}]")


def _pictures(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, DataLoader) and dataset.batch_sampler is not None:
        for batch in dataset:
            yield from _of_batch(batch)
    elif isinstance(dataset, DataLoader | IterableDataset) or not hasattr(dataset, "__len__"):
        yield from map(_of_row, dataset)
    else:  # data sets need not end with an IndexError
        yield from (_of_row(dataset[number]) for number in range(len(dataset)))


def _of_row(row: Any) -> Any:
    """The picture of what a data set gave for an index, where it stands first."""
    return row[0] if isinstance(row, tuple | list) else picture_of(row)


def _of_batch(batch: Any) -> Iterable[Any]:
    """The pictures of a batch: stacked, in a list, or in a list of rows."""
    if isinstance(batch, Mapping):
        return cast(Iterable[Any], picture_of(batch))
    if isinstance(batch, Tensor | np.ndarray):
        return cast(Iterable[Any], batch)
    first = batch[0]
    if is_row(first):
        return map(_of_row, batch)
    stacked = isinstance(first, Tensor | np.ndarray) and (first.ndim == 4 or not all(map(_is_picture, batch)))
    return cast(Iterable[Any], first if stacked or not _is_picture(first) else batch)


def _is_pixels(value: object) -> bool:
    return isinstance(value, Image.Image) or (isinstance(value, np.ndarray | Tensor) and value.ndim >= 2)


def _is_picture(value: object) -> bool:
    return isinstance(value, str | os.PathLike | Row) or _is_pixels(value)


def _is_label(picture: object, text: object) -> bool:
    """Whether a text behind a picture names its class; behind a path, or where there is such a file, it is a path."""
    return isinstance(text, str) and not isinstance(picture, str | os.PathLike) and not Path(text).is_file()
