"""SimpleITK as another reader, in a process of its own: beside it, faiss takes its own vectors for SimpleITK's."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np

_SCRIPT = """
import sys
import numpy, SimpleITK
reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(sys.argv[2:])
image = reader.Execute()
numpy.savez(sys.argv[1], values=SimpleITK.GetArrayFromImage(image), origin=image.GetOrigin(),
            spacing=image.GetSpacing(), direction=image.GetDirection())
"""


@dataclass
class Read:
    """Values (S, H, W) or (S, H, W, 3), and the affine in the axes of DICOM."""

    values: np.ndarray
    affine: np.ndarray


def read(files, folder):
    """The volume of files in this order; `folder` takes what is passed between the processes."""
    target = folder / "simpleitk.npz"
    subprocess.run([sys.executable, "-c", _SCRIPT, target, *map(str, files)], check=True)
    with np.load(target) as arrays:
        affine = np.eye(4)
        affine[:3, :3] = arrays["direction"].reshape(3, 3) * arrays["spacing"]
        affine[:3, 3] = arrays["origin"]
        return Read(arrays["values"], affine)
