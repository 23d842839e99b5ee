"""Medical images, the extra `[medical]`: DICOM and NIfTI in, maps out with the geometry of their source.

    relax.explain("scan.dcm"), relax.explain("scan.dcm#frame=3&window=40,400"), relax.explain("brain.nii.gz#axial=40")
    relax.medical.explain_volume("brain.nii.gz", axis="axial", indices=range(20, 60, 5)).save("maps")
    relax.medical.write_dicom(explanation, "scan.dcm", "map.dcm")

Patients stay out of what is written: nothing of a header goes into a result but what `relax.medical.header` lists as
pixels and geometry; names, identifiers, dates, UIDs, free text and private elements do not, unless
`keep_identifiers=True`. Two ways remain, and they are the caller's. The pixels themselves: text burned into a picture
is shown in every figure of it. And names of files and folders: results say what an image was called, and are called
after it; a name in which one of the data set's own identifiers is found is replaced by a hash, and `scan.dcm#name=hash`
asks for that in any case.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relax.medical.dicom import read_dicom
    from relax.medical.nifti import read_nifti
    from relax.medical.picture import Picture
    from relax.medical.secondary_capture import map_dataset, overlay_dataset, write_dicom
    from relax.medical.volume import VolumeExplanation, explain_volume, write_nifti

__all__ = [
    "Picture",
    "VolumeExplanation",
    "explain_volume",
    "map_dataset",
    "overlay_dataset",
    "read_dicom",
    "read_nifti",
    "write_dicom",
    "write_nifti",
]

_HOMES = {
    "relax.medical.dicom": ["read_dicom"],
    "relax.medical.nifti": ["read_nifti"],
    "relax.medical.picture": ["Picture"],
    "relax.medical.secondary_capture": ["map_dataset", "overlay_dataset", "write_dicom"],
    "relax.medical.volume": ["VolumeExplanation", "explain_volume", "write_nifti"],
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            try:
                return getattr(import_module(home), name)
            except ModuleNotFoundError as error:
                if error.name not in ("pydicom", "nibabel"):
                    raise
                kind = "DICOM" if error.name == "pydicom" else "NIfTI"
                way_out = 'pip install "relax-explainer[medical]"'
                raise ImportError(f"{kind} needs {error.name}; install it with: {way_out}", name=error.name) from None
    raise AttributeError(f"module 'relax.medical' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
