"""The region of a picture within which masks vary, from whatever names it, as (H, W) bool in the frame of the picture.

within="polyp.png"                a mask of the picture's size: 0 is outside, its one other level inside
within="masks"                    a folder of such masks, each with the name of its picture
within=array                      (H, W) bool, or numbers of two levels, one of them 0
within=(40, 60, 200, 180)         a box: left, top, right, bottom in pixels from 0, edges not centres; "40,60,200,180"
within="lung.nii.gz#label=2"      a label of a NIfTI volume, for a slice of a volume with the same voxels
within="lesion.dcm#segment=1"     a segment of a DICOM SEG, for a frame that it refers to
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from encoders.folders import image_endings
from encoders.values import described, unreadable
from relax.box import Box, box_of, in_words
from relax.io.choice import split_choice
from relax.io.datasets import Row, picture_of
from relax.io.errors import ImageError
from relax.io.images import name_of
from relax.io.regions.masks import is_lossy, mask_values

Inside = NDArray[np.bool_]

_BETWEEN, _SPECKS = 1 / 8, 0.02  # of a lossy mask: what is neither black nor white, and the share that may be


@dataclass(frozen=True)
class Within:
    """A region of a picture.

    Attributes:
        inside: (H, W), True where pixels may be hidden.
        named: What errors and records call it.
    """

    inside: Inside
    named: str

    @property
    def share(self) -> float:
        """Of the picture, above 0."""
        return float(self.inside.mean())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the shape and the pixels."""
        return sha256(repr(self.inside.shape).encode() + np.packbits(self.inside).tobytes()).hexdigest()

    def reduced(self, size: tuple[int, ...]) -> Within:
        """The same in a smaller picture (h, w): the region at the centre of each of its pixels."""
        rows, columns = (
            np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
            for new, old in zip(size, self.inside.shape, strict=True)
        )
        return Within(self.inside[np.ix_(rows, columns)], self.named)

    def record(self) -> dict[str, Any]:
        """Name, SHA-256 and share of the picture, as JSON types."""
        return {"named": self.named, "sha256": self.digest, "share": float(f"{self.share:.4g}")}


def slices_of(within: object, volume: Any, axis: str, numbers: Sequence[int]) -> dict[int, Within] | None:
    """The region in slices of a volume, by their numbers, but for those that have nothing of it.

    Args:
        within: What names it.
        volume: The `relax.io.volumes.volume.Volume`.
        axis: The plane of the slices.
        numbers: Of the slices.

    Returns:
        None where it is not drawn in a volume, so that one region is meant for each slice.

    Raises:
        ValueError: If it is of another volume, or none of the slices has anything of it.
    """
    if not isinstance(within, str | os.PathLike) or split_choice(os.fspath(within))[1] is None:
        return None
    from relax.io.regions.drawn import labels_in

    named = name_of(within)
    try:
        labels = labels_in(os.fspath(within), volume)
        regions = {index: Within(labels.inside(axis, index), named) for index in numbers}
    except ImageError as error:
        raise ValueError(f"within: {named}: {error}") from None
    regions = {index: region for index, region in regions.items() if region.inside.any()}
    if not regions:
        raise ValueError(f"within must cover a pixel of a slice; {named} covers none of these {axis} slices")
    return regions


def read_within(within: object, image: object, pixels: Tensor, read: Mapping[str, Any]) -> Within | None:
    """The region that is named, for one picture; None where none is.

    Args:
        within: What names it, see above.
        image: The picture as the caller gave it; files of slices and frames must belong to its own.
        pixels: (1, C, H, W) the picture.
        read: How it was read, as `read_with_record` says.

    Raises:
        ValueError: If it cannot be used for this picture, or covers no pixel; the message begins with "within".
    """
    if isinstance(image, Row) and image.within is not None:
        within = image.within
    if within is None:
        return None
    if isinstance(within, Within):  # read already
        return within
    if isinstance(within, str | os.PathLike) and Path(within).is_dir():
        within = _in_folder(Path(within), image)
    named = _name(within, image)
    try:
        inside = _inside(within, image, pixels.shape, read)
    except ImageError as error:
        text = str(error)
        raise ValueError(f"within: {text if text.startswith(named) else f'{named}: {text}'}") from None
    height, width = pixels.shape[-2:]
    if inside.shape != (height, width):
        raise ValueError(
            f"within must have the size of the picture, {width} x {height} px; {named} has {inside.shape[1]} x "
            f"{inside.shape[0]}"
        )
    if not inside.any():
        raise ValueError(f"within must cover a pixel of the picture; {named} covers none")
    return Within(inside, named)


def _inside(within: object, image: object, size: Sequence[int], read: Mapping[str, Any]) -> Inside:
    if (box := box_of(within, "within")) is not None:
        return _boxed(box, (size[-2], size[-1]))
    if isinstance(within, np.ndarray | Tensor):
        return _of_array(within)
    if isinstance(within, Image.Image):
        return two_levels(np.asarray(within.convert("L") if within.mode not in ("1", "L", "P", "I;16") else within))
    if not isinstance(within, str | os.PathLike):
        raise ValueError(f"within must be a mask, a box or a file; got {described(within)}")
    path, kind, _ = split_choice(os.fspath(within))
    if kind is not None:
        from relax.io.regions.drawn import drawn_on

        return drawn_on(os.fspath(within), picture_of(image), read)
    return _of_file(path)


def two_levels(values: NDArray[Any], *, lossy: bool = False) -> Inside:
    """Where values (H, W) of two levels, one of them 0, are not 0; of a lossy file, in [0, 1], above half.

    Raises:
        ValueError: If they have other levels.
    """
    if values.dtype == np.bool_:
        return values
    if lossy:
        between = float(((values > _BETWEEN) & (values < 1 - _BETWEEN)).mean())
        if between <= _SPECKS:
            return np.asarray(values > 0.5)
        raise ValueError(
            f"within must be a mask in black and white; {between:.0%} of its pixels are grey: save it as PNG"
        )
    inside = values != 0
    levels = values[inside]
    if not levels.size:
        return np.asarray(inside)
    low, high = levels.min(), levels.max()
    if not low == high or not math.isfinite(float(low)):
        raise ValueError(
            f"within must be a mask of two levels, 0 outside and one other inside; its others run from {low:.4g} to "
            f"{high:.4g}: make it one, as in mask == 2, or mask > 0"
        )
    return np.asarray(inside)


def _boxed(box: Box, size: tuple[int, int]) -> Inside:
    left, top, right, bottom = box
    if right > size[1] or bottom > size[0]:
        raise ValueError(f"within must lie in the picture of {size[1]} x {size[0]} px; {in_words(box)} leaves it")
    inside = np.zeros(size, dtype=bool)
    inside[round(top) : round(bottom), round(left) : round(right)] = True
    return inside


def _of_array(within: NDArray[Any] | Tensor) -> Inside:
    if isinstance(within, Tensor):
        if reason := unreadable(within):
            raise ValueError(f"within must hold real numbers; got {reason}")
        tensor = within.detach().cpu()
        within = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if within.dtype.kind not in "buif" or isinstance(within, np.ma.MaskedArray):
        raise ValueError(f"within must be (H, W) bool or of two levels; got {described(within)}")
    values = within.reshape([side for side in within.shape if side != 1]) if within.ndim > 2 else within
    if values.ndim != 2:
        raise ValueError(f"within must be (H, W), one value a pixel; got {described(within)}")
    return two_levels(values)


def _of_file(path: Path) -> Inside:
    return two_levels(mask_values(path), lossy=is_lossy(path))


def _in_folder(folder: Path, image: object) -> Path:
    """The mask with the name of the picture."""
    source = picture_of(image)
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "within is a folder, and the picture has no file name by which its mask is found: give the mask"
        )
    picture = Path(os.fspath(source))
    stem = picture.name.removesuffix(".gz")
    stem = Path(stem).stem
    masks = [path for ending in image_endings() if (path := folder / f"{stem}{ending}").is_file()]
    masks = [path for path in masks if path.resolve() != picture.resolve()]
    if len(masks) != 1:
        what = "has several" if masks else "has none"
        raise ValueError(f"within must have one mask for the picture, named as it is; {folder} {what}")
    return masks[0]


def _name(within: object, image: object) -> str:
    """What it is called; not by its path where that of the picture is hidden, which may name a patient."""
    if (box := box_of(within, "within")) is not None:
        return in_words(box)
    if isinstance(within, str | os.PathLike):
        picture = picture_of(image)
        hidden = isinstance(picture, str | os.PathLike) and name_of(picture) != os.fspath(picture)
        return "a file" if hidden else name_of(within)
    return name_of(within)
