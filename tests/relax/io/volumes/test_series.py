"""A DICOM series becomes a volume by the positions of its slices, equal to SimpleITK's; what does not fit is said."""

import re

import numpy as np
import pytest

import relax
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image
from relax.questions.saved_volume import load_volume

pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
nib = pytest.importorskip("nibabel")

from tests.dicom_objects import AXIAL, SAGITTAL, ct, ct_series, enhanced_mr, uid, ultrasound, written  # noqa: E402
from tests.simpleitk import read  # noqa: E402

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)


def by_simpleitk(files, folder):
    """Values (S, H, W) and the affine of NIfTI, of files in this order, by another reader."""
    volume = read(files, folder)
    return volume.values, np.diag([-1, -1, 1, 1]) @ volume.affine


def along(orientation, distance, number):
    """The position of slice `number` along the normal of an orientation."""
    normal = np.cross(orientation[:3], orientation[3:])
    return tuple(np.array([-30.0, 20, 10]) + normal * distance * number)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
def test_values_and_affine_are_those_of_simpleitk(tmp_path, orientation):
    files = [
        written(tmp_path / f"{(7 * z) % 5}.x", ct(z, orientation=orientation, position=along(orientation, 2.5, z)))
        for z in range(5)
    ]

    volume = relax.read_series(tmp_path)

    values, affine = by_simpleitk(files, tmp_path)
    np.testing.assert_array_equal(volume.values, values)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    assert [part.instance for part in volume.slices] == [uid(f"2.1.{z}") for z in range(5)]
    assert (volume.unit, volume.frame_of_reference, volume.how.get("notes")) == ("HU", uid(9), None)
    assert uid(9) not in repr(volume)
    assert "IM" not in repr(volume)


def test_each_slice_has_its_own_rescale(tmp_path):
    for z in range(3):
        written(tmp_path / f"{z}", ct(z, RescaleSlope=z + 1, RescaleIntercept=10 * z))

    volume = relax.read_series(tmp_path)

    assert volume.values[:, 0, 0].tolist() == [24, 24 * 2 + 10, 24 * 3 + 20]  # the corner is stored as 24


def test_the_frames_of_an_enhanced_object_are_slices_by_their_positions(tmp_path):
    """Stored from the top down, each frame with slope 2 + number and intercept number."""
    dataset = enhanced_mr(5)
    file = written(tmp_path / "mr", dataset)

    volume = relax.read_series(file)

    stored = dataset.pixel_array.astype(np.float64)
    expected = np.stack([stored[n] * (2 + n) + n for n in range(5)])[::-1]
    np.testing.assert_allclose(volume.values, expected)
    assert [part.frame for part in volume.slices] == [5, 4, 3, 2, 1]
    assert volume.spacing == (3, 1.5, 1.25)
    assert volume.affine[:3, 3].tolist() == [20, 30, 0]


def test_an_axial_slice_of_the_volume_is_the_file_as_a_viewer_shows_it(tmp_path):
    files = ct_series(tmp_path, 6)

    for z in (0, 4):
        np.testing.assert_allclose(
            read_image(f"{tmp_path}#axial={z}", channels=1), read_image(files[z], channels=1), atol=1e-6
        )


def test_a_coronal_slice_cuts_through_all_files_head_up(tmp_path):
    ct_series(tmp_path, 6)

    picture = read_image(f"{tmp_path}#series=1&coronal=5&window=0,2048", channels=1)[0, 0].numpy()

    values = relax.read_series(tmp_path).values  # coronal 5 from the back is row 12 - 1 - 5; the head comes first
    expected = ((values[::-1, 6, :] + 0.5) / 2047 + 0.5).clip(0, 1)  # the LINEAR window of the standard
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_a_map_of_slices_is_written_with_the_geometry_of_the_series(tmp_path):
    ct_series(tmp_path / "ct", 4, size=(32, 32))
    keywords = {"masks": 32, "cells": 3}

    explained = relax.explain_volume(f"{tmp_path}/ct#series=1", indices=[1], progress=False, **keywords)
    written_map = nib.load(explained.save(tmp_path / "map")[0])

    volume = relax.read_series(tmp_path / "ct")
    np.testing.assert_allclose(written_map.affine, volume.affine, atol=1e-5)
    alone = relax.explain(f"{tmp_path}/ct#axial=1", progress=False, **keywords)
    np.testing.assert_allclose(np.asarray(written_map.dataobj)[:, :, 1].T, alone.importance, rtol=1e-5)
    assert np.isnan(np.asarray(written_map.dataobj)[:, :, 0]).all()
    assert explained.slices[1].provenance["image"].endswith("ct#series=1&axial=1")
    relax.write_nifti(alone, f"{tmp_path}/ct#axial=1", tmp_path / "one.nii.gz")
    np.testing.assert_allclose(nib.load(tmp_path / "one.nii.gz").get_fdata()[:, :, 1].T, alone.importance, rtol=1e-6)
    again = load_volume(tmp_path / "map.json")
    np.testing.assert_array_equal(again.importance, explained.importance)


# What does not fit together is said


def refused(address, message):
    with pytest.raises(ImageError, match=message) as error:
        read_image(address, channels=1)
    assert not any(text in str(error.value) for text in ("Quagmire", "77031", uid(1)))


