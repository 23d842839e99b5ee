"""What goes of a source into what is written of it: by a list of what may, so that nothing else can.

Copied always: how pixels lie in space, and the shape of the picture. With "references" and "patient", the UIDs of
study, series, pictures and frame of reference. With "patient", the elements of `PATIENT`. No private element, no free
text, no date, no name of a device or an institution is copied in any case.

Source: DICOM PS3.15, annex E (Basic Application Level Confidentiality Profile, whose table E.1-1 lists what must go;
Retain UIDs Option), PS3.3, C.12.1.1.7 (how an object says so).
"""

from __future__ import annotations

import warnings
from typing import Any

from relax.exports.kinds import KEEP
from relax.exports.sheaf import Frame, Sheaf
from relax.io.dicom.elements import GEOMETRY
from relax.io.dicom.reading import read_elements
from relax.io.extra import medical_extra
from relax.text import listed, one_of

with medical_extra():
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes
    from pydicom.uid import UID, generate_uid
    from pydicom.valuerep import DA, TM

REQUIRED = (  # of type 2: empty unless they are kept
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
PATIENT = (*REQUIRED, "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription")
"""Elements of the patient and the study that go with the patient."""

_IN_FRAME = ("PositionReferenceIndicator",)
_SEXES = ("M", "F", "O")
_REFERS = "the UIDs of the source, without which it says nothing: leave out keep='nothing', or choose another kind"


class Identity:
    """The patient, the study and the UIDs that the objects of one export share.

    Args:
        sheaf: What is exported.
        keep: "nothing", "references" or "patient", see `relax.exports.kinds.KEEP`.

    Attributes:
        keep: That.
        study, series, frame_of_reference: UIDs as they are written, new or those of the source; "" without a frame.
        elements: The patient and the study, as a data set.
    """

    def __init__(self, sheaf: Sheaf, keep: str) -> None:
        self.keep = keep
        new = keep == "nothing"
        self.study = generate_uid() if new or not sheaf.study else UID(sheaf.study)
        self.series = generate_uid() if new or not sheaf.series else UID(sheaf.series)
        placed = any(frame.place for frame in sheaf.frames)
        frame = sheaf.frame_of_reference or (generate_uid() if placed else "")
        self.frame_of_reference = UID(frame) if not (new and frame) else generate_uid()
        self._instances: dict[Any, UID] = {}
        self.elements = self._patient(sheaf)

    def instance(self, frame: Frame) -> UID:
        """UID of the source object of a frame, as it is written."""
        key = frame.instance or str(frame.file)
        if key not in self._instances:
            new = self.keep == "nothing" or not frame.instance
            self._instances[key] = generate_uid() if new else UID(frame.instance)
        return self._instances[key]

    def mark(self, dataset: Dataset) -> None:
        """Say in an object whether its patient is removed, and how."""
        dataset.SpecificCharacterSet = "ISO_IR 192"
        if dataset.Modality in ("OT", "PR"):
            dataset.Laterality = ""  # whether a limb is shown, and which, is not copied
        if self.keep == "patient":
            return
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "only pixel geometry was copied from the source"
        if self.keep == "references":
            dataset.DeidentificationMethod = "only geometry and referenced UIDs were copied"
        methods = [codes.DCM.BasicApplicationConfidentialityProfile]
        methods += [codes.DCM.RetainUidsOption] if self.keep == "references" else []
        dataset.DeidentificationMethodCodeSequence = [_code(method) for method in methods]
        dataset.LongitudinalTemporalInformationModified = "REMOVED"

    def _patient(self, sheaf: Sheaf) -> Dataset:
        elements = Dataset()
        for name in REQUIRED:
            setattr(elements, name, "")
        if self.keep != "patient":
            return elements
        source = read_elements(sheaf.frames[0].file, (*PATIENT, *_IN_FRAME, "SpecificCharacterSet"))
        present = [name for name in (*PATIENT, *_IN_FRAME) if name in source]
        if dropped := [name for name in present if not _copied(elements, source, name)]:
            warnings.warn(
                f"left out, since no object may hold them as the source does: {listed(dropped)}", stacklevel=2
            )
        return elements


def checked_keep(keep: str, *, refers: str | None = None) -> str:
    """How much is kept, if it is one of `KEEP`; `refers` names a kind that needs the UIDs of its source.

    Raises:
        ValueError: If it is none, or too little.
    """
    one_of("keep", keep, KEEP)
    if keep == "nothing" and refers is not None:
        raise ValueError(f"{refers} holds {_REFERS}")
    return keep


def place(dataset: Dataset, frame: Frame, identity: Identity) -> None:
    """Copy how the pixels of a frame lie in space."""
    for name in GEOMETRY:
        if name in frame.header and frame.header[name].value not in (None, ""):
            dataset[name] = frame.header[name]
    dataset.setdefault("PatientOrientation", "")
    if frame.place is not None:
        dataset.FrameOfReferenceUID = identity.frame_of_reference
        dataset.PositionReferenceIndicator = identity.elements.get("PositionReferenceIndicator", "")


def _copied(elements: Dataset, source: Dataset, name: str) -> bool:
    """Copy an element, decoded, to be encoded as UTF-8; whether it is a value that an object may hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # by which pydicom tells, with the value in it
            value = str(source[name].value or "")
            if value and name.endswith("Date"):
                DA(value)
            if value and name.endswith("Time"):
                TM(value)
            if value and name == "PatientSex" and value not in _SEXES:
                return False
            setattr(elements, name, value)
    except (ValueError, TypeError, UserWarning):
        return False
    return True


def _code(code: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
