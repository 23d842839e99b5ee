"""Imports of the extra `[medical]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def medical_extra() -> Iterator[None]:
    """Enclose imports from the extra `[medical]`; if it is missing, the error says how to install it.

    Raises:
        ImportError: If pydicom, nibabel or highdicom is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("pydicom", "nibabel", "highdicom"):
            raise
        kind = "NIfTI" if error.name == "nibabel" else "DICOM"
        way_out = 'pip install "relax-explainer[medical]"'
        raise ImportError(f"{kind} needs {error.name}; install it with: {way_out}", name=error.name) from None
