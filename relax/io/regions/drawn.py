"""Regions that were drawn in medical files, for the picture that they belong to: labels of a NIfTI, segments of a SEG.

    labels.nii.gz#label=2       the label 2; without a choice the one that there is
    lesion.dcm#segment=1        the segment of that number or label

Labels belong to a slice of a volume with the same voxels at the same places, a segment to the pictures that its file
refers to. Of a DICOM series either belongs to all slices, also of planes that cut across them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.choice import parse, plane_of, split_choice
from relax.io.dicom.reading import read_elements
from relax.io.dicom.segmentation import Segmentation
from relax.io.errors import ImageError
from relax.io.regions.labels import Labels, label_of
from relax.io.volumes.opening import open_volume
from relax.io.volumes.volume import Volume


def drawn_on(within: str, image: object, read: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(H, W) bool: the region in a picture.

    Args:
        within: Its address.
        image: That of the picture.
        read: How the picture was read.

    Raises:
        ImageError: If it cannot be read, or belongs to another picture.
    """
    if not isinstance(image, str | os.PathLike):
        raise ImageError("belongs to a picture in a file, and this has none: give its mask (H, W) instead")
    path, kind, choice = split_choice(os.fspath(image))
    plane = None if kind is None else plane_of(parse(choice, kind)) or read.get("axis")
    _, drawn_kind, _ = split_choice(within)
    if kind == "dicom" and plane is None:
        if drawn_kind != "dicom":
            raise ImageError(
                "holds labels of a volume, and the picture is none of its slices: name one, scans#axial=40"
            )
        instance = str(read_elements(path, ("SOPInstanceUID",)).get("SOPInstanceUID"))
        return _segment(within).mask(instance, int(read.get("frame") or 1))
    if plane is None:
        raise ImageError("belongs to a slice or frame of a medical file, and the picture is none: give a mask of it")
    return labels_in(within, open_volume(os.fspath(image))).inside(str(plane), int(read["slice"]))


def labels_in(within: str, volume: Volume) -> Labels:
    """The region in all slices of a volume.

    Raises:
        ImageError: If it cannot be read, or belongs to another volume.
    """
    path, kind, choice = split_choice(within)
    if kind == "dicom":
        if volume.series is None:
            raise ImageError("is DICOM and refers to DICOM, and the volume is NIfTI: give labels as NIfTI")
        return Labels.of_segment(_segment(within), volume.series)
    labels = Labels.open(path, label_of(choice))
    labels.check(volume)
    return labels


def is_drawn(within: object) -> bool:
    """Whether it is the address of a medical file."""
    return isinstance(within, str | os.PathLike) and split_choice(os.fspath(within))[1] in ("dicom", "nifti")


def _segment(within: str) -> Segmentation:
    path, _, choice = split_choice(within)
    name, _, segment = choice.partition("=")
    if choice and name != "segment":
        raise ImageError(f"the text after # of a SEG must be segment=NUMBER or its label; got {choice!r}")
    return Segmentation.open(Path(path), segment or None)
