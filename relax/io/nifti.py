"""Read NIfTI volumes slice by slice, and place maps of slices back into the volume.

Names and numbers of slices refer to the canonical order of a volume, x to the patient's right, y to the front, z to the
head, whatever order the file stores. A slice is shown by radiological convention: the front of the body up in axial
slices and the head up in the others; the patient's right on the left, or in sagittal slices the front.

Source: the NIfTI-1 header (nifti1.h) for scaling, display range and orientation; nibabel reads them.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import MAX_PIXELS, ImageError, in_one_line
from relax.io.extra import medical_extra
from relax.io.picture import AXES, Picture, Window

with medical_extra():
    import nibabel as nib
    from nibabel.affines import voxel_sizes
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

MAX_VOXELS = 1 << 28
"""Volumes (of one time point) with more voxels are refused by their header: reading takes up to 24 bytes per voxel."""

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])
_PERCENTILES = (0.5, 99.5)
_MAX_DEFLATE_RATIO = 1032  # bytes per compressed byte (zlib, "Technical Details")


def read_nifti(
    path: str | Path,
    axis: str | int = "axial",
    index: int | None = None,
    *,
    volume: int | None = None,
    window: Window | None = None,
) -> Picture:
    """Read one slice of a NIfTI file.

    Args:
        path: A .nii or .nii.gz file.
        axis: "sagittal", "coronal" or "axial", or equivalently 0, 1 or 2. Slices are numbered from the patient's left
            to right, back to front, or feet to head, whichever axis of the file that is.
        index: Number of the slice, from 0 (leftmost, rearmost, lowest).
        volume: Number of the time point or channel of a 4-D file, from 0; required if there are several.
        window: (centre, width) in the scaled values of the file. None takes the display range of the header (cal_min,
            cal_max) if there is one, else the percentiles 0.5 and 99.5 of the whole volume, so that all slices share
            one scale.

    Returns:
        The picture (H, W, 1), with values beyond the window clipped and values that are not finite black; `how` records
        window, spacing, position of the slice in the file, and the number of values that were not finite.

    Raises:
        ImageError: If the file is not a NIfTI volume of real numbers, too large or damaged, or the slice does not exist
            or has no finite value.
    """
    return Volume.open(path, volume, window).picture(axis, index)


@dataclass(frozen=True)
class Volume:
    """One volume of a file, read slice by slice.

    Attributes:
        image: The file as nibabel opens it; its values are not loaded.
        number: Number of the volume in the file; None for a 3-D file.
        orientation: (3, 2) canonical axis and direction of each stored axis, as in nibabel.
        low: Value shown black.
        high: Value shown white.
        how: Record of the window and the volume, as JSON types.
    """

    image: Nifti1Image
    number: int | None
    orientation: NDArray[np.float64]
    low: float
    high: float
    how: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path, volume: int | None = None, window: Window | None = None) -> Volume:
        """Open a file; arguments and errors as for `read_nifti`."""
        image = _opened(Path(path))
        number = _volume_number(image.shape, volume)
        orientation = io_orientation(image.affine)  # type: ignore[no-untyped-call]
        if not np.isfinite(orientation).all():
            raise ImageError("its affine is singular; its volume has no defined axes")
        low, high, used = _window(image, number, window)
        record: dict[str, Any] = {"format": "NIfTI", "orientation": "".join(nib.aff2axcodes(image.affine))}  # type: ignore[no-untyped-call]
        record |= {"volume": number, "window": {"used": used, "low": low, "high": high}}
        choice = {"volume": number, "window": None if window is None else list(window)}  # type: ignore[arg-type]
        record["asked"] = {key: value for key, value in choice.items() if value is not None}
        return cls(image, number, orientation, low, high, record)

    def count(self, axis: str | int) -> int:
        """Number of slices along an axis."""
        return int(self.image.shape[self._stored(axis_number(axis))[0]])

    def picture(self, axis: str | int, index: int | None) -> Picture:
        """One slice; arguments and errors as for `read_nifti`."""
        plane, slices = axis_number(axis), self.count(axis)
        name = list(AXES)[plane]
        if index is None:
            way_out = f"name one, from 0, as in volume.nii.gz#{name}={slices // 2}"
            raise ImageError(f"has {slices} {name} slices; {way_out}, or see relax volume --help")
        if not 0 <= index < slices:
            raise ImageError(f"{name} slice must be from 0 to {slices - 1}; got {index}")
        stored_axis, descending = self._stored(plane)
        stored_slice = slices - 1 - index if descending else index
        values = self._slice(stored_axis, stored_slice, plane)
        finite = np.isfinite(values)
        if not finite.any():
            raise ImageError(f"{name} slice {index} has no finite value")
        unit = (np.where(finite, values, self.low) - self.low) / (self.high - self.low)
        sizes = [float(voxel_sizes(self.image.affine)[self._stored(other)[0]]) for other in range(3) if other != plane]  # type: ignore[no-untyped-call]
        record = {**self.how, "axis": name, "slice": index, "slices": slices}
        record |= {"stored_axis": stored_axis, "stored_slice": stored_slice}
        record |= {"pixel_spacing_mm": sizes[::-1], "square_pixels": bool(np.isclose(sizes[0], sizes[1]))}
        record |= {"not_finite": int(np.count_nonzero(~finite)), "asked": {name: index, **self.how["asked"]}}
        return Picture(unit.clip(0, 1).astype(np.float32)[..., None], record)

    def placed(self, axis: str | int, maps: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Maps (H, W) by slice number, placed in a volume (X, Y, Z) float32 in the order of the file; NaN elsewhere."""
        plane = axis_number(axis)
        shape = [self.count(number) for number in range(3)]
        canonical = np.full(shape, np.nan, dtype=np.float32)
        for index, values in maps.items():
            np.moveaxis(canonical, plane, 0)[index] = values.T[::-1, ::-1]
        to_stored = ornt_transform(_CANONICAL, self.orientation)  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(apply_orientation(canonical, to_stored))  # type: ignore[no-untyped-call]

    def _slice(self, stored_axis: int, stored_slice: int, plane: int) -> NDArray[np.float64]:
        """(H, W) scaled values of a slice of the file, turned as it is shown."""
        index: list[Any] = [slice(None)] * 3
        index[stored_axis] = slice(stored_slice, stored_slice + 1)
        slab = _values(self.image, (*index, *_further_axes(self.image.shape, self.number)))
        canonical = apply_orientation(slab, self.orientation)  # type: ignore[no-untyped-call]
        values: NDArray[np.float64] = np.take(canonical, 0, axis=plane)[::-1, ::-1].T
        return values

    def _stored(self, plane: int) -> tuple[int, bool]:
        """The stored axis of a canonical axis, and whether it runs in the opposite direction."""
        axis = int(np.flatnonzero(self.orientation[:, 0] == plane)[0])
        return axis, bool(self.orientation[axis, 1] < 0)


