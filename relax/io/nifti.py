"""Read NIfTI volumes, and their kin, slice by slice, and place maps of slices back into the volume.

Read are NIfTI-1 and 2 in one file or as a pair (.img and .hdr), Analyze 7.5 pairs and FreeSurfer's .mgz and .mgh; and
DICOM series that `relax.io.series` put together.

Names and numbers of slices refer to the canonical order of a volume, x to the patient's right, y to the front, z to the
head, whatever order the file stores. A slice is shown by radiological convention: the front of the body up in axial
slices and the head up in the others; the patient's right on the left, or in sagittal slices the front.

Source: the NIfTI-1 header (nifti1.h) for scaling, display range and orientation; nibabel reads them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.limits import check_bytes
from relax.io.picture import AXES, Picture, Window
from relax.io.series import SeriesVolume

with medical_extra():
    import nibabel as nib
    from nibabel.affines import voxel_sizes
    from nibabel.analyze import AnalyzeImage
    from nibabel.filebasedimages import ImageFileError
    from nibabel.freesurfer.mghformat import MGHImage
    from nibabel.imageglobals import LoggingOutputSuppressor
    from nibabel.nifti1 import Nifti1Image, Nifti1Pair
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])
_PERCENTILES = (0.5, 99.5)
_SHADES = 1 / 32  # of a display range that the percentiles must span; else nearly all voxels are one shade in it
_CONSTANT = "the only value of the volume"
_SLAB = 1 << 20  # voxels that are read at once
_SLAB_BYTES = 40  # that a voxel takes meanwhile: scaled, in order, chosen, and as much of the slab before
ANALYZE = "an Analyze header states no orientation: which side is left is assumed, as nibabel does"
_MAX_DEFLATE_RATIO = 1032  # bytes per compressed byte (zlib, "Technical Details")


def read_nifti(
    path: str | Path,
    axis: str | int | None = None,
    index: int | None = None,
    *,
    volume: int | None = None,
    window: Window | None = None,
) -> Picture:
    """Read one slice of a NIfTI file.

    Args:
        path: A .nii or .nii.gz file, either file of a NIfTI or Analyze pair, or an .mgz or .mgh file.
        axis: "sagittal", "coronal" or "axial", or equivalently 0, 1 or 2. Slices are numbered from the patient's left
            to right, back to front, or feet to head, whichever axis of the file that is. None is the axis along which
            the file has a single slice, else axial.
        index: Number of the slice, from 0 (leftmost, rearmost, lowest); required if there are several.
        volume: Number of the time point or channel of a 4-D file, from 0; required if there are several.
        window: (centre, width) in the scaled values of the file. None takes the display range of the header (cal_min,
            cal_max) if there is one in which the volume can be seen, else the percentiles 0.5 and 99.5 of the whole
            volume, so that all slices share one scale. Colours have none, and are divided by 255.

    Returns:
        The picture (H, W, C), with values beyond the window clipped and values that are not finite black; C is 1, or 3
        or 4 in a file of colours. `how` records window, spacing, position of the slice in the file, and the number of
        values that were not finite.

    Raises:
        ImageError: If the file is not a NIfTI volume of real numbers or colours, damaged, or takes too much memory (8
            bytes per voxel of one volume, unpacked, and 40 per voxel of a slice, or of a million voxels; see
            `relax.io.limits`), or the slice does not exist or has no finite value.

    Warns:
        UserWarning: If the display range of the header shows nearly all voxels in one shade, and is not used.
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

    image: Any
    number: int | None
    orientation: NDArray[np.float64]
    low: float
    high: float
    how: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path, volume: int | None = None, window: Window | None = None) -> Volume:
        """Open a file; arguments and errors as for `read_nifti`."""
        with decoding_errors():
            image = open_image(Path(path))
            number = _volume_number(image.shape, volume)
            orientation = io_orientation(image.affine)  # type: ignore[no-untyped-call]
            if not np.isfinite(orientation).all():
                raise ImageError("its affine is singular; its volume has no defined axes")
            low, high, used, stale = _window(image, number, window)
        if stale:
            warnings.warn(stale, stacklevel=3)
        record: dict[str, Any] = {"format": "NIfTI", "orientation": "".join(nib.aff2axcodes(image.affine))}  # type: ignore[no-untyped-call]
        record |= {"volume": number, "window": {"used": used, "low": low, "high": high}}
        choice = {"volume": number, "window": None if window is None else list(window)}  # type: ignore[arg-type]
        record["asked"] = {key: value for key, value in choice.items() if value is not None}
        record |= {"notes": [ANALYZE]} if not isinstance(image, Nifti1Pair | MGHImage) else {}
        return cls(image, number, orientation, low, high, record)

    @classmethod
    def of_series(cls, series: SeriesVolume, asked: dict[str, Any]) -> Volume:
        """The slices of a DICOM series, decoded when they are needed.

        Args:
            series: The series.
            asked: Series, volume and window with which it was opened, for the record.

        Raises:
            ImageError: If its slices are no even volume.
        """
        image: Any = Nifti1Image(_Decoded(series), series.affine)  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")
        for transform in (image.set_qform, image.set_sform):
            transform(series.affine, 1)
        record = {**series.how, "orientation": "".join(nib.aff2axcodes(series.affine))}  # type: ignore[no-untyped-call]
        record["asked"] = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.items()}
        orientation = io_orientation(series.affine)  # type: ignore[no-untyped-call]
        return cls(image, None, orientation, series.low, series.high, record)

    @property
    def series(self) -> SeriesVolume | None:
        """The DICOM series that it is of."""
        return getattr(self.image.dataobj, "series", None)

    @property
    def colours(self) -> bool:
        """Whether its voxels are colours, which have no window."""
        return bool(_colours(self.image))

    def count(self, axis: str | int) -> int:
        """Number of slices along an axis."""
        return int(_three_axes(self.image.shape)[self._stored(axis_number(axis))[0]])

    def picture(self, axis: str | int | None, index: int | None) -> Picture:
        """One slice; arguments and errors as for `read_nifti`."""
        plane = self._only_plane() if axis is None else axis_number(axis)
        slices, name = self.count(plane), list(AXES)[plane]
        if index is None and slices > 1:
            way_out = f"name one, from 0, as in volume.nii.gz#{name}={slices // 2}"
            raise ImageError(f"has {slices} {name} slices; {way_out}, or see relax volume --help")
        index = index or 0
        if not 0 <= index < slices:
            raise ImageError(f"{name} slice must be from 0 to {slices - 1}; got {index}")
        stored_axis, descending = self._stored(plane)
        stored_slice = slices - 1 - index if descending else index
        with decoding_errors():
            values = self._slice(stored_axis, stored_slice, plane)
        finite = np.isfinite(values)
        if not finite.any():
            raise ImageError(f"{name} slice {index} has no finite value")
        sizes = [float(voxel_sizes(self.image.affine)[self._stored(other)[0]]) for other in range(3) if other != plane]  # type: ignore[no-untyped-call]
        record = {**self.how, "axis": name, "slice": index, "slices": slices}
        record |= {"stored_axis": stored_axis, "stored_slice": stored_slice}
        record |= {"pixel_spacing_mm": sizes[::-1], "square_pixels": bool(np.isclose(sizes[0], sizes[1]))}
        record |= {"not_finite": int(np.count_nonzero(~finite)), "asked": {name: index, **self.how["asked"]}}
        return Picture(self._shown(values), record)

    def shown(self, axis: str | int) -> NDArray[np.float32]:
        """(S, H, W, C) in [0, 1]: all slices along an axis as they are shown, values that are not finite black."""
        plane = axis_number(axis)
        with decoding_errors():
            stored = np.concatenate([self._shown(slab) for slab in _slabs(self.image, self.number)], axis=2)
        canonical = np.moveaxis(apply_orientation(stored, self.orientation), plane, 0)  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(canonical[:, ::-1, ::-1].swapaxes(1, 2))

    def _shown(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values between black, 0, and white, 1; black where they are not finite."""
        unit = (np.where(np.isfinite(values), values, self.low) - self.low) / (self.high - self.low)
        return unit.clip(0, 1).astype(np.float32)

    def _only_plane(self) -> int:
        """The plane of which the file has a single slice; axial if there is none, or several."""
        single = [plane for plane in AXES.values() if self.count(plane) == 1]
        return single[0] if len(single) == 1 else AXES["axial"]

    def placed(self, axis: str | int, maps: dict[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Maps (H, W) by slice number, placed in a volume (X, Y, Z) float32 in the order of the file; NaN elsewhere."""
        plane = axis_number(axis)
        shape = [self.count(number) for number in range(3)]
        canonical = np.full(shape, np.nan, dtype=np.float32)
        for index, values in maps.items():
            np.moveaxis(canonical, plane, 0)[index] = values.T[::-1, ::-1]
        to_stored = ornt_transform(_CANONICAL, self.orientation)  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(apply_orientation(canonical, to_stored))  # type: ignore[no-untyped-call]

    def values(self, axis: str | int, index: int) -> NDArray[np.float32]:
        """(H, W) the scaled values of one slice of a volume without colours, turned as it is shown; see `placed`.

        Raises:
            ImageError: If there is no such slice, or the values cannot be read.
        """
        plane = axis_number(axis)
        if not 0 <= index < (slices := self.count(plane)):
            raise ImageError(f"{list(AXES)[plane]} slice must be from 0 to {slices - 1}; got {index}")
        stored_axis, descending = self._stored(plane)
        with decoding_errors():
            values = self._slice(stored_axis, slices - 1 - index if descending else index, plane)
        return values[..., 0].astype(np.float32)

    def _slice(self, stored_axis: int, stored_slice: int, plane: int) -> NDArray[np.float64]:
        """(H, W, C) scaled values of a slice of the file, turned as it is shown."""
        index = [slice(None)] * 3
        index[stored_axis] = slice(stored_slice, stored_slice + 1)
        slab = _values(self.image, index, self.number)
        canonical = apply_orientation(slab, self.orientation)  # type: ignore[no-untyped-call]
        values: NDArray[np.float64] = np.take(canonical, 0, axis=plane)[::-1, ::-1].swapaxes(0, 1)
        return values

    def _stored(self, plane: int) -> tuple[int, bool]:
        """The stored axis of a canonical axis, and whether it runs in the opposite direction."""
        axis = int(np.flatnonzero(self.orientation[:, 0] == plane)[0])
        return axis, bool(self.orientation[axis, 1] < 0)


class _Decoded:
    """The values (X, Y, Z) of a series as nibabel asks for them: one slice alone, and all of them for other planes."""

    def __init__(self, series: SeriesVolume) -> None:
        self.series, self.shape, self.dtype, self.ndim = series, series.shape[::-1], np.dtype(np.float32), 3

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.float32]:
        wanted = range(self.shape[2])[index[2]]
        alone = len(wanted) == 1
        values = self.series.slices[wanted[0]].values()[None] if alone else self.series.values[index[2]]
        return values.T[index[0], index[1]]


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
    if dtype.kind not in "iuf" and not _colours(image):
        raise ImageError(f"must hold one real number, or red, green and blue, per voxel; got {dtype}")
    sides = _three_axes(shape)
    voxels, slice_ = math.prod(sides), math.prod(sorted(sides)[1:])
    at_once = max(slice_, min(_SLAB, voxels)) * max(1, _colours(image))
    needed = max(8, dtype.itemsize) * voxels + _SLAB_BYTES * at_once
    check_bytes(needed, f"{' x '.join(map(str, sides))} voxels")
    _check_size(path, image)
    if not np.isfinite(image.affine).all():
        raise ImageError("its affine is not finite; its volume has no defined axes")
    return image


