"""What both kinds of Secondary Capture share: one object of one picture, placed as its source is.

Source: DICOM PS3.3, A.8.1 (Secondary Capture Image), C.8.6 (its modules), C.7.6.2 (image plane).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relax.exports.maker import NAME, Choices, Series
from relax.exports.patient import Identity, place
from relax.exports.sheaf import Frame
from relax.io.extra import medical_extra
from relax.provenance import version_of

with medical_extra():
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def capture(frame: Frame, identity: Identity, series: Series, choices: Choices) -> Dataset:
    """A Secondary Capture of one frame, without pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.update(identity.elements)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.Modality, dataset.ConversionType = "OT", "WSD"
    dataset.Manufacturer = dataset.ManufacturerModelName = NAME
    dataset.SoftwareVersions = version_of("relax-explainer")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = identity.study, series.uid
    series.count += 1
    dataset.SeriesNumber, dataset.InstanceNumber = series.number, series.count
    dataset.SeriesDescription = series.description
    place(dataset, frame, identity)
    if choices.keep != "nothing":
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.kind, identity.instance(frame)
        if frame.several:
            item.ReferencedFrameNumber = frame.number
        dataset.SourceImageSequence = [item]
    identity.mark(dataset)
    return dataset


def put_pixels(dataset: Dataset, stored: NDArray[np.uint8] | NDArray[np.uint16], photometric: str) -> None:
    """Set pixels (H, W) or (H, W, 3), and what describes them."""
    bits = stored.dtype.itemsize * 8
    dataset.set_pixel_data(np.ascontiguousarray(stored), photometric, bits, generate_instance_uid=False)
