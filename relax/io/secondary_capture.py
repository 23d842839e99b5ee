"""Write maps as DICOM Secondary Capture images that lie over their source: real values, or colours to look at.

A map of values is MONOCHROME2 with 16 unsigned bits: value = RescaleSlope x stored + RescaleIntercept, right to half a
step (half of RescaleSlope). The stored 0 is no value (NaN), and named as PixelPaddingValue. No window is stored: widths
of less than 1, as similarities have, are only legal for functions that many viewers ignore.

Spacing, position and orientation are copied, since they say where the map belongs. Who was imaged, when and in which
study is copied only with `keep_identifiers=True`, which puts the map beside its source in the same study; otherwise
every UID is new and drawn at random.

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
from relax.io.dicom import unforeseen_reported
from relax.io.extra import medical_extra
from relax.io.header import GEOMETRY, read_elements, read_header
from relax.io.source import checked_source
from relax.maps import MAPS, ExplanationLike
from relax.plotting.panels import Scale

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
    from pydicom.valuerep import format_number_as_ds

_STUDY = (  # type 2: there, but empty where identifiers are not kept
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
_LEVELS = 65535  # stored values from 1; 0 is NaN


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
        explanation: Of a frame of `source`.
        source: The DICOM file that was explained, "scan.dcm#frame=3" where it has several frames. What is not named
            after # is taken from the explanation.
        path: The file to write; it appears whole or not at all.
        map: "importance", "uncertainty" or "standard_error".
        overlay: Colours over the picture (RGB, 8 bits) to look at, instead of the values.
        keep_identifiers: Copy patient and study from the source, so that viewers open the map beside it.

    Returns:
        `path`.

    Raises:
        ImageError: If the source cannot be read.
        ValueError: If the explanation is not one of this source, frame and window, or has no such map or no values.
        OSError: If the file cannot be written.
    """
    make = overlay_dataset if overlay else map_dataset
    made = make(explanation, source, map=map, keep_identifiers=keep_identifiers)
    with written_aside(path) as aside:
        pydicom.dcmwrite(aside, made, enforce_file_format=True)
    return Path(path)


def map_dataset(
    explanation: ExplanationLike, source: str | Path, *, map: str = "importance", keep_identifiers: bool = False
) -> Dataset:
    """The values of a map as a data set; arguments and errors as for `write_dicom`."""
    values = _values(explanation, map)
    made = _capture(explanation, source, keep_identifiers)
    stored, slope, intercept = _quantised(values)
    _put_pixels(made, stored, "MONOCHROME2")
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = slope, intercept, "US"
    made.PixelPaddingValue = 0
    made.BurnedInAnnotation = "NO"
    made.SeriesDescription = f"RELAX {map}"
    text = (
        f"value = RescaleSlope x stored + RescaleIntercept, right to half of RescaleSlope ({slope}); stored 0: no value"
    )
    made.DerivationDescription = f"RELAX {map}; {text}; {_recipe(explanation)}"
    return made


def overlay_dataset(
    explanation: ExplanationLike, source: str | Path, *, map: str = "importance", keep_identifiers: bool = False
) -> Dataset:
    """Colours of a map, half transparent over the picture in grey; arguments and errors as for `write_dicom`."""
    values = _values(explanation, map)
    made = _capture(explanation, source, keep_identifiers)
    scale = Scale.of("importance" if map == "importance" else "uncertainty", values, None)
    colours = ScalarMappable(scale.norm, scale.colours).to_rgba(np.ma.masked_invalid(values), bytes=True)[..., :3]
    grey = np.repeat(explanation.image.mean(axis=-1, keepdims=True), 3, axis=-1)
    blend = np.where(np.isfinite(values)[..., None], (grey + colours) / 2, grey)
    _put_pixels(made, np.rint(blend).astype(np.uint8), "RGB")
    header, _ = _source(explanation, source)
    if header.get("BurnedInAnnotation") in ("YES", "NO"):  # the picture shows through
        made.BurnedInAnnotation = header.BurnedInAnnotation
    made.SeriesDescription = f"RELAX {map}, colours"
    ends = f"{scale.colours}, {scale.low:.6g} (dark) to {scale.high:.6g} (bright), half transparent; grey: no value"
    made.DerivationDescription = f"RELAX {map} in colours: {ends}; {_recipe(explanation)}"
    return made