def test_a_missing_slice_is_told_and_no_volume_is_made(tmp_path):
    files = ct_series(tmp_path, 7)
    files[3].unlink()

    volume = relax.read_series(tmp_path)

    assert volume.how["notes"] == ["10 mm between slices 3 and 4, else 5 mm: 1 seems to be missing"]
    assert volume.values.shape == (6, 12, 16)
    refused(f"{tmp_path}#axial=2", "no even volume .*1 seems to be missing.*explain them as pictures of their own")


def test_uneven_slices_are_told(tmp_path):
    for z in range(5):
        written(tmp_path / f"{z}", ct(z, position=(-60, -50, 5.0 * z + (1.2 if z == 3 else 0))))

    notes = relax.read_series(tmp_path).how["notes"]

    assert notes == [
        "6.2 mm between slices 3 and 4, else 5 mm: they lie unevenly",
        "3.8 mm between slices 4 and 5, else 5 mm: they lie unevenly",
    ]


def test_doubles_that_no_element_tells_apart_are_told(tmp_path):
    ct_series(tmp_path, 4)
    written(tmp_path / "again", ct(2, SOPInstanceUID=uid("5.5")))

    refused(f"{tmp_path}#axial=2", "1 slices lie where another lies, the first of them slices 3 and 4")


def test_phases_at_the_same_positions_are_volumes_of_their_own(tmp_path):
    for phase in (2, 1):
        for z in range(3):
            written(
                tmp_path / f"{phase}{z}",
                ct(z + 10 * phase, position=(0, 0, z), AcquisitionNumber=phase, SOPInstanceUID=uid(f"6.{phase}.{z}")),
            )

    refused(f"{tmp_path}#axial=1", "holds 2 volumes .*name one, from 0, as in FOLDER#axial=40&volume=0")
    first, second = (relax.read_series(f"{tmp_path}#volume={number}") for number in (0, 1))
    assert [part.instance for part in first.slices] == [uid(f"6.1.{z}") for z in range(3)]
    assert [part.instance for part in second.slices] == [uid(f"6.2.{z}") for z in range(3)]


def test_other_directions_and_sizes_are_volumes_of_their_own_and_told(tmp_path):
    ct_series(tmp_path, 4)
    written(tmp_path / "z", ct(8, orientation=SAGITTAL))
    written(tmp_path / "y", ct(9, size=(20, 16)))

    refused(f"{tmp_path}#axial=1", r"0: 4 slices of 16 x 12 px of 0.5 x 0.75 mm, axial.*sagittal.*16 x 20 px")
    assert relax.read_series(f"{tmp_path}#volume=0").shape == (4, 12, 16)


def test_a_tilted_gantry_is_told_and_its_shear_kept(tmp_path):
    for z in range(4):
        written(tmp_path / f"{z}", ct(z, position=(0, 1.0 * z, 5.0 * z)))

    volume = relax.read_series(tmp_path)

    assert volume.how["notes"] == ["slices are shifted against each other, by 11.3 degrees (a tilted gantry)"]
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -1, 5])


def test_a_slice_without_a_place_is_named(tmp_path):
    ct_series(tmp_path, 3)
    written(tmp_path / "lost", ct(7, ImagePositionPatient=None))

    refused(f"{tmp_path}#axial=1", "lost: has no place in the patient: it lacks ImagePositionPatient")


def test_several_series_are_listed_without_identifiers(tmp_path):
    ct_series(tmp_path / "a", 3, series=1)
    ct_series(tmp_path / "b", 2, series=4)

    refused(f"{tmp_path}#axial=1", r"has 2 series; name one, as in FOLDER#series=1: s\w{8} \(number 1, CT 3 pictures\)")
    refused(f"{tmp_path}#series=9&axial=1", "has no series of this name")
    assert relax.read_series(f"{tmp_path}#series=4").shape[0] == 2
    assert relax.read_series(f"{tmp_path}#series={uid('1.4')}").shape[0] == 2


def test_slices_with_windows_of_their_own_share_that_of_the_middle(tmp_path):
    for z in range(3):
        written(tmp_path / f"{z}", ct(z, WindowCenter=10 * z + 0.5, WindowWidth=101))

    volume = relax.read_series(tmp_path)

    assert (volume.low, volume.high) == (10 - 50, 10 + 50)
    assert volume.how["notes"] == ["slices have windows of their own: that of the slice in the middle is used for all"]


def test_colours_are_no_volume(tmp_path):
    refused(f"{written(tmp_path / 'us', ultrasound())}#axial=0", "has colours, of which no volume is made")


def test_a_series_in_a_folder_that_tells_the_patient_is_called_by_a_hash(tmp_path):
    told, other = tmp_path / "zebedee quagmire", tmp_path / "ct"
    for folder in (told, other):
        ct_series(folder, 3)

    assert re.fullmatch(r"series-[0-9a-f]{12}#axial=1", name_of(f"{told}#series=1&axial=1"))
    assert name_of(f"{other}#series=1&axial=1") == f"{other}#series=1&axial=1"
    assert re.fullmatch(r"series-[0-9a-f]{12}#axial=1", name_of(f"{other}#series=1&axial=1&name=hash"))
