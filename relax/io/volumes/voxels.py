"""A volume as an encoder of volumes takes it: all its slices, one behind the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relax.io.picture import AXES, Voxels, Window
from relax.io.pixels import Raster
from relax.io.volumes.opening import open_volume
from relax.io.volumes.volume import Volume, axis_number


def read_volume(
    path: str | Path,
    *,
    axis: str | int = "axial",
    volume: int | None = None,
    window: Window | None = None,
    channels: int | None = None,
) -> Tensor:
    """Read a volume for an encoder of volumes.

    Args:
        path: A NIfTI file or a DICOM series, as for `relax.explain_volume`.
        axis: The plane of the slices, which lie one behind the other along D: "sagittal", "coronal" or "axial".
        volume: Which volume of a 4-D file, from 0.
        window: (centre, width); None as for `relax.explain_volume`.
        channels: C; 3 repeats grey, 1 takes the luma of colours, None keeps what there is.

    Returns:
        (1, C, D, H, W) float32 in [0, 1]. D goes from the left, the rear or the lowest slice; each slice is turned as
        it is shown: H from the front to the rear in axial slices, else from the top to the bottom, and W from the
        patient's right to the left, in sagittal slices from the front to the rear.

    Raises:
        ImageError: If the volume cannot be read.
        ValueError: If there is no such axis.
    """
    return voxels_of(open_volume(path, volume, window), axis, str(path), channels).pixels


def voxels_of(volume: Volume, axis: str | int, name: str, channels: int | None = None) -> Voxels:
    """A volume that is open, as `read_volume` reads it; `name` is that of its source."""
    values = volume.shown(axis)
    record: dict[str, Any] = {**volume.how, "axis": list(AXES)[axis_number(axis)], "slices": len(values)}
    raster = Raster.of(values.reshape(-1, *values.shape[2:]))  # slices below each other are one tall picture
    pixels = torch.from_numpy(raster.pixels(channels)).unflatten(1, values.shape[:2])
    return Voxels(name, pixels[None], record)
