"""No element of what is exported tells the patient unless that is asked for; nested and private ones are looked at."""

import pytest

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
pytest.importorskip("highdicom", reason="the extra [medical] is not installed")

import relax  # noqa: E402
from relax.exports.kinds import EXPORTS  # noqa: E402
from relax.exports.patient import PATIENT  # noqa: E402
from tests.dicom_objects import ct_series, item  # noqa: E402

SECRET = "Zebedee"
NAMES = {"PN": f"{SECRET}^Q", "DA": "19510423", "TM": "070809", "DT": "19510423070809", "AS": "071Y"}
REFERRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def secretive(folder):
    """Slices with a secret in every text element of the modules that are usual, nested and private."""
    ct_series(folder, 3, size=(24, 30), BurnedInAnnotation="NO", StudyInstanceUID="1.2.826.0.1.3680043.8.498.777")
    keywords = (
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientAge", "PatientComments"),
        *("OtherPatientNames", "PatientAddress", "EthnicGroup", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
        *("StudyDescription", "ReferringPhysicianName", "InstitutionName", "InstitutionAddress", "OperatorsName"),
        *("SeriesDescription", "SeriesDate", "ProtocolName", "StationName", "DeviceSerialNumber", "ContentDate"),
        *("AcquisitionDate", "ImageComments", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
        *("DerivationDescription", "RescaleType", "WindowCenterWidthExplanation", "PositionReferenceIndicator"),
        *("RequestingPhysician", "AdditionalPatientHistory", "PerformedProcedureStepID", "BodyPartExamined"),
        *("InstanceCreationDate", "ContributionDescription", "ImageLaterality", "PatientIdentityRemoved"),
    )
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        for keyword in keywords:
            representation = pydicom.datadict.dictionary_VR(keyword)
            setattr(dataset, keyword, NAMES.get(representation, SECRET[:16]))
        dataset.PatientSex = "F"
        inner = item(PatientID=SECRET, PatientName=NAMES["PN"], ReferencedSOPInstanceUID="1.2.3.4.5.6.7")
        dataset.OtherPatientIDsSequence = [inner]
        dataset.ReferencedStudySequence = dataset.SourceImageSequence = [inner]
        dataset.RequestAttributesSequence = [
            item(RequestedProcedureDescription=SECRET, OtherPatientIDsSequence=[inner])
        ]
        dataset.private_block(0x0009, SECRET, create=True).add_new(1, "LO", SECRET)
        dataset.save_as(file)
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return secretive(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="module")
def volume(scans):
    return relax.explain_volume(scans, lambda x: x.mean(1)[:, ::3, ::3].flatten(1), cells=5, masks=64)


def elements(dataset, depth=0):
    """Every element with its depth, those of sequences and the file's meta information included."""
    for part in (dataset, *([dataset.file_meta] if depth == 0 else [])):
        for element in part:
            yield element, depth
            if element.VR == "SQ":
                for inner in element.value:
                    yield from elements(inner, depth + 1)


def uids(dataset):
    """Every UID that may tell the source: not those of the standard."""
    return {
        str(value)
        for element, _ in elements(dataset)
        if element.VR == "UI" and element.keyword != "ImplementationClassUID"  # of who wrote the file: pydicom
        for value in (element.value if element.VM > 1 else [element.value])
        if value and not str(value).startswith("1.2.840.10008")
    }


def test_the_walk_finds_what_is_nested_and_private(scans):
    values = [(depth, str(element.value)) for element, depth in elements(pydicom.dcmread(next(scans.iterdir())))]

    assert (2, SECRET) in values
    assert sum(SECRET in value for _, value in values) > 30


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("keep", ["nothing", "references"])
def test_no_element_tells_the_patient(scans, volume, tmp_path, kind, keep):
    if keep == "nothing" and EXPORTS[kind].refers:
        pytest.skip("says nothing without its source")
    sources = [pydicom.dcmread(file) for file in scans.iterdir()]
    referred = {str(source[name].value) for source in sources for name in REFERRED}

    for file in relax.export_maps(volume, tmp_path, kind, keep=keep):
        content = file.read_bytes().lower()
        assert SECRET.lower().encode() not in content
        if kind == "nifti":
            continue
        dataset = pydicom.dcmread(file)
        for element, _ in elements(dataset):
            assert not element.tag.is_private, element
            values = element.value if element.VM > 1 else [element.value]
            assert not {str(value) for value in values} & {*NAMES.values(), SECRET, "1.2.3.4.5.6.7"}, element
        for name in PATIENT:
            assert not dataset.get(name), name
        assert dataset.PatientIdentityRemoved == "YES"
        methods = [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence]
        assert methods == ["113100", *(["113110"] if keep == "references" else [])]
        copied = uids(dataset) & set().union(*map(uids, sources))
        assert copied <= (referred if keep == "references" else set())
        assert bool(copied) == (keep == "references")


def test_the_patient_goes_with_the_maps_on_request(scans, volume, tmp_path):
    source = pydicom.dcmread(next(scans.iterdir()))

    for file in relax.export_maps(volume, tmp_path, [kind for kind in EXPORTS if kind != "nifti"], keep="patient"):
        dataset = pydicom.dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyInstanceUID"):
            assert dataset[name].value == source[name].value, name
        assert "PatientIdentityRemoved" not in dataset
        assert not [element for element, _ in elements(dataset) if element.tag.is_private]
        for name in ("PatientAddress", "InstitutionName", "OperatorsName", "PatientComments", "SeriesDate"):
            assert name not in dataset


def test_what_an_object_may_not_hold_is_left_out_and_named_without_its_value(tmp_path):
    """Archives have weights such as "about 70", and dates that are none; a map is made of their pictures as well."""
    folder = tmp_path / "odd"
    for file in ct_series(folder, 2, size=(24, 30)):
        dataset = pydicom.dcmread(file)
        with pydicom.config.disable_value_validation():
            dataset.PatientSex, dataset.StudyDate, dataset.AccessionNumber = "FEMALE", "19.4", SECRET * 9
            dataset.add(pydicom.DataElement(0x00101030, "LO", f"about {SECRET}"))
            dataset.save_as(file)
    odd = relax.explain_volume(folder, lambda x: x.mean(1)[:, ::3, ::3].flatten(1), cells=5, masks=64)

    with pytest.warns(UserWarning, match="left out") as told:
        (file,) = relax.export_maps(odd, tmp_path / "out", "seg", keep="patient")

    names = "PatientSex, StudyDate, AccessionNumber and PatientWeight"
    assert [str(warning.message) for warning in told] == [
        f"left out, since no object may hold them as the source does: {names}"
    ]
    seg = pydicom.dcmread(file)
    assert (seg.PatientSex, seg.StudyDate, seg.AccessionNumber, seg.PatientID) == ("", "", "", "PID-77031")
    assert "PatientWeight" not in seg
