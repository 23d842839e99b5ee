"""A synthetic archive of DICOM, as one finds it on a disk: files without endings, in folders, some of them no pictures.

Of every 100 files 92 are CT slices in series of 46, of five transfer syntaxes, and 4 are ultrasound loops of four
frames in colour; 2 are structured reports, one is a second copy of a slice, and one is cut off. No patient is in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from experiments.data.dicom_pixels import set_pixels

SYNTAXES = (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian)
SERIES = 46  # slices of each
FRAMES = 4  # of each loop
ROOT = "1.2.826.0.1.3680043.8.498"


def write_archive(folder: Path, count: int, size: int = 192) -> dict[str, int]:
    """Write `count` files, and return how many of each kind there are."""
    kinds: dict[str, int] = {}
    for number in range(count):
        place = number % 100
        kind = (
            "slice" if place < 92 else ("loop", "loop", "loop", "loop", "report", "report", "copy", "cut")[place - 92]
        )
        kinds[kind] = kinds.get(kind, 0) + 1
        file = folder / f"{number // 100:03}" / f"I{(number * 37) % count:07}"  # names say nothing of the order
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "report":
            _write(file, _dataset(number, kind=BasicTextSRStorage, modality="SR"))
        elif kind == "loop":
            _write(file, _loop(number, size))
        else:
            _write(file, _slice(number - place if kind == "copy" else number, size))
        if kind == "cut":
            file.write_bytes(file.read_bytes()[:-2000])
    return kinds


def _slice(number: int, size: int) -> Dataset:
    """A bright ellipse with a blob in it, on air."""
    series, place = divmod(number, SERIES)
    rng = np.random.default_rng(number)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = (x / 0.8) ** 2 + (y / 0.6) ** 2 < 1 - 0.3 * (place / SERIES - 0.5) ** 2
    blob = (x - 0.5 * np.sin(series)) ** 2 + (y - 0.3 * np.cos(series)) ** 2 < 0.02
    values = np.where(body, 1064 + 300 * blob, 24) + rng.integers(-20, 20, (size, size))
    dataset = set_pixels(_dataset(number, series=series), values.astype(np.int16))
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5.0 * place], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [1.5, 1.5], 1, -1024
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    syntax = SYNTAXES[series % len(SYNTAXES)]
    if syntax in SYNTAXES[1:4]:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _loop(number: int, size: int) -> Dataset:
    """A sector whose echoes move."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0 : 1 : size * 1j, -1 : 1 : size * 1j]
    sector = np.abs(x) < y
    frames = [
        sector * (90 + 80 * np.sin(20 * y + frame)) + rng.integers(0, 20, (size, size)) for frame in range(FRAMES)
    ]
    values = np.stack(frames)[..., None].repeat(3, -1).astype(np.uint8)
    dataset = _dataset(number, kind=UltrasoundMultiFrameImageStorage, modality="US", series=10_000 + number)
    return set_pixels(dataset, values, frames=FRAMES)


def _dataset(number: int, *, kind: str = CTImageStorage, modality: str = "CT", series: int = 0) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, f"{ROOT}.1.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.2", f"{ROOT}.3.{series}"
    dataset.SeriesNumber, dataset.Modality = series, modality
    dataset.PatientName, dataset.PatientID = "Nobody^Nowhere", "N-000000"
    return dataset


def _write(file: Path, dataset: Dataset) -> None:
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
