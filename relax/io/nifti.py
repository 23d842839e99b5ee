"""Read NIfTI volumes slice by slice, and put maps of slices back where they belong.

A volume is thought of in canonical order, x to the patient's right, y to the front, z to the head, whatever order the
file stores; names and numbers of slices count in it. A slice is shown as radiology shows it: axial ones with the front
of the body up, the others with the head up, and the patient's right (in sagittal slices, the front) at the left side.

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

from relax.io.errors import MAX_PIXELS, ImageError
from relax.io.extra import medical_extra
from relax.io.picture import AXES, Picture, Window

with medical_extra():
    import nibabel as nib
    from nibabel.affines import voxel_sizes
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Image
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

MAX_VOXELS = 1 << 28
"""Larger volumes (of one time point) are refused from their header: reading one takes up to 24 bytes a voxel."""

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])
_PERCENTILES = (0.5, 99.5)
_DEFLATE_AT_MOST = 1032  # bytes out of one (zlib's technical details)


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
        axis: "sagittal", "coronal" or "axial", or 0, 1, 2 for the same: counted along the patient's left to right,
            back to front, feet to head, whatever axis of the file that is.
        index: Which slice, from 0 (leftmost, rearmost, lowest).
        volume: Which time point or channel of a 4-D file, from 0; needed where there are several.
        window: (centre, width) in the file's scaled values. None takes the header's display range (cal_min, cal_max)
            where it has one, else the percentiles 0.5 and 99.5 of the whole volume: all slices share one scale.

    Returns:
        The picture (H, W, 1), values beyond the window clipped, values that are not finite black; `how` says the
        window used, the spacing, where the slice stands in the file and how many values were not finite.

    Raises:
        ImageError: No NIfTI volume of numbers, too large, damaged, no such slice, nothing finite in it.
    """
    return Volume.open(path, volume, window).picture(axis, index)


@dataclass(frozen=True)
class Volume:
    """One volume of a file, read slice by slice.

    Attributes:
        image: What nibabel opened; nothing is loaded.
        number: Which of its volumes, None for a 3-D file.
        orientation: (3, 2) axis and direction in canonical order of each stored axis, as nibabel has it.
        low: Value shown black.
        high: Value shown white.
        how: The window and the volume, as JSON types.
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
            raise ImageError("its affine is singular; the axes of the volume are not known")
        low, high, used = _window(image, number, window)
        how: dict[str, Any] = {"format": "NIfTI", "orientation": "".join(nib.aff2axcodes(image.affine))}  # type: ignore[no-untyped-call]
        how |= {"volume": number, "window": {"used": used, "low": low, "high": high}}
        asked = {"volume": number, "window": None if window is None else list(window)}  # type: ignore[arg-type]
        how["asked"] = {key: value for key, value in asked.items() if value is not None}
        return cls(image, number, orientation, low, high, how)

    def count(self, axis: str | int) -> int:
        """How many slices there are along an axis."""
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
        stored, turned = self._stored(plane)
        at = slices - 1 - index if turned else index
        where = tuple(slice(at, at + 1) if each == stored else slice(None) for each in range(3))
        slab = apply_orientation(_values(self.image, (*where, *self._extra())), self.orientation)  # type: ignore[no-untyped-call]
        values = np.take(slab, 0, axis=plane)[::-1, ::-1].T
        finite = np.isfinite(values)
        if not finite.any():
            raise ImageError(f"{name} slice {index} has no finite value")
        unit = (np.where(finite, values, self.low) - self.low) / (self.high - self.low)
        sizes = [float(voxel_sizes(self.image.affine)[self._stored(other)[0]]) for other in range(3) if other != plane]  # type: ignore[no-untyped-call]
        how = {**self.how, "axis": name, "slice": index, "slices": slices, "stored_axis": stored, "stored_slice": at}
        how |= {"pixel_spacing_mm": sizes[::-1], "square_pixels": bool(np.isclose(sizes[0], sizes[1]))}
        how |= {"not_finite": int(np.count_nonzero(~finite)), "asked": {name: index, **self.how["asked"]}}
        return Picture(unit.clip(0, 1).astype(np.float32)[..., None], how)

    def placed(self, axis: str | int, maps: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Maps (H, W) of slices, by number, in the stored order of the file: (X, Y, Z) float32, NaN elsewhere."""
        plane = axis_number(axis)
        shape = [self.count(each) for each in range(3)]
        canonical = np.full(shape, np.nan, dtype=np.float32)
        for index, values in maps.items():
            np.moveaxis(canonical, plane, 0)[index] = values.T[::-1, ::-1]
        back = ornt_transform(_CANONICAL, self.orientation)  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(apply_orientation(canonical, back))  # type: ignore[no-untyped-call]

    def _stored(self, plane: int) -> tuple[int, bool]:
        """Which stored axis a canonical axis is, and whether it counts backwards."""
        stored = int(np.flatnonzero(self.orientation[:, 0] == plane)[0])
        return stored, bool(self.orientation[stored, 1] < 0)

    def _extra(self) -> tuple[int, ...]:
        return _beyond_three(self.image.shape, self.number)


