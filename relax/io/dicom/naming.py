"""Whether a path tells who the patient of a DICOM file is, or where and when it was made, by the file's own header."""

from __future__ import annotations

import warnings
from pathlib import Path

from relax.io.dicom.identity import tells_date, tells_name, tells_number, tells_place
from relax.io.dicom.reading import read_elements
from relax.io.extra import medical_extra

with medical_extra():
    from pydicom.dataset import Dataset

_NAMING = (  # identifiers that files and folders are often named after
    "PatientName",
    "PatientBirthName",
    "PatientMotherBirthName",
    "OtherPatientNames",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "ConsultingPhysicianName",
    "RequestingPhysician",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "InstitutionName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "AdmissionID",
    "AccessionNumber",
    "StudyID",
    "RequestedProcedureID",
    "PatientBirthDate",
    "AdmittingDate",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ContentDate",
    "InstanceCreationDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
)


def names_patient(text: str, path: Path) -> bool:
    """Whether the text tells a name, date, number, UID or institution of the file: see `relax.io.dicom.identity`.

    It may, if the header ends before the patient.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which may quote the header; values are converted when they are looked at
        dataset = read_elements(path, (*_NAMING, "Rows"))
        cut_off = "PatientName" not in dataset and "Rows" not in dataset
        return cut_off or _tells(text, dataset)


def _tells(text: str, dataset: Dataset) -> bool:
    rules = {"PN": tells_name, "DA": tells_date, "DT": tells_date}
    for element in dataset.iterall():
        rule = rules.get(element.VR, tells_place if element.keyword.startswith("Institution") else tells_number)
        values = element.value if element.VM > 1 else [element.value]
        if element.VR not in ("SQ", "US") and any(rule(text, str(value or "")) for value in values):
            return True
    return False