def _source(explanation: ExplanationLike, source: str | Path) -> tuple[Dataset, int]:
    path, asked = checked_source(explanation, source, "dicom")
    with unforeseen_reported():
        return read_header(path, asked.get("frame"))


def _values(explanation: ExplanationLike, map: str) -> NDArray[np.float32]:
    if map not in MAPS:
        raise ValueError(f"map must be one of {', '.join(MAPS)}; got {map!r}")
    values: NDArray[np.float32] = getattr(explanation, map)
    if not np.isfinite(values).any():
        raise ValueError(f"map {map} has no value anywhere; there is nothing to write")
    return values


def _capture(explanation: ExplanationLike, source: str | Path, keep_identifiers: bool) -> Dataset:
    """A Secondary Capture without pixels: where it belongs, and whose it is if that is wanted."""
    header, frame = _source(explanation, source)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.Modality, made.ConversionType = "OT", "WSD"
    made.Manufacturer, made.ManufacturerModelName = "", "RELAX Explainer"
    made.SeriesInstanceUID, made.StudyInstanceUID = generate_uid(), generate_uid()
    made.SeriesNumber, made.InstanceNumber = None, 1
    for name in _STUDY:
        setattr(made, name, "")
    for name in GEOMETRY:
        if name in header:
            made[name] = header[name]
    if "ImagePositionPatient" in made:
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = generate_uid(), ""
    if keep_identifiers:
        _keep_identifiers(made, split_choice(str(source))[0], frame)
    else:
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = "only pixel geometry was copied from the source"
    return made


def _keep_identifiers(made: Dataset, path: Path, frame: int) -> None:
    """Put the map into the study of its source, and say which image it was derived from."""
    found = read_elements(path, (*_KEPT, "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "SpecificCharacterSet"))
    for name in _KEPT:
        if name in found:
            setattr(made, name, str(found[name].value or ""))  # decoded; written again as UTF-8
    made.InstanceNumber = found.get("InstanceNumber") or 1
    if "SOPInstanceUID" in found and "SOPClassUID" in found:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = found.SOPClassUID, found.SOPInstanceUID
        item.ReferencedFrameNumber = frame
        made.SourceImageSequence = [item]


def _quantised(values: NDArray[np.float32]) -> tuple[NDArray[np.uint16], str, str]:
    """Stored values, and slope and intercept as the decimal strings that undo them."""
    exact = values.astype(np.float64)
    finite = np.isfinite(exact)
    low, high = float(exact[finite].min()), float(exact[finite].max())
    # At least what 16 characters can tell apart at this size; a constant map has a slope, too.
    step = max((high - low) / (_LEVELS - 1), max(abs(low), abs(high)) * 1e-9) or 1.0
    slope = format_number_as_ds(step)
    intercept = format_number_as_ds(low - float(slope))
    levels = np.rint((np.where(finite, exact, low) - float(intercept)) / float(slope)).clip(1, _LEVELS)
    return np.where(finite, levels, 0).astype(np.uint16), slope, intercept


def _put_pixels(made: Dataset, stored: NDArray[np.uint8] | NDArray[np.uint16], photometric: str) -> None:
    bits = stored.dtype.itemsize * 8
    made.set_pixel_data(np.ascontiguousarray(stored), photometric, bits, generate_instance_uid=False)


def _recipe(explanation: ExplanationLike) -> str:
    """How the map was made, without names of files."""
    made = explanation.provenance
    parts = {
        "method": made.get("method", "relax"),
        "similarity": made.get("similarity"),
        "encoder": (made.get("encoder") or {}).get("name"),
        "masks": (made.get("masks") or {}).get("count"),
        "seed": made.get("seed"),
    }
    return ", ".join(f"{key} {value}" for key, value in parts.items() if value is not None)[:400]
