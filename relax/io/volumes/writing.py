"""Write maps of slices as NIfTI volumes that lie over their source, voxel by voxel.

Written volumes are float32, with the affine, both transforms and their codes, the voxel sizes and the units of the
source. Slices that were not explained are NaN. The header's free text and its extensions, which may hold a patient's
name or a whole DICOM header, are not copied.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.files import written_aside
from relax.io.choice import split_choice
from relax.io.explained import checked_source
from relax.io.extra import medical_extra
from relax.io.picture import AXES
from relax.io.volumes.opening import volume_at
from relax.io.volumes.volume import Volume
from relax.maps import MAPS, ExplanationLike
from relax.text import one_of

with medical_extra():
    from nibabel.nifti1 import Nifti1Image, Nifti1Pair
    from nibabel.nifti2 import Nifti2Image, Nifti2Pair


def write_nifti(explanation: ExplanationLike, source: str | Path, path: str | Path, *, map: str = "importance") -> Path:
    """Write one map of one explained slice as a volume with the geometry of its source; other slices are NaN.

    Args:
        explanation: An explanation of a slice of `source`.
        source: The explained NIfTI file, with its slice, "brain.nii.gz#axial=40", or the DICOM series, "ct#axial=40".
        path: The .nii or .nii.gz file to write.
        map: "importance", "uncertainty" or "standard_error".

    Returns:
        `path`.

    Raises:
        ImageError: If the source cannot be read.
        ValueError: If the explanation is not of this slice, or the map is unknown.
    """
    file, choice = checked_source(explanation, source, "nifti")
    axis = next(name for name in AXES if name in choice)
    volume = volume_at(file, split_choice(str(source))[1] or "nifti", choice)
    values = getattr(explanation, one_of("map", map, MAPS))
    write_volume(volume.placed(axis, {choice[axis]: values}), volume, Path(path), map)
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
    kind: Any = Nifti2Image if isinstance(source, Nifti2Pair | Nifti2Image) else Nifti1Image
    image: Any = kind(values, source.affine)
    if _states_transforms(source):
        image.header.set_zooms((*source.header.get_zooms(), 1.0)[:3])  # a file of one slice may have two axes
        image.header.set_xyzt_units(*source.header.get_xyzt_units())
    else:
        image.header.set_xyzt_units("mm")
    for transform in ("qform", "sform"):
        matrix, code = _transform(source, transform)
        getattr(image, f"set_{transform}")(matrix, int(code), update_affine=False)
    image.header["descrip"] = f"RELAX {name}"
    data = image.to_bytes()
    with written_aside(path) as temporary:
        temporary.write_bytes(gzip.compress(data, 6, mtime=0) if ending == ".nii.gz" else data)


def _transform(source: Any, name: str) -> tuple[Any, int]:
    """The matrix of a transform of the source and its code; of what has none, its affine, as that of the scanner."""
    if _states_transforms(source):
        matrix, code = getattr(source, f"get_{name}")(coded=True)
        return matrix, int(code)
    return source.affine, 1


def _states_transforms(source: object) -> bool:
    return isinstance(source, Nifti1Pair)  # of which all NIfTIs are kinds