def _colours(image: Any) -> int:
    """How many bytes of colour a voxel has: 3, 4 with alpha, or 0 for a number."""
    names = image.get_data_dtype().names or ()
    return len(names) if "".join(names) in ("RGB", "RGBA") else 0


def _three_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, 1)[:3]


def _check_size(path: Path, image: Any) -> None:
    """Refuse a header that claims more than the file can hold, before memory is allocated."""
    stored: Any = image.dataobj
    claimed = stored.offset + math.prod(image.shape) * stored.dtype.itemsize
    path = Path(image.file_map["image"].filename or path)  # of a pair, which has the values
    compressed = path.name.lower().endswith("z")
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


def _values(image: Any, index: list[slice], number: int | None) -> NDArray[np.float64]:
    """(x, y, z, C) the scaled values of the file at an index along its three axes."""
    shape = image.shape
    further = tuple((number or 0) if size > 1 else 0 for size in shape[3:])
    stored: Any = image.dataobj
    values = np.ascontiguousarray(stored[(*index[: len(shape)], *further)])
    values = values if values.ndim == 3 else values[..., None]
    channels = _colours(image)
    return (values.view(np.uint8).reshape(*values.shape, channels) if channels else values[..., None]).astype(
        np.float64
    )


def _slabs(image: Any, number: int | None) -> Iterator[NDArray[np.float64]]:
    """All scaled values, a few slices of the last axis at a time."""
    width, height, depth = _three_axes(image.shape)
    step = max(1, _SLAB // (width * height))
    for start in range(0, depth, step):
        yield _values(image, [slice(None), slice(None), slice(start, start + step)], number)


def _window(image: Any, number: int | None, window: Window | None) -> tuple[float, float, str, str | None]:
    """The values shown black and white, the rule behind them, and what is wrong with the header's display range."""
    if _colours(image):
        if window is not None:
            raise ImageError("window is for grey volumes; this one has colours")
        return 0.0, 255.0, "none: colours are shown as stored", None
    if window is not None:
        if isinstance(window, int) or not np.isfinite(window).all() or window[1] <= 0:
            raise ImageError(f"window of a NIfTI volume must be (centre, width), the width above 0; got {window}")
        return window[0] - window[1] / 2, window[0] + window[1] / 2, "window given by the caller", None
    low, high, used = _percentiles(image, number)
    known = "cal_min" in image.header.keys()  # noqa: SIM118  # a header is no mapping
    display = (float(image.header["cal_min"]), float(image.header["cal_max"])) if known else (0.0, 0.0)
    if not np.isfinite(display).all() or display[0] >= display[1]:
        return low, high, used, None
    dark, bright = ((value - display[0]) / (display[1] - display[0]) for value in (low, high))
    if min(bright, 1) - max(dark, 0) >= _SHADES or used == _CONSTANT:
        return *display, "display range of the header (cal_min, cal_max)", None
    return (
        low,
        high,
        f"{used}, since the display range of the header shows nearly all voxels in one shade",
        f"its display range, cal_min {display[0]:g} to cal_max {display[1]:g}, shows nearly all voxels in one shade; "
        f"shown is {low:g} to {high:g}, the {used}",
    )


def _percentiles(image: Any, number: int | None) -> tuple[float, float, str]:
    """The percentiles of the finite values, or their ends where those are equal, and which of the two."""
    values, filled = np.empty(math.prod(_three_axes(image.shape))), 0
    for slab in _slabs(image, number):
        finite = slab[np.isfinite(slab)]
        values[filled : filled + finite.size] = finite
        filled += finite.size
    values = values[:filled]
    if not filled:
        raise ImageError("has no finite value")
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES, overwrite_input=True))
    if low < high:
        return low, high, "percentiles 0.5 and 99.5 of the volume"
    low, high = float(values.min()), float(values.max())
    if low < high:
        return low, high, "lowest and highest value of the volume (its percentiles 0.5 and 99.5 are equal)"
    return low, low + 1.0, _CONSTANT
