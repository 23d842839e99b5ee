"""Chosen elements of a DICOM file, and the numbers in them: a file that would fill the memory is refused first."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relax.io.dicom.bounded import BoundedReader
from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.limits import check_bytes

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

WAY_OUT = "correct it in a copy, as with dcmodify, or export the picture again"


def read_elements(path: Path, keywords: tuple[str, ...]) -> pydicom.FileDataset:
    """The elements of a file with these keywords, and its file meta information.

    Raises:
        ImageError: If it is not a DICOM file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of pydicom may quote the header
        bare = _is_bare(path)
        if not bare:
            _check_inflation(path)
        with BoundedReader(path) as file:
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(keywords), force=bare)


def _is_bare(path: Path) -> bool:
    """Whether the file is a data set alone: it begins with an element of an early group, not with the letters DICM.

    Raises:
        ImageError: If it is neither.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if head[128:132] == b"DICM":
        return False
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0"):
        raise ImageError("is not a DICOM file: it lacks the letters DICM at byte 128")
    if DeflatedExplicitVRLittleEndian.encode() in head:
        raise ImageError("is deflated, and lacks the letters DICM at byte 128; convert it, as with dcmconv")
    return True


def number(dataset: Dataset, keyword: str, convert: Callable[[Any], Any] = int) -> Any:
    """The number in an element; None where it is absent or empty.

    Raises:
        ImageError: If it is no number.
    """
    try:
        value = dataset.get(keyword)
        return None if value is None or value == "" else convert(value)
    except (TypeError, ValueError, OverflowError, ArithmeticError):
        raise ImageError(f"its element {keyword} must be one number; {WAY_OUT}") from None


def uid_name(uid: object) -> str:
    """The registered name of a kind or a syntax, or its number; text that is neither may be anything, and stays out."""
    identifier = UID(str(uid or ""))
    return identifier.name if identifier.is_valid else "no UID" if identifier else "not stated"


def _check_inflation(path: Path) -> None:
    """Refuse a deflated data set that would fill the memory, since pydicom inflates it as a whole."""
    with BoundedReader(path) as file:
        pydicom.filereader.read_preamble(file, force=False)
        meta = pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        # after the preamble, DICM, the element that holds the length, and the group itself
        file.seek(144 + int(meta.FileMetaInformationGroupLength))
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while block := file.read(1 << 16):
            while block:
                size += len(inflate.decompress(block, 1 << 24))
                block = inflate.unconsumed_tail
                check_bytes(3 * size, "its deflated data set")
