"""Labels of a volume, slice by slice, for another volume with the same voxels: a NIfTI of labels, or a DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.dicom.segmentation import Segmentation
from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.volumes.image import open_image
from relax.io.volumes.series import SeriesVolume
from relax.io.volumes.volume import Volume

with medical_extra():
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import inv_ornt_aff, io_orientation

_CLOSE = 0.01  # of a voxel, by which the places of two volumes may differ


class Labels:
    """Where one label lies in a volume.

    Args:
        volume: (X, Y, Z) of labels.
        label: The number of the label; None where there is one beside 0.

    Raises:
        ImageError: If none is named, and there are several.
    """

    def __init__(self, volume: Volume, label: float | None = None) -> None:
        self.volume, self.label = volume, label
        if label is None:
            with decoding_errors():
                labels = np.unique(np.asanyarray(volume.image.dataobj))
            if len(others := labels[labels != 0]) > 1:
                first = ", ".join([*(f"{value:g}" for value in others[:8]), *(["..."] if len(others) > 8 else [])])
                raise ImageError(f"has the labels {first}; name one, as in labels.nii.gz#label={others[0]:g}")

    @classmethod
    def open(cls, path: str | Path, label: float | None = None) -> Labels:
        """The labels of a NIfTI file.

        Raises:
            ImageError: If it cannot be read, holds several volumes or colours, or several labels and none is named.
        """
        with decoding_errors():
            image = open_image(Path(path))
            if len(image.shape) > 3 and any(side > 1 for side in image.shape[3:]):
                raise ImageError("holds several volumes; labels are one")
            if image.get_data_dtype().kind not in "iufb":
                raise ImageError("holds colours; labels are one number a voxel")
            return cls(_volume(image), label)

    @classmethod
    def of_segment(cls, segmentation: Segmentation, series: SeriesVolume) -> Labels:
        """A segment that was drawn on the slices of a series, in its geometry."""
        known = [part.instance in segmentation.sources for part in series.slices]
        if not any(known):
            raise ImageError("was drawn on other pictures than this series: none of its references is to it")
        nothing = np.zeros(series.place.size, dtype=bool)
        masks = [
            segmentation.mask(part.instance, part.frame) if referred else nothing
            for part, referred in zip(series.slices, known, strict=True)
        ]
        if others := [mask.shape for mask in masks if mask.shape != nothing.shape]:
            raise ImageError(f"has frames of {others[0]}, and the slices are {nothing.shape}")
        values = np.stack(masks).astype(np.uint8).T
        return cls(_volume(Nifti1Image(values, series.affine)), 1)  # type: ignore[no-untyped-call]

    def check(self, volume: Volume) -> None:
        """Refuse a volume of other voxels.

        Raises:
            ImageError: If shape or affine differ, whatever order the files store their axes in.
        """
        (own, own_shape), (other, other_shape) = map(_canonical, (self.volume, volume))
        if own_shape != other_shape:
            shapes = [" x ".join(map(str, shape)) for shape in (own_shape, other_shape)]
            raise ImageError(f"has {shapes[0]} voxels, and the volume {shapes[1]}: resample it to the volume first")
        if not np.allclose(own, other, rtol=0, atol=_CLOSE * float(np.abs(other[:3, :3]).max())):
            raise ImageError(
                "has another affine than the volume, so it lies elsewhere: resample it to the volume first"
            )

    def inside(self, axis: str | int, index: int) -> NDArray[np.bool_]:
        """(H, W) bool: a slice, turned as it is shown."""
        values = self.volume.values(axis, index)
        return np.asarray(values != 0 if self.label is None else values == self.label)


def label_of(choice: str) -> float | None:
    """The number in "label=2"; None where nothing is chosen.

    Raises:
        ImageError: If something else is.
    """
    if not choice:
        return None
    name, _, text = choice.partition("=")
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if name != "label" or not np.isfinite(number):
        raise ImageError(f"the text after # of labels must be label=NUMBER; got {choice!r}")
    return number


def _volume(image: Any) -> Volume:
    """A volume whose values are no picture, so that it has no window."""
    orientation = io_orientation(image.affine)  # type: ignore[no-untyped-call]
    if not np.isfinite(orientation).all():
        raise ImageError("its affine is singular; its volume has no defined axes")
    how: Mapping[str, Any] = {}
    return Volume(image, None, orientation, 0.0, 1.0, dict(how))


def _canonical(volume: Volume) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """The affine and shape in the order sagittal, coronal, axial."""
    shape = (*volume.image.shape, 1, 1)[:3]
    affine = volume.image.affine @ inv_ornt_aff(volume.orientation, shape)  # type: ignore[no-untyped-call]
    return affine, tuple(volume.count(axis) for axis in range(3))