def axis_number(axis: str | int) -> int:
    """0, 1 or 2, from the name or number of a plane.

    Raises:
        ValueError: If it is neither.
    """
    if axis in AXES:
        return AXES[str(axis)]
    if axis in AXES.values() and not isinstance(axis, str | bool):
        return int(axis)
    raise ValueError(f"axis must be {', '.join(AXES)} (or 0, 1, 2); got {axis!r}")


def _opened(path: Path) -> Nifti1Image:
    try:
        image = nib.load(path)
        if not isinstance(image, Nifti1Image):  # NIfTI-2 is a subclass
            raise ImageError("is not a NIfTI file")
        shape, dtype = tuple(int(size) for size in image.shape), image.get_data_dtype()  # type: ignore[no-untyped-call]
        if len(shape) < 3 or min(shape) < 1:
            raise ImageError(f"has the shape {shape}; a volume has three axes")
        voxels = shape[0] * shape[1] * shape[2]
        if voxels > MAX_VOXELS or voxels // min(shape[:3]) > MAX_PIXELS:
            raise ImageError(f"{' x '.join(map(str, shape[:3]))} voxels are too many; cut the volume first")
        if dtype.kind not in "iuf":
            raise ImageError(f"must hold one real number per voxel; got {dtype}")
        _check_size(path, image)
        if not np.isfinite(image.affine).all():
            raise ImageError("its affine is not finite; its volume has no defined axes")
        return image
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except ImageError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageError(f"is not a NIfTI file, or damaged ({in_one_line(error)})") from error


def _check_size(path: Path, image: Nifti1Image) -> None:
    """Refuse a header that claims more than the file can hold, before memory is allocated."""
    stored: Any = image.dataobj
    claimed = stored.offset + math.prod(image.shape) * stored.dtype.itemsize
    compressed = path.name.endswith("z")
    if claimed > path.stat().st_size * (_MAX_DEFLATE_RATIO if compressed else 1):
        raise ImageError(f"is damaged or truncated (its header claims {claimed:,} bytes)")


def _volume_number(shape: tuple[int, ...], volume: int | None) -> int | None:
    further = [size for size in shape[3:] if size > 1]
    if len(further) > 1:
        raise ImageError(f"has {len(shape)} axes of {shape}; save one volume as a file of its own")
    count = further[0] if further else 1
    if volume is None and count > 1:
        raise ImageError(f"holds {count} volumes; name one, from 0, as in volume.nii.gz#axial=40&volume={count // 2}")
    if volume is not None and not 0 <= volume < count:
        raise ImageError(f"volume must be from 0 to {count - 1}; got {volume}")
    return volume if count > 1 else None


def _further_axes(shape: tuple[int, ...], number: int | None) -> tuple[int, ...]:
    """Indices of a volume along the axes after the third."""
    return tuple((number or 0) if size > 1 else 0 for size in shape[3:])


def _values(image: Nifti1Image, index: tuple[Any, ...]) -> NDArray[np.float64]:
    """The scaled values of the file at an index."""
    try:
        return np.asarray(image.dataobj[index], dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(f"is damaged or truncated ({in_one_line(error)})") from error


def _window(image: Nifti1Image, number: int | None, window: Window | None) -> tuple[float, float, str]:
    """The values shown black and white, and the rule behind them."""
    if window is not None:
        if isinstance(window, int) or not np.isfinite(window).all() or window[1] <= 0:
            raise ImageError(f"window of a NIfTI volume must be (centre, width), the width above 0; got {window}")
        return window[0] - window[1] / 2, window[0] + window[1] / 2, "window given by the caller"
    display = float(image.header["cal_min"]), float(image.header["cal_max"])
    if np.isfinite(display).all() and display[0] < display[1]:
        return *display, "display range of the header (cal_min, cal_max)"
    values = _values(image, (slice(None),) * 3 + _further_axes(image.shape, number))
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageError("has no finite value")
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES, overwrite_input=True))
    if low == high:
        low, high = float(values.min()), float(values.max())
        used = "lowest and highest value of the volume (its percentiles 0.5 and 99.5 are equal)"
        return low, high if high > low else low + 1.0, used
    return low, high, "percentiles 0.5 and 99.5 of the volume"
