"""Volumes read slice by slice, and maps of slices placed back into the volume.

Read are NIfTI-1 and 2 in one file or as a pair (.img and .hdr), Analyze 7.5 pairs and FreeSurfer's .mgz and .mgh; and
DICOM series that `relax.io.volumes.series` put together.

Names and numbers of slices refer to the canonical order of a volume, x to the patient's right, y to the front, z to the
head, whatever order the file stores. A slice is shown by radiological convention: the front of the body up in axial
slices and the head up in the others; the patient's right on the left, or in sagittal slices the front.

Source: the NIfTI-1 header (nifti1.h) for scaling, display range and orientation; nibabel reads them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.picture import AXES, Picture, Window
from relax.io.volumes.display import shown_range
from relax.io.volumes.image import colours, open_image, slabs, three_axes, values_at, volume_number
from relax.io.volumes.series import SeriesVolume

with medical_extra():
    import nibabel as nib
    from nibabel.affines import voxel_sizes
    from nibabel.freesurfer.mghformat import MGHImage
    from nibabel.nifti1 import Nifti1Image, Nifti1Pair
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])
ANALYZE = "an Analyze header states no orientation: which side is left is assumed, as nibabel does"


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
        """Open a file.

        Args:
            path: A .nii or .nii.gz file, either file of a NIfTI or Analyze pair, or an .mgz or .mgh file.
            volume: Number of the time point or channel of a 4-D file, from 0; required if there are several.
            window: (centre, width) in the scaled values of the file. None takes the display range of the header
                (cal_min, cal_max) if there is one in which the volume can be seen, else the percentiles 0.5 and 99.5
                of the whole volume, so that all slices share one scale. Colours have none, and are divided by 255.

        Raises:
            ImageError: If the file is not a NIfTI volume of real numbers or colours, damaged, or takes too much memory
                (8 bytes per voxel of one volume, unpacked, and 40 per voxel of a slice, or of a million voxels; see
                `relax.io.limits`).

        Warns:
            UserWarning: If the display range of the header shows nearly all voxels in one shade, and is not used.
        """
        with decoding_errors():
            image = open_image(Path(path))
            number = volume_number(image.shape, volume)
            orientation = io_orientation(image.affine)  # type: ignore[no-untyped-call]
            if not np.isfinite(orientation).all():
                raise ImageError("its affine is singular; its volume has no defined axes")
            low, high, used, stale = shown_range(image, number, window)
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
        return bool(colours(self.image))

    def count(self, axis: str | int) -> int:
        """Number of slices along an axis."""
        return int(three_axes(self.image.shape)[self._stored(axis_number(axis))[0]])

    def picture(self, axis: str | int | None, index: int | None) -> Picture:
        """Read one slice.

        Args:
            axis: "sagittal", "coronal" or "axial", or equivalently 0, 1 or 2. Slices are numbered from the patient's
                left to right, back to front, or feet to head, whichever axis of the file that is. None is the axis
                along which the file has a single slice, else axial.
            index: Number of the slice, from 0 (leftmost, rearmost, lowest); required if there are several.

        Returns:
            The picture (H, W, C), with values beyond the window clipped and values that are not finite black; C is 1,
            or 3 or 4 in a file of colours. `how` records window, spacing, position of the slice in the file, and the
            number of values that were not finite.

        Raises:
            ImageError: If the slice does not exist, has no finite value, or cannot be read.
        """
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
            stored = np.concatenate([self._shown(slab) for slab in slabs(self.image, self.number)], axis=2)
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
        slab = values_at(self.image, index, self.number)
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
