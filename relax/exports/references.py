"""Sources as highdicom takes them, and references to them as they are written.

highdicom makes an object from the data sets of its sources. It gets stand-ins: data sets of one frame each, with no
more than `relax.exports.patient` lets through, whatever kind of object the frame is from. Afterwards each reference
to a stand-in becomes one to the object and frame that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relax.exports.patient import Identity, place
from relax.exports.sheaf import Frame, Sheaf
from relax.io.extra import medical_extra

with medical_extra():
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

_WITHOUT_FRAMES = ("ReferencedInstanceSequence", "ReferencedSeriesSequence/ReferencedSOPSequence")  # of whole objects
_SHOWN = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"),
    "PixelRepresentation",
)


class StandIns:
    """Stand-ins of frames.

    Args:
        sheaf: What is exported.
        identity: What of the source goes with it.

    Attributes:
        datasets: One of each frame, in their order.
    """

    def __init__(self, sheaf: Sheaf, identity: Identity) -> None:
        self._identity = identity
        self._frames: dict[UID, Frame] = {}
        self.datasets = [self._dataset(sheaf, frame) for frame in sheaf.frames]

    def of(self, numbers: Sequence[int]) -> list[Dataset]:
        """Those of the frames of these numbers."""
        return [self.datasets[number] for number in numbers]

    def finish(self, dataset: Dataset) -> None:
        """Refer to the source instead of the stand-ins, and say what of the patient is there."""
        self._refer(dataset, "")
        self._identity.mark(dataset)

    def _dataset(self, sheaf: Sheaf, frame: Frame) -> Dataset:
        dataset = Dataset()
        dataset.update(self._identity.elements)
        dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self._identity.study, self._identity.series
        dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", 1, 1
        dataset.Rows, dataset.Columns = frame.header.Rows, frame.header.Columns
        dataset.SpecificCharacterSet = "ISO_IR 192"
        place(dataset, frame, self._identity)
        if frame.place is not None:
            dataset.ImageOrientationPatient = sheaf.frames[0].header.ImageOrientationPatient  # alike, and so the same
        dataset.setdefault("SliceThickness", sheaf.distance)
        for name in _SHOWN:
            if name in frame.header:
                dataset[name] = frame.header[name]
        self._frames[dataset.SOPInstanceUID] = frame
        return dataset

    def _refer(self, dataset: Dataset, above: str) -> None:
        for element in list(dataset):
            if element.VR != "SQ":
                continue
            path = f"{above}/{element.keyword}"
            merged: dict[object, Dataset] = {}
            for number, item in enumerate(element.value):
                self._refer(item, element.keyword)
                frame = self._frames.get(item.get("ReferencedSOPInstanceUID"))
                if frame is None:
                    merged[number] = item
                    continue
                whole = element.keyword in _WITHOUT_FRAMES or path in _WITHOUT_FRAMES
                key = self._identity.instance(frame)
                first = merged.setdefault(key, item)
                self._point(first, frame, whole=whole, anew=first is item)
            element.value = list(merged.values())

    def _point(self, item: Dataset, frame: Frame, *, whole: bool, anew: bool) -> None:
        """Let an item refer to the object of a frame, and to the frame beside those that it refers to already."""
        numbers = [] if anew else [int(number) for number in _numbers(item)]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.kind, self._identity.instance(frame)
        if frame.several and not whole:
            item.ReferencedFrameNumber = sorted({*numbers, frame.number})


def _numbers(item: Dataset) -> Iterator[int]:
    value = item.get("ReferencedFrameNumber")
    if value is not None:
        yield from value if isinstance(value, Iterator | list) or hasattr(value, "__iter__") else [value]
