"""Pixels of synthetic DICOM objects, with the elements that describe them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset


def set_pixels(
    dataset: Dataset, values: NDArray[Any], *, frames: int = 0, photometric: str = "", bits: int = 0
) -> Dataset:
    """Give a data set these stored values, native and uncompressed.

    Args:
        dataset: Gets the elements.
        values: (H, W) or (H, W, 3); with `frames`, so many of them in front.
        frames: Number of frames; 0 is a single picture, without the element.
        photometric: 'Photometric Interpretation'; by default RGB or MONOCHROME2.
        bits: 'Bits Stored'; by default all that are allocated.

    Returns:
        The data set.
    """
    shape = values.shape[1:] if frames else values.shape
    is_colour = len(shape) == 3
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.SamplesPerPixel = 3 if is_colour else 1
    if is_colour:
        dataset.PlanarConfiguration = 0
    if frames:
        dataset.NumberOfFrames = frames
    dataset.PhotometricInterpretation = photometric or ("RGB" if is_colour else "MONOCHROME2")
    dataset.BitsAllocated = values.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    return dataset
