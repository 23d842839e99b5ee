"""What is exported says, opened again by readers that did not write it, what was explained, and where it lies."""

import shutil
import subprocess

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
highdicom = pytest.importorskip("highdicom", reason="the extra [medical] is not installed")

import nibabel  # noqa: E402
from skimage.draw import polygon2mask  # noqa: E402

import relax  # noqa: E402
from relax.cli.app import run  # noqa: E402
from relax.exports.kinds import EXPORTS  # noqa: E402
from tests.dicom_objects import ct, ct_series, enhanced_mr, ultrasound, written  # noqa: E402
from tests.simpleitk import read  # noqa: E402

KINDS = [kind for kind in EXPORTS if kind != "nifti"]
SIZE = (48, 64)


def dots(pixels):
    """A plain encoder: the pixels of the middle, few enough to be fast."""
    return pixels.mean(1)[:, 8:40:4, 12:52:4].flatten(1)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder of four CT slices in files whose names say nothing of their order, by position."""
    folder = tmp_path_factory.mktemp("scans")
    return ct_series(folder, 4, size=SIZE)


@pytest.fixture(scope="module")
def explained(scans):
    return [relax.explain(str(file), dots, masks=64) for file in scans]


@pytest.fixture(scope="module")
def exported(scans, explained, tmp_path_factory):
    """The folder of all kinds, written from explanations that are out of order."""
    out = tmp_path_factory.mktemp("out")
    shuffled = [explained[number] for number in (2, 0, 3, 1)]
    relax.export_maps(shuffled, out, EXPORTS, source=scans[0].parent)
    return out


@pytest.fixture(scope="module")
def maps(explained):
    """(S, H, W) the importance by position."""
    return np.stack([explanation.importance for explanation in explained])


def test_a_series_of_values_is_read_by_itk_where_the_scan_lies_in_whole_numbers(exported, scans, maps, tmp_path):
    files = sorted((exported / "values").iterdir())
    image, headers = read(files, tmp_path), [pydicom.dcmread(file, stop_before_pixels=True) for file in files]

    power = int(headers[0].RescaleType.removeprefix("x 1E"))
    step = float(headers[0].RescaleSlope) / 10**power
    assert np.ptp(maps) * 10**power >= 1000
    np.testing.assert_allclose(image.values / 10.0**power, maps, atol=0.51 * step)
    assert step < np.ptp(maps) / 60000
    np.testing.assert_allclose(image.affine, read(scans, tmp_path).affine)
    low, high = (headers[0].WindowCenter + side * headers[0].WindowWidth / 2 for side in (-1, 1))
    assert low <= maps.min() * 10**power + 1
    assert high >= maps.max() * 10**power - 1
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert [header.InstanceNumber for header in headers] == [1, 2, 3, 4]


def test_each_object_refers_to_the_picture_that_it_is_of(exported, scans):
    sources = [pydicom.dcmread(file) for file in scans]
    for kind in ("values", "secondary-capture"):
        for file, source in zip(sorted((exported / kind).iterdir()), sources, strict=True):
            dataset = pydicom.dcmread(file)
            (reference,) = dataset.SourceImageSequence
            assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
            assert reference.ReferencedSOPClassUID == source.SOPClassUID
            assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID
            assert dataset.StudyInstanceUID == source.StudyInstanceUID
            assert dataset.ImagePositionPatient == source.ImagePositionPatient
    for name in ("parametric-map", "seg"):
        dataset = highdicom.imread(exported / f"{name}.dcm")
        by_position = {tuple(source.ImagePositionPatient): source.SOPInstanceUID for source in sources}
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            position = tuple(frame.PlanePositionSequence[0].ImagePositionPatient)
            (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
            assert reference.ReferencedSOPInstanceUID == by_position[position]
            assert "ReferencedFrameNumber" not in reference
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
        assert len(series.ReferencedInstanceSequence) == 4


def test_a_parametric_map_has_the_very_values_at_the_places_of_the_scan(exported, scans, maps):
    volume = highdicom.imread(exported / "parametric-map.dcm").get_volume()
    stored = pydicom.dcmread(exported / "parametric-map.dcm")

    in_order = (
        volume.array[np.argsort([position[2] for position in volume.get_plane_positions_array()])]
        if hasattr(volume, "get_plane_positions_array")
        else volume.array[np.argsort((volume.affine @ np.array([[z, 0, 0, 1] for z in range(4)]).T)[2])]
    )
    assert stored.pixel_array.dtype == np.float32
    np.testing.assert_array_equal(in_order.astype(np.float32), maps)
    whole = relax.read_series(scans[0].parent)
    ends = [np.array([*corner, 1.0]) for corner in ((0, 0, 0), (3, 47, 63))]
    here = sorted((volume.affine @ end)[:3].tolist() for end in ends)
    z = [(whole.affine_of_dicom @ np.array([end[2], end[1], 0, 1]))[:2].tolist() for end in ends]
    assert {tuple(place[:2]) for place in here} == {tuple(place) for place in z}
    assert (stored.Rows, stored.Columns) == SIZE


def test_the_top_region_is_the_top_fifth_of_each_picture(exported, maps):
    seg = highdicom.seg.segread(exported / "seg.dcm")
    sources = [frame.PlanePositionSequence[0].ImagePositionPatient[2] for frame in seg.PerFrameFunctionalGroupsSequence]
    regions = seg.pixel_array[np.argsort(sources)]

    by_definition = np.stack([layer >= np.quantile(layer, 0.8) for layer in maps.astype(float)])
    np.testing.assert_array_equal(regions, by_definition)
    segment = seg.get_segment_description(1)
    assert segment.segmented_property_category == highdicom.sr.CodedConcept(
        "309825002", "SCT", "Spatial and Relational Concept"
    )
    assert segment.segmented_property_type.value == "top-region"
    assert segment.algorithm_identification.parameters["masks"] == "64"


def test_colours_are_the_overlay_over_the_picture_with_one_scale_for_the_series(exported, explained, maps, tmp_path):
    limits = (float(maps.min()), float(maps.max()))
    series = read(sorted((exported / "secondary-capture").iterdir()), tmp_path)
    for shown, explanation in zip(series.values, explained, strict=True):
        layer = relax.overlay(explanation, limits=limits).astype(float)
        opacity = layer[..., 3:] / 255

        expected = explanation.image * (1 - opacity) + layer[..., :3] * opacity
        np.testing.assert_allclose(shown[: SIZE[0], : SIZE[1]], expected, atol=0.51)
        assert (layer[..., 3] == 0).mean() > 0.3
        assert np.ptp(shown[SIZE[0] :].astype(float).mean(-1)) > 100  # the bar


def test_the_outline_surrounds_the_top_region_of_its_picture(exported, scans, maps):
    state = pydicom.dcmread(exported / "gsps.dcm")
    instances = [pydicom.dcmread(file).SOPInstanceUID for file in scans]
    for annotation in state.GraphicAnnotationSequence:
        (reference,) = annotation.ReferencedImageSequence
        values = maps[instances.index(reference.ReferencedSOPInstanceUID)].astype(float)
        inside = np.zeros(SIZE, bool)
        for line in annotation.GraphicObjectSequence:
            points = np.reshape(line.GraphicData, (-1, 2))[:, ::-1] - 0.5  # to rows and columns from centres
            inside ^= polygon2mask(SIZE, points)
        region = values >= np.quantile(values, 0.8)
        assert (inside & region).sum() / (inside | region).sum() > 0.75
    assert len(state.GraphicAnnotationSequence) == 4
    assert (state.RescaleIntercept, state.RescaleSlope) == (-1024, 1)
    assert state.SoftcopyVOILUTSequence[0].WindowWidth == 400


def test_a_report_has_the_numbers_of_each_picture(exported, explained, scans):
    report = highdicom.sr.srread(exported / "sr.dcm")
    groups = report.content.get_image_measurement_groups()
    assert len(groups) == 4
    for group, explanation, file in zip(groups, explained, scans, strict=True):
        measurements = {}
        for measurement in group.get_measurements():
            measurements.setdefault(
                (measurement.name.value, getattr(measurement.derivation, "meaning", "")), measurement.value
            )
        region = explanation.importance >= np.quantile(explanation.importance.astype(float), 0.8)
        assert measurements["130404", "Mean"] == pytest.approx(explanation.importance.mean(dtype=float), rel=1e-6)
        assert measurements["130404", "Maximum"] == pytest.approx(explanation.importance.max(), rel=1e-6)
        assert measurements["saliency-top-region", "Mean"] == pytest.approx(
            explanation.importance[region].mean(dtype=float), rel=1e-6
        )
        assert measurements["top-share", ""] == pytest.approx(20, abs=0.1)
        assert measurements["standard-error", "Maximum"] == pytest.approx(explanation.standard_error.max(), rel=1e-6)
        assert measurements["masks", ""] == 64
        (source,) = group.source_images
        assert source.referenced_sop_instance_uid == pydicom.dcmread(file).SOPInstanceUID
    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert "masks=64" in texts
    assert report.VerificationFlag == "UNVERIFIED"


def test_a_nifti_volume_lies_where_the_scan_lies(exported, scans, maps):
    image, series = nibabel.load(exported / "nifti.nii.gz"), relax.read_series(scans[0].parent)

    np.testing.assert_array_equal(np.asarray(image.dataobj).T, maps)
    np.testing.assert_allclose(image.affine, series.affine)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(exported):
    for file in exported.rglob("*.dcm"):
        told = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True).stderr
        assert not [line for line in told.splitlines() if line.startswith("Error")], file


def test_frames_of_an_ultrasound_loop_are_named(tmp_path):
    loop = written(tmp_path / "us.dcm", ultrasound(size=SIZE))
    frames = [relax.explain(f"{loop}#frame={number}", dots, masks=64) for number in (4, 2)]

    files = relax.export_maps(frames, tmp_path / "out", "values,gsps,sr,seg", source=loop)

    instance = pydicom.dcmread(loop).SOPInstanceUID
    numbers = [pydicom.dcmread(file).SourceImageSequence[0].ReferencedFrameNumber for file in files[:2]]
    assert numbers == [2, 4]
    state, report = (pydicom.dcmread(tmp_path / "out" / f"{name}.dcm") for name in ("gsps", "sr"))
    (whole,) = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert (whole.ReferencedSOPInstanceUID, list(whole.ReferencedFrameNumber)) == (instance, [2, 4])
    assert [
        annotation.ReferencedImageSequence[0].ReferencedFrameNumber for annotation in state.GraphicAnnotationSequence
    ] == [2, 4]
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [entry.ReferencedSOPInstanceUID for entry in evidence.ReferencedSOPSequence] == [instance]
    unnamed = relax.explain(f"{loop}#frame=2", dots, masks=64)
    unnamed.provenance["read"]["asked"].clear()
    with pytest.raises(relax.ImageError, match=r"holds 4 frames; name one, from 1, as in scan.dcm#frame=2"):
        relax.export_maps(unnamed, tmp_path / "out", "values", source=loop)
    with pytest.raises(ValueError, match=r"parametric-map needs a place in the patient.*choose values"):
        relax.export_maps(frames, tmp_path / "out", "parametric-map", source=loop)


def test_slices_of_a_volume_along_any_axis_are_laid_over_the_pictures_of_the_series(tmp_path):
    source = written(tmp_path / "mr.dcm", enhanced_mr(8, (24, 28)))
    across = relax.explain_volume(
        source, lambda x: x.mean(1)[:, ::3, ::3].flatten(1), axis="coronal", cells=3, masks=64
    )

    files = relax.export_maps(across, tmp_path / "out", "values,seg")

    by_position = sorted(files[:8], key=lambda file: pydicom.dcmread(file).ImagePositionPatient[2])
    steps = pydicom.dcmread(files[0]).RealWorldValueMappingSequence[0].RealWorldValueSlope
    for number, file in enumerate(by_position):
        dataset = pydicom.dcmread(file)
        real = dataset.RealWorldValueMappingSequence[0]
        values = dataset.pixel_array * real.RealWorldValueSlope + real.RealWorldValueIntercept
        np.testing.assert_allclose(values, across.importance[:, :, number].T, atol=0.51 * steps)
        assert dataset.SourceImageSequence[0].ReferencedFrameNumber == 8 - number  # stored from the top down
    with pytest.raises(ValueError, match="sr has numbers of pictures: explain slices in the plane of the series"):
        relax.export_maps(across, tmp_path / "out", "sr")


def test_slices_explained_one_by_one_are_laid_over_their_pictures(scans, tmp_path):
    folder = scans[0].parent
    slices = [relax.explain(f"{folder}#axial={index}", dots, masks=64) for index in (3, 1)]

    (file,) = relax.export_maps(slices, tmp_path / "given", "parametric-map", source=folder)
    (again,) = relax.export_maps(slices, tmp_path / "recorded", "parametric-map")

    for dataset in (pydicom.dcmread(file), pydicom.dcmread(again)):
        for frame, values in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
            (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
            index = [pydicom.dcmread(scan).SOPInstanceUID for scan in scans].index(reference.ReferencedSOPInstanceUID)
            np.testing.assert_array_equal(values, slices[0 if index == 3 else 1].importance)
            assert index in (1, 3)
    across = relax.explain(f"{folder}#coronal=20", lambda x: x.mean(1)[:, :, ::4].flatten(1), cells=3, masks=64)
    with pytest.raises(ValueError, match="slices along one axis of one volume, or pictures: export them apart"):
        relax.export_maps([*slices, across], tmp_path / "c", "values", source=folder)


def test_nothing_is_overwritten_without_a_word(scans, explained, tmp_path, capsys):
    explained[0].save(tmp_path / "maps" / "a.npz")
    command = ["export", str(tmp_path / "maps"), "--source", str(scans[0]), "--out", str(tmp_path / "a.dcm")]
    assert run([*command, "--as", "seg"]) == 0
    before = (tmp_path / "a.dcm").read_bytes()

    assert run([*command, "--as", "values"]) != 0

    assert "a.dcm is there; choose another name, or replace it with --overwrite" in capsys.readouterr().err
    assert (tmp_path / "a.dcm").read_bytes() == before
    assert run([*command, "--as", "values", "--overwrite"]) == 0
    assert pydicom.dcmread(tmp_path / "a.dcm").SOPClassUID.name == "Secondary Capture Image Storage"


def test_what_cannot_be_exported_is_said_with_the_way_out(scans, explained, tmp_path):
    other = written(tmp_path / "other.dcm", ct(1, series=2, size=SIZE))
    apart = relax.explain(str(other), dots, masks=64)

    for match, maps, out, kinds, options in (
        ("kind must be one of values, .*; got 'map'", explained, "out", "map", {}),
        ("keep must be one of nothing, references, patient; got 'all'", explained, "out", "seg", {"keep": "all"}),
        ("gsps holds the UIDs of the source", explained, "out", "gsps", {"keep": "nothing"}),
        ("out must be a folder for 2 kinds", explained, "a.dcm", "seg,sr", {}),
        ("out must end in .dcm for seg, or be a folder", explained, "a.nii", "seg", {}),
        ("out must be a folder for the 4 pictures of values", explained, "a.dcm", "values", {}),
        ("explanations must be of one series, and are of 2", [*explained, apart], "out", "seg", {}),
        ("two are of the same one", [explained[0], explained[0]], "out", "seg", {}),
        (
            "source must hold what was explained, .*has no such picture",
            apart,
            "out",
            "seg",
            {"source": scans[0].parent},
        ),
    ):
        with pytest.raises(ValueError, match=match):
            relax.export_maps(maps, tmp_path / out, kinds, **options)
    assert not list(tmp_path.rglob("*.nii"))
    assert not (tmp_path / "out").exists()
