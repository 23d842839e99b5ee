"""A volume file as nibabel opens it: its header checked before memory is allocated, its values a slab at a time.

Source: the NIfTI-1 header (nifti1.h) for scaling and colours; nibabel reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.limits import check_bytes

with medical_extra():
    import nibabel as nib
    from nibabel.analyze import AnalyzeImage
    from nibabel.filebasedimages import ImageFileError
    from nibabel.freesurfer.mghformat import MGHImage
    from nibabel.imageglobals import LoggingOutputSuppressor

_SLAB = 1 << 20  # voxels that are read at once
_SLAB_BYTES = 40  # that a voxel takes meanwhile: scaled, in order, chosen, and as much of the slab before
_MAX_DEFLATE_RATIO = 1032  # bytes per compressed byte (zlib, "Technical Details")


def open_image(path: Path) -> Any:
    """The file as nibabel opens it, its header checked and its values not loaded; an ImageError if it is damaged."""
    try:
        with LoggingOutputSuppressor():  # what is wrong with a header is told by the error, not on the terminal
            image = nib.load(path, keep_file_open=True)  # its slabs come one after the other, without unpacking again
    except ImageFileError:
        raise ImageError("is not a NIfTI file, or damaged") from None
    if not isinstance(image, AnalyzeImage | MGHImage):  # of which all NIfTIs are kinds
        raise ImageError("is not a NIfTI file")
    shape, dtype = tuple(int(size) for size in image.shape), image.get_data_dtype()
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError(f"has the shape {shape}; a volume has three axes, a slice two")
    if dtype.kind not in "iuf" and not colours(image):
        raise ImageError(f"must hold one real number, or red, green and blue, per voxel; got {dtype}")
    sides = three_axes(shape)
    voxels, slice_ = math.prod(sides), math.prod(sorted(sides)[1:])
    at_once = max(slice_, min(_SLAB, voxels)) * max(1, colours(image))
    needed = max(8, dtype.itemsize) * voxels + _SLAB_BYTES * at_once
    check_bytes(needed, f"{' x '.join(map(str, sides))} voxels")
    _check_size(path, image)
    if not np.isfinite(image.affine).all():
        raise ImageError("its affine is not finite; its volume has no defined axes")
    return image


def colours(image: Any) -> int:
    """How many bytes of colour a voxel has: 3, 4 with alpha, or 0 for a number."""
    names = image.get_data_dtype().names or ()
    return len(names) if "".join(names) in ("RGB", "RGBA") else 0


def three_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes along the three axes of space, 1 along those that are missing."""
    return (*shape, 1)[:3]


def _check_size(path: Path, image: Any) -> None:
    """Refuse a header that claims more than the file can hold, before memory is allocated."""
    stored: Any = image.dataobj
    claimed = stored.offset + math.prod(image.shape) * stored.dtype.itemsize
    path = Path(image.file_map["image"].filename or path)  # of a pair, which has the values
    compressed = path.name.lower().endswith("z")
    if claimed > path.stat().st_size * (_MAX_DEFLATE_RATIO if compressed else 1):
        raise ImageError(f"is damaged or truncated (its header claims {claimed:,} bytes)")


def volume_number(shape: tuple[int, ...], volume: int | None) -> int | None:
    """The number of the volume in a file of this shape; None where there is one.

    Raises:
        ImageError: If there are several and none is named, or no such volume.
    """
    further = [size for size in shape[3:] if size > 1]
    if len(further) > 1:
        raise ImageError(f"has {len(shape)} axes of {shape}; save one volume as a file of its own")
    count = further[0] if further else 1
    if volume is None and count > 1:
        raise ImageError(f"holds {count} volumes; name one, from 0, as in volume.nii.gz#axial=40&volume={count // 2}")
    if volume is not None and not 0 <= volume < count:
        raise ImageError(f"volume must be from 0 to {count - 1}; got {volume}")
    return volume if count > 1 else None


def values_at(image: Any, index: list[slice], number: int | None) -> NDArray[np.float64]:
    """(x, y, z, C) the scaled values of the file at an index along its three axes."""
    shape = image.shape
    further = tuple((number or 0) if size > 1 else 0 for size in shape[3:])
    stored: Any = image.dataobj
    values = np.ascontiguousarray(stored[(*index[: len(shape)], *further)])
    values = values if values.ndim == 3 else values[..., None]
    channels = colours(image)
    return (values.view(np.uint8).reshape(*values.shape, channels) if channels else values[..., None]).astype(
        np.float64
    )


def slabs(image: Any, number: int | None) -> Iterator[NDArray[np.float64]]:
    """All scaled values, a few slices of the last axis at a time."""
    width, height, depth = three_axes(image.shape)
    step = max(1, _SLAB // (width * height))
    for start in range(0, depth, step):
        yield values_at(image, [slice(None), slice(None), slice(start, start + step)], number)
