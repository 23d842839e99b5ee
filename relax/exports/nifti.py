"""Maps of DICOM pictures as a NIfTI volume, with the affine of the series."""

from __future__ import annotations

from typing import Any

import numpy as np

from relax.exports.maker import Choices
from relax.exports.sheaf import Sheaf
from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.volumes.stack import affine_of, arranged, stacks

with medical_extra():
    from nibabel.nifti1 import Nifti1Image

_TO_NIFTI = np.diag([-1.0, -1.0, 1.0, 1.0])  # from the axes of DICOM


def volume(sheaf: Sheaf, choices: Choices) -> list[Any]:
    """The one volume (columns, rows, slices).

    Raises:
        ImageError: If the pictures do not lie evenly beside each other in the patient.
    """
    places = [frame.place for frame in sheaf.frames]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        raise ImageError("a NIfTI volume needs a place in the patient, and a picture has none; choose another kind")
    stack = arranged(known)
    if len(stacks(known)) > 1 or not stack.even:
        why = "; ".join(stack.notes) or "they differ in direction or distance of pixels"
        raise ImageError(f"the pictures are no even volume ({why}); choose another kind")
    values = sheaf.map(choices.map)
    image: Any = Nifti1Image(np.ascontiguousarray(values.T), _TO_NIFTI @ affine_of(known[0], stack))  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"RELAX {choices.map}"
    for transform in (image.set_qform, image.set_sform):
        transform(image.affine, 1)
    return [image]
