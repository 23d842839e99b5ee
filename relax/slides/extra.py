"""Imports of the extra `[pathology]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGES = {"openslide": "openslide-python", "openslide_bin": "openslide-bin", "h5py": "h5py"}


@contextmanager
def pathology_extra() -> Iterator[None]:
    """Enclose imports from the extra `[pathology]`; if it is missing, the error says how to install it.

    Raises:
        ImportError: If openslide or h5py is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        way_out = 'pip install "relax-explainer[pathology]"'
        raise ImportError(f"whole slides need {_PACKAGES[error.name]}; install it with: {way_out}") from None
