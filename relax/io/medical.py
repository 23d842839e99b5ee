"""Medical images, with the extra `[medical]`: reading DICOM and NIfTI, and writing maps with the source's geometry.

    relax.explain("scan.dcm"), relax.explain("scan.dcm#frame=3&window=40,400"), relax.explain("brain.nii.gz#axial=40")
    relax.explain("scans"), relax.explain("scans#series=3&axial=40"), relax.explain("us.dcm#frame=all")
    relax.explain_volume("brain.nii.gz", axis="axial", indices=range(20, 60, 5)).save("maps")
    relax.write_dicom(explanation, "scan.dcm", "map.dcm")

Results do not identify patients: only the elements of a header that `relax.io.dicom.elements` lists as pixels and
geometry enter a result; names, identifiers, dates, UIDs, free text and private elements do not, unless
`keep_identifiers=True`. Two ways remain, for which the caller is responsible. First, the pixels: text burned into a
picture is visible in every figure of it. Second, the names of files and folders, which results contain and are named
after: a path that tells one of the data set's identifiers, in any usual form (`relax.io.dicom.identity`), is replaced
by a hash in all that is written or printed, and `scan.dcm#name=hash` requests a hash in any case. The hash is the
beginning of the file's SHA-256, by which `sha256sum` finds the file; masks and boxes of such a picture, and what lies
beside DICOM and cannot be opened, are not named either. Only archives, which open the files again, hold their paths.
"""

from __future__ import annotations

from pathlib import Path

from relax.io.choice import ALL, parse, plane_of
from relax.io.errors import ImageError
from relax.io.picture import Picture


def read_chosen(path: Path, kind: str, choice: str) -> Picture:
    """Read the chosen picture of a file, or of a folder of DICOM.

    Args:
        path: The file or folder.
        kind: "dicom", "nifti", "series", or "slide", whose tiles are `relax.io.tiles`.
        choice: Such as "frame=3&window=40,400"; may be "".

    Raises:
        ImageError: If the choice is malformed, or there is no such picture.
        ImportError: If the extra is not installed.
    """
    values = parse(choice, kind)
    if several := [name for name, value in values.items() if value == ALL]:
        raise ImageError(f"names several pictures, {several[0]}=all, and one is needed here: name it by its number")
    if kind == "slide":
        if "tiles" in values:
            raise ImageError("names several pictures, tiles=, and one is needed here: name it by its corner, x= and y=")
        from relax.io.tiles import read_tile

        return read_tile(path, values)
    axis = plane_of(values)
    if kind == "dicom" and axis is None:
        from relax.io.dicom.frame import read_dicom

        return read_dicom(path, frame=values.get("frame"), window=values.get("window"))
    if kind == "series" and axis is None:
        raise ImageError("names the pictures of a series, and one is needed here: name its file, or a slice, #axial=40")
    from relax.io.volumes.opening import volume_at

    return volume_at(path, kind, values).picture(axis, None if axis is None else values[axis])
