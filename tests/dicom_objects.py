"""Synthetic DICOM objects for the tests, written with pydicom: slices of a series, several frames, reports."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from experiments.data.dicom_pixels import set_pixels

AXIAL = (1.0, 0, 0, 0, 1, 0)
SAGITTAL = (0.0, 1, 0, 0, 0, -1)
PATIENT = {"PatientName": "Quagmire^Zebedee", "PatientID": "PID-77031", "PatientBirthDate": "19510423"}


def uid(number):
    """A UID that is the same in every run."""
    return f"1.2.826.0.1.3680043.8.498.{number}"


def item(**elements):
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def image(
    values, *, kind=CTImageStorage, syntax=ExplicitVRLittleEndian, photometric="MONOCHROME2", frames=0, **elements
):
    """A data set of stored values (H, W), (H, W, 3), or with frames in front."""
    values = np.asarray(values)
    dataset = item(SOPClassUID=kind, SOPInstanceUID=generate_uid(), Modality="CT", **PATIENT)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    set_pixels(dataset, values, frames=frames, photometric=photometric)
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def written(path, dataset):
    """The file of a data set, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def ct(number, *, series=1, position=None, size=(12, 16), orientation=AXIAL, **elements):
    """A CT slice: a bright body on air, with a rescale and a window, at z = 5 mm times its number."""
    rng = np.random.default_rng(number)
    values = np.full(size, 24, np.int16)
    values[2:-2, 3:-3] = 1024 + rng.integers(-200, 300, (size[0] - 4, size[1] - 6))
    placed = (-60.0, -50.0, 5.0 * number) if position is None else position
    elements = {
        "SeriesInstanceUID": uid(f"1.{series}"),
        "StudyInstanceUID": uid(1),
        "FrameOfReferenceUID": uid(9),
        "SOPInstanceUID": uid(f"2.{series}.{number}"),
        "SeriesNumber": series,
        "InstanceNumber": 999 - number,  # which must not count
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": list(placed),
        "ImageOrientationPatient": list(orientation),
        "PixelSpacing": [0.75, 0.5],
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": 40,
        "WindowWidth": 400,
        **elements,
    }
    return image(values, **elements)


def ct_series(folder, count=6, *, shuffled=True, name="IM{:04}", **elements):
    """Slices of one series, in files whose names say nothing of their order. Returns the files by position."""
    numbers = np.random.default_rng(3).permutation(count) if shuffled else np.arange(count)
    return [written(folder / name.format(int(numbers[z])), ct(z, **elements)) for z in range(count)]


def enhanced_mr(count=5, size=(10, 14)):
    """An enhanced MR object whose frames are stored from the top down, each with its own rescale."""
    rng = np.random.default_rng(0)
    frames = []
    for number in range(count):
        frames.append(
            item(
                PlanePositionSequence=Sequence([item(ImagePositionPatient=[-20.0, -30.0, 3.0 * (count - 1 - number)])]),
                PixelValueTransformationSequence=Sequence(
                    [item(RescaleSlope=2 + number, RescaleIntercept=number, RescaleType="US")]
                ),
                FrameVOILUTSequence=Sequence([item(WindowCenter=500, WindowWidth=1000)]),
            )
        )
    shared = item(
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[1.5, 1.25], SliceThickness=3)]),
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=list(AXIAL))]),
    )
    return image(
        rng.integers(0, 400, (count, *size), dtype=np.uint16),
        kind=EnhancedMRImageStorage,
        frames=count,
        Modality="MR",
        SeriesInstanceUID=uid("1.7"),
        SeriesNumber=7,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
    )


def ultrasound(count=4, size=(20, 24), **further):
    """An ultrasound loop in colour."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    elements = {"Modality": "US", "SeriesInstanceUID": uid("1.8"), "SeriesNumber": 8, **further}
    return image(values, kind=UltrasoundMultiFrameImageStorage, photometric="RGB", frames=count, **elements)


def report():
    """A structured report, which has no pixels."""
    dataset = item(SOPClassUID=BasicTextSRStorage, SOPInstanceUID=uid(77), Modality="SR", **PATIENT)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset
