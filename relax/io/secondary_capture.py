"""Write maps as DICOM Secondary Capture images that lie over their source: as real values, or in colours for viewing.

A map of values is MONOCHROME2 with 16 unsigned bits: value = RescaleSlope x stored + RescaleIntercept, with an error of
at most half of RescaleSlope. Stored 0 means no value (NaN) and is declared as PixelPaddingValue. No window is stored:
widths below 1, which similarities would need, are valid only for functions that many viewers ignore.

Spacing, position and orientation are copied, since they place the map. Patient, date and study are copied only with
`keep_identifiers=True`, which places the map beside its source in the same study; otherwise every UID is new and drawn
at random.

Source: DICOM PS3.3, A.8.1 (Secondary Capture Image), C.8.6 (its modules), C.7.6.2 (image plane), C.11.1 (modality LUT);
PS3.5, 6.2 (a decimal string has 16 characters).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from numpy.typing import NDArray

from relax.files import written_aside
from relax.io.choice import split_choice
from relax.io.errors import decoding_errors
from relax.io.extra import medical_extra
from relax.io.header import GEOMETRY, read_elements, read_header
from relax.io.source import checked_source
from relax.maps import MAPS, ExplanationLike
from relax.plotting.scales import Scale
from relax.text import one_of

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
    from pydicom.valuerep import format_number_as_ds

_STUDY = (  # of type 2: required, and empty unless identifiers are kept
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_KEPT = (*_STUDY, "StudyInstanceUID", "StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator")
_LEVELS = 65535  # stored values from 1 on; 0 is NaN


def write_dicom(
    explanation: ExplanationLike,
    source: str | Path,
    path: str | Path,
    *,
    map: str = "importance",
    overlay: bool = False,
    keep_identifiers: bool = False,
) -> Path:
    """Write one map of an explanation as a DICOM Secondary Capture image.

    Args:
        explanation: An explanation of a frame of `source`.
        source: The explained DICOM file, such as "scan.dcm#frame=3". Choices that the text after # leaves open are
            taken from the explanation.
        path: The file to write; it appears whole or not at all.
        map: "importance", "uncertainty" or "standard_error".
        overlay: Write colours over the picture (RGB, 8 bits), for viewing, instead of the values.
        keep_identifiers: Copy patient and study from the source, so that viewers show the map beside it.

    Returns:
        `path`.

    Raises:
        ImageError: If the source cannot be read.
        ValueError: If the explanation is not of this source, frame and window, or the map is unknown or has no values.
        OSError: If the file cannot be written.
    """
    build = overlay_dataset if overlay else map_dataset
    dataset = build(explanation, source, map=map, keep_identifiers=keep_identifiers)
    with written_aside(path) as temporary:
        pydicom.dcmwrite(temporary, dataset, enforce_file_format=True)
    return Path(path)


def map_dataset(
    explanation: ExplanationLike, source: str | Path, *, map: str = "importance", keep_identifiers: bool = False
) -> Dataset:
    """A map of values as a data set; arguments and errors as for `write_dicom`."""
    values = _values(explanation, map)
    dataset = _capture(explanation, source, keep_identifiers)
    stored, slope, intercept = _quantised(values)
    _put_pixels(dataset, stored, "MONOCHROME2")
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, intercept, "US"
    dataset.PixelPaddingValue = 0
    dataset.BurnedInAnnotation = "NO"
    dataset.SeriesDescription = f"RELAX {map}"
    text = (
        f"value = RescaleSlope x stored + RescaleIntercept, error at most half of RescaleSlope ({slope}); "
        "stored 0: no value"
    )
    dataset.DerivationDescription = f"RELAX {map}; {text}; {_recipe(explanation)}"
    return dataset


def overlay_dataset(
    explanation: ExplanationLike, source: str | Path, *, map: str = "importance", keep_identifiers: bool = False
) -> Dataset:
    """A map in colours over the grey picture, at half opacity; arguments and errors as for `write_dicom`."""
    values = _values(explanation, map)
    dataset = _capture(explanation, source, keep_identifiers)
    scale = Scale.of("importance" if map == "importance" else "uncertainty", values, None)
    colours = ScalarMappable(scale.norm, scale.colours).to_rgba(np.ma.masked_invalid(values), bytes=True)[..., :3]
    grey = np.repeat(explanation.image.mean(axis=-1, keepdims=True), 3, axis=-1)
    blend = np.where(np.isfinite(values)[..., None], (grey + colours) / 2, grey)
    _put_pixels(dataset, np.rint(blend).astype(np.uint8), "RGB")
    header, _ = _source(explanation, source)
    if header.get("BurnedInAnnotation") in ("YES", "NO"):  # the picture is visible
        dataset.BurnedInAnnotation = header.BurnedInAnnotation
    dataset.SeriesDescription = f"RELAX {map}, colours"
    ends = f"{scale.colours}, {scale.low:.6g} (dark) to {scale.high:.6g} (bright), half opacity; grey: no value"
    dataset.DerivationDescription = f"RELAX {map} in colours: {ends}; {_recipe(explanation)}"
    return dataset


def _source(explanation: ExplanationLike, source: str | Path) -> tuple[Dataset, int]:
    path, choice = checked_source(explanation, source, "dicom")
    with decoding_errors():
        return read_header(path, choice.get("frame"))[:2]


def _values(explanation: ExplanationLike, map: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = getattr(explanation, one_of("map", map, MAPS))
    if not np.isfinite(values).any():
        raise ValueError(f"map must have values; {map} is undefined everywhere")
    return values


def _capture(explanation: ExplanationLike, source: str | Path, keep_identifiers: bool) -> Dataset:
    """A Secondary Capture without pixels: its geometry and, if they are kept, its identifiers."""
    header, frame = _source(explanation, source)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.Modality, dataset.ConversionType = "OT", "WSD"
    dataset.Manufacturer, dataset.ManufacturerModelName = "", "RELAX Explainer"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = generate_uid(), generate_uid()
    dataset.SeriesNumber, dataset.InstanceNumber = None, 1
    for name in _STUDY:
        setattr(dataset, name, "")
    for name in GEOMETRY:
        if name in header:
            dataset[name] = header[name]
    if "ImagePositionPatient" in dataset:
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = generate_uid(), ""
    if keep_identifiers:
        _keep_identifiers(dataset, split_choice(str(source))[0], frame)
    else:
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "only pixel geometry was copied from the source"
    return dataset


def _keep_identifiers(dataset: Dataset, path: Path, frame: int) -> None:
    """Place the map in the study of its source, and reference the image that it was derived from."""
    elements = read_elements(path, (*_KEPT, "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "SpecificCharacterSet"))
    for name in _KEPT:
        if name in elements:
            setattr(dataset, name, str(elements[name].value or ""))  # decoded, to be encoded as UTF-8
    dataset.InstanceNumber = elements.get("InstanceNumber") or 1
    if "SOPInstanceUID" in elements and "SOPClassUID" in elements:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = elements.SOPClassUID, elements.SOPInstanceUID
        item.ReferencedFrameNumber = frame
        dataset.SourceImageSequence = [item]


def _quantised(values: NDArray[np.float32]) -> tuple[NDArray[np.uint16], str, str]:
    """Stored values, and the slope and intercept, as decimal strings, that convert them back."""
    exact = values.astype(np.float64)
    finite = np.isfinite(exact)
    low, high = float(exact[finite].min()), float(exact[finite].max())
    # No finer than 16 characters can resolve at this magnitude; a constant map needs a slope as well.
    step = max((high - low) / (_LEVELS - 1), max(abs(low), abs(high)) * 1e-9) or 1.0
    slope = format_number_as_ds(step)
    intercept = format_number_as_ds(low - float(slope))
    levels = np.rint((np.where(finite, exact, low) - float(intercept)) / float(slope)).clip(1, _LEVELS)
    return np.where(finite, levels, 0).astype(np.uint16), slope, intercept


def _put_pixels(dataset: Dataset, stored: NDArray[np.uint8] | NDArray[np.uint16], photometric: str) -> None:
    bits = stored.dtype.itemsize * 8
    dataset.set_pixel_data(np.ascontiguousarray(stored), photometric, bits, generate_instance_uid=False)


def _recipe(explanation: ExplanationLike) -> str:
    """How the map was made, without file names."""
    provenance = explanation.provenance
    early = provenance.get("stopped_early")
    parts = {
        "method": provenance.get("method", "relax"),
        "similarity": provenance.get("similarity"),
        "encoder": (provenance.get("encoder") or {}).get("name"),
        "masks": (provenance.get("masks") or {}).get("count"),
        "stopped early of": early.get("of") if early else None,
        "seed": provenance.get("seed"),
    }
    return ", ".join(f"{key} {value}" for key, value in parts.items() if value is not None)[:400]
