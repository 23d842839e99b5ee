"""Medical images, the extra `[medical]`: DICOM and NIfTI in, maps out with the geometry of their source.

    relax.explain("scan.dcm"), relax.explain("scan.dcm#frame=3&window=40,400"), relax.explain("brain.nii.gz#axial=40")
    relax.explain_volume("brain.nii.gz", axis="axial", indices=range(20, 60, 5)).save("maps")
    relax.write_dicom(explanation, "scan.dcm", "map.dcm")

Patients stay out of what is written: nothing of a header goes into a result but what `relax.io.header` lists as
pixels and geometry; names, identifiers, dates, UIDs, free text and private elements do not, unless
`keep_identifiers=True`. Two ways remain, and they are the caller's. The pixels themselves: text burned into a picture
is shown in every figure of it. And names of files and folders: results say what an image was called, and are called
after it; a name in which one of the data set's own identifiers is found is replaced by a hash, and `scan.dcm#name=hash`
asks for that in any case.
"""

from __future__ import annotations

from pathlib import Path

from relax.io.choice import parse
from relax.io.picture import AXES, Picture


def read_chosen(path: Path, kind: str, wishes: str) -> Picture:
    """The picture in the file that the text after # asks for.

    Args:
        path: The file.
        kind: "dicom" or "nifti".
        wishes: Such as "frame=3&window=40,400", or "".

    Raises:
        ImageError: If the wishes cannot be understood, or the picture cannot be had.
        ImportError: If the extra is not installed.
    """
    asked = parse(wishes, kind)
    if kind == "dicom":
        from relax.io.dicom import read_dicom

        return read_dicom(path, frame=asked.get("frame"), window=asked.get("window"))
    from relax.io.nifti import read_nifti

    axis = next((name for name in AXES if name in asked), "axial")
    return read_nifti(path, axis, asked.get(axis), volume=asked.get("volume"), window=asked.get("window"))
