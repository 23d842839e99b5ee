"""Write maps of slices as NIfTI volumes that lie over their source, voxel by voxel.

Written volumes are float32 with the affine, both transforms with their codes, the voxel sizes and units of the source.
Slices that were not explained are NaN. Free text of the source's header and its extensions, which may hold a patient's
name or a whole DICOM header, are left behind.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.files import written_aside
from relax.io.nifti import Volume
from relax.io.picture import AXES
from relax.io.source import checked_source
from relax.maps import MAPS, ExplanationLike


def write_nifti(explanation: ExplanationLike, source: str | Path, path: str | Path, *, map: str = "importance") -> Path:
    """Write one map of one explained slice as a volume with the geometry of its source; other slices are NaN.

    Args:
        explanation: Of a slice of `source`.
        source: The NIfTI file that was explained, with its slice: "brain.nii.gz#axial=40".
        path: The .nii or .nii.gz file to write.
        map: "importance", "uncertainty" or "standard_error".

    Returns:
        `path`.

    Raises:
        ImageError: If the source cannot be read.
        ValueError: If the explanation is not one of this slice, or has no such map.
    """
    file, asked = checked_source(explanation, source, "nifti")
    axis = next(name for name in AXES if name in asked)
    volume = Volume.open(file, asked.get("volume"), asked.get("window"))
    if map not in MAPS:
        raise ValueError(f"map must be one of {', '.join(MAPS)}; got {map!r}")
    write_volume(volume.placed(axis, {asked[axis]: getattr(explanation, map)}), volume, Path(path), map)
    return Path(path)


def write_volume(values: NDArray[np.float32], volume: Volume, path: Path, name: str) -> None:
    """Write values (X, Y, Z) in the stored order of a volume, with its geometry.

    Raises:
        ValueError: If the path does not end in .nii or .nii.gz.
    """
    ending = next((ending for ending in (".nii.gz", ".nii") if path.name.endswith(ending)), None)
    if ending is None:
        raise ValueError(f"a NIfTI map is written to a .nii or .nii.gz file; got {path.name}")
    source: Any = volume.image
    made: Any = type(source)(values, source.affine)
    header, old = made.header, source.header
    header.set_zooms(old.get_zooms()[:3])
    header.set_xyzt_units(*old.get_xyzt_units())
    for kind in ("qform", "sform"):
        matrix, code = getattr(source, f"get_{kind}")(coded=True)
        getattr(made, f"set_{kind}")(matrix, int(code), update_affine=False)
    header["descrip"] = f"RELAX {name}"
    with written_aside(path) as aside:
        payload = made.to_bytes()
        aside.write_bytes(gzip.compress(payload, 6, mtime=0) if ending == ".nii.gz" else payload)