def axis_number(axis: str | int) -> int:
    """0, 1 or 2 of a plane's name or number."""
    if axis in AXES:
        return AXES[str(axis)]
    if axis in AXES.values() and not isinstance(axis, str | bool):
        return int(axis)
    raise ValueError(f"axis must be {', '.join(AXES)} (or 0, 1, 2); got {axis!r}")


def _opened(path: Path) -> Nifti1Image:
    try:
        image = nib.load(path)
        if not isinstance(image, Nifti1Image):  # NIfTI-2 is one, too
            raise ImageError("is not a NIfTI file")
        shape, kind = tuple(int(size) for size in image.shape), image.get_data_dtype()  # type: ignore[no-untyped-call]
        if len(shape) < 3 or min(shape) < 1:
            raise ImageError(f"has the shape {shape}; a volume has three axes")
        voxels = shape[0] * shape[1] * shape[2]
        if voxels > MAX_VOXELS or voxels // min(shape[:3]) > MAX_PIXELS:
            raise ImageError(f"{' x '.join(map(str, shape[:3]))} voxels are too many; cut the volume first")
        if kind.kind not in "iuf":
            raise ImageError(f"holds {kind}, must hold one real number per voxel")
        _check_size(path, image)
        if not np.isfinite(image.affine).all():
            raise ImageError("its affine is not finite; the axes of the volume are not known")
        return image
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except ImageError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageError(f"is not a NIfTI file, or damaged ({' '.join(str(error).split())[:200]})") from error


def _check_size(path: Path, image: Nifti1Image) -> None:
    """Refuse a header that claims more than the file can hold, before memory is taken for it."""
    stored: Any = image.dataobj
    claimed = stored.offset + math.prod(image.shape) * stored.dtype.itemsize
    packed = path.name.endswith("z")
    if claimed > path.stat().st_size * (_DEFLATE_AT_MOST if packed else 1):
        raise ImageError(f"is damaged or truncated (its header claims {claimed:,} bytes)")


def _volume_number(shape: tuple[int, ...], volume: int | None) -> int | None:
    extra = shape[3:]
    many = [size for size in extra if size > 1]
    if len(many) > 1:
        raise ImageError(f"has {len(shape)} axes of {shape}; save one volume as a file of its own")
    count = many[0] if many else 1
    if volume is None and count > 1:
        raise ImageError(f"holds {count} volumes; name one, from 0, as in volume.nii.gz#axial=40&volume={count // 2}")
    if volume is not None and not 0 <= volume < count:
        raise ImageError(f"volume must be from 0 to {count - 1}; got {volume}")
    return volume if count > 1 else None


def _beyond_three(shape: tuple[int, ...], number: int | None) -> tuple[int, ...]:
    return tuple((number or 0) if size > 1 else 0 for size in shape[3:])


def _values(image: Nifti1Image, where: tuple[Any, ...]) -> NDArray[np.float64]:
    """Scaled values of a part of the file."""
    try:
        return np.asarray(image.dataobj[where], dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(f"is damaged or truncated ({' '.join(str(error).split())[:200]})") from error


def _window(image: Nifti1Image, number: int | None, window: Window | None) -> tuple[float, float, str]:
    """Values shown black and white, and where they come from."""
    if window is not None:
        if isinstance(window, int) or not np.isfinite(window).all() or window[1] <= 0:
            raise ImageError(f"window of a NIfTI volume must be (centre, width), the width above 0; got {window}")
        return window[0] - window[1] / 2, window[0] + window[1] / 2, "window given by the caller"
    shown = float(image.header["cal_min"]), float(image.header["cal_max"])
    if np.isfinite(shown).all() and shown[0] < shown[1]:
        return *shown, "display range of the header (cal_min, cal_max)"
    values = _values(image, (slice(None),) * 3 + _beyond_three(image.shape, number))
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageError("has no finite value")
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES, overwrite_input=True))
    if low == high:
        low, high = float(values.min()), float(values.max())
        used = "lowest and highest value of the volume (its percentiles 0.5 and 99.5 are equal)"
        return low, high if high > low else low + 1.0, used
    return low, high, "percentiles 0.5 and 99.5 of the volume"
