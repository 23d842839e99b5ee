"""Labels of a NIfTI and segments of a DICOM SEG are regions of the slices that they belong to, and of no others."""

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax.io.errors import ImageError

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
nib = pytest.importorskip("nibabel")

from nibabel.orientations import axcodes2ornt, ornt_transform  # noqa: E402
from pydicom.dataset import FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian  # noqa: E402

from relax.io.dicom.segmentation import SEGMENTATION, Segmentation  # noqa: E402
from relax.io.images import read_with_record  # noqa: E402
from relax.io.regions.drawn import drawn_on, labels_in  # noqa: E402
from relax.io.volumes.opening import open_volume  # noqa: E402
from tests.dicom_objects import ct, ct_series, item, uid, written  # noqa: E402

SIZE = (12, 16)
FAST = {"masks": 20, "cells": 2}
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
LABELS = np.zeros((8, 9, 6), np.uint8)
LABELS[1:4, 2:7, 2:5] = 1
LABELS[5:7, 2:7, 3] = 2


def encoder(pixels):
    return torch.nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 3).flatten(1) + 0.1


def nifti(path, values, affine=AFFINE, order="RAS"):
    image = nib.Nifti1Image(values, affine).as_reoriented(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order)))
    nib.save(image, path)
    return str(path)


@pytest.fixture
def volume(tmp_path):
    values = np.random.default_rng(0).random(LABELS.shape).astype(np.float32) + 5 * (LABELS > 0)
    return nifti(tmp_path / "ct.nii.gz", values)


def on(within, picture):
    """The region in a picture at an address, as shown."""
    return drawn_on(within, picture, read_with_record(picture)[1])


def shown(values, axis, index):
    """A slice of a canonical volume as it is shown: radiological, the first axis up."""
    return np.take(values, index, axis).T[::-1, ::-1]


@pytest.mark.parametrize("order", ["RAS", "LPI", "SRA"])
def test_a_label_is_the_region_of_its_slice_in_any_plane_and_order(tmp_path, volume, order):
    labels = nifti(tmp_path / "labels.nii", LABELS, order=order)

    for plane, axis, index in (("axial", 2, 3), ("coronal", 1, 4), ("sagittal", 0, 2)):
        for number in (1, 2):
            expected = shown(number == LABELS, axis, index)
            np.testing.assert_array_equal(on(f"{labels}#label={number}", f"{volume}#{plane}={index}"), expected)


def test_a_volume_of_one_label_needs_no_choice_and_of_several_does(tmp_path, volume):
    single, several = (
        nifti(tmp_path / f"{name}.nii", values) for name, values in (("a", np.uint8(LABELS == 1)), ("b", LABELS))
    )

    np.testing.assert_array_equal(on(single, f"{volume}#axial=3"), shown(LABELS == 1, 2, 3))
    with pytest.raises(ImageError, match=r"has the labels 1, 2; name one, as in labels.nii.gz#label=1"):
        on(several, f"{volume}#axial=2")  # a slice that has one of them only
    with pytest.raises(ImageError, match="the text after # of labels must be label=NUMBER; got 'lable=2'"):
        on(f"{several}#lable=2", f"{volume}#axial=3")


@pytest.mark.parametrize(
    ("values", "affine", "message"),
    [
        (LABELS[:, :, :5], AFFINE, "has 8 x 9 x 5 voxels, and the volume 8 x 9 x 6: resample it to the volume first"),
        (LABELS, np.diag([2.0, 3.0, 4.1, 1.0]), "has another affine than the volume, so it lies elsewhere"),
        (np.stack([LABELS] * 2, -1), AFFINE, "holds several volumes; labels are one"),
    ],
)
def test_labels_of_other_voxels_are_refused(tmp_path, volume, values, affine, message):
    image = nib.Nifti1Image(values, affine)
    nib.save(image, tmp_path / "labels.nii")

    with pytest.raises(ImageError, match=message):
        on(f"{tmp_path}/labels.nii#label=1", f"{volume}#axial=3")
    with pytest.raises(ValueError, match=rf"within: .*labels.nii#label=1: {message}"):
        relax.explain(f"{volume}#axial=3", encoder, within=f"{tmp_path}/labels.nii#label=1", **FAST)


def test_a_volume_is_explained_within_its_label_and_slices_without_it_are_left_out(tmp_path, volume):
    labels = nifti(tmp_path / "labels.nii", LABELS, order="LPI")

    with pytest.warns(UserWarning, match="3 of 6 axial slices have nothing of within, and are left out"):
        explained = relax.explain_volume(volume, encoder, within=f"{labels}#label=1", **FAST)

    assert [*explained.slices] == [2, 3, 4]
    np.testing.assert_array_equal(np.isfinite(explained.importance), LABELS == 1)
    record = explained.slices[3].provenance["within"]
    assert record["named"] == f"{labels}#label=1"
    single = relax.explain(f"{volume}#axial=3", encoder, within=f"{labels}#label=1", **FAST)
    assert single.provenance["within"]["sha256"] == record["sha256"]
    np.testing.assert_allclose(single.importance, explained.slices[3].importance, rtol=1e-6)
    with pytest.raises(ValueError, match=r"within must cover a pixel of a slice; .* covers none of these axial slices"):
        relax.explain_volume(volume, encoder, indices=[0, 5], within=f"{labels}#label=1", **FAST)


def seg(path, masks, references, *, labels=("Lesion",), kind="BINARY", segments=None, all_of=()):
    """A SEG of frames (N, H, W) bool, each of a segment and of an object (UID, frame or None), packed into bits."""
    masks = np.asarray(masks)
    segments = segments or [1] * len(masks)
    frames = []
    for (instance, frame), segment in zip(references, segments, strict=True):
        source = item(ReferencedSOPInstanceUID=instance)
        if frame is not None:
            source.ReferencedFrameNumber = frame
        derived = item(SourceImageSequence=Sequence([source]))
        frames.append(
            item(
                DerivationImageSequence=Sequence([derived]),
                SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=segment)]),
            )
        )
    bits = np.packbits(masks.ravel(), bitorder="little").tobytes()
    content = bits if kind == "BINARY" else masks.astype(np.uint8).tobytes()
    whole = [item(ReferencedSOPInstanceUID=instance) for instance in all_of]
    dataset = item(
        SOPClassUID=SEGMENTATION,
        SOPInstanceUID=uid(500),
        Modality="SEG",
        Rows=masks.shape[1],
        Columns=masks.shape[2],
        NumberOfFrames=len(masks),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=1 if kind == "BINARY" else 8,
        BitsStored=1 if kind == "BINARY" else 8,
        HighBit=0 if kind == "BINARY" else 7,
        PixelRepresentation=0,
        SegmentationType=kind,
        SegmentSequence=Sequence(
            [item(SegmentNumber=number, SegmentLabel=label) for number, label in enumerate(labels, 1)]
        ),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
        ReferencedSeriesSequence=Sequence([item(ReferencedInstanceSequence=Sequence(whole))]),
        PixelData=content + b"\0" * (len(content) % 2),
    )
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue = 255
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return str(written(path, dataset))


def masks_of(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).random((count, *size)) < 0.4


def instance(number):
    return uid(f"2.1.{number}")


@pytest.mark.parametrize("size", [SIZE, (11, 13)])
def test_a_segment_is_the_region_of_the_pictures_that_it_refers_to(tmp_path, size):
    """Frames of 11 x 13 bits begin in the middle of a byte."""
    files = [written(tmp_path / "ct" / f"{z}.dcm", ct(z, size=size)) for z in range(4)]
    masks = masks_of(3, size)
    path = seg(
        tmp_path / "seg.dcm",
        masks,
        [(instance(1), None), (instance(2), 1), (instance(2), None)],
        labels=("Lesion", "Lung"),
        segments=[1, 2, 1],
        all_of=[instance(0)],
    )

    np.testing.assert_array_equal(on(f"{path}#segment=1", str(files[1])), masks[0])
    np.testing.assert_array_equal(on(f"{path}#segment=lung", str(files[2])), masks[1])
    np.testing.assert_array_equal(on(f"{path}#segment=Lesion", str(files[2])), masks[2])
    assert not on(f"{path}#segment=1", str(files[0])).any()
    with pytest.raises(ImageError, match="was drawn on other pictures than this"):
        on(f"{path}#segment=1", str(files[3]))
    with pytest.raises(ImageError, match=r"has the segments 1 and 2; name one, by number or label, as in #segment=1"):
        on(path, str(files[1]))
    with pytest.raises(ImageError, match="has no segment '3'; there are 1 and 2"):
        on(f"{path}#segment=3", str(files[1]))
    with pytest.raises(ImageError, match="the text after # of a SEG must be segment=NUMBER"):
        on(f"{path}#label=3", str(files[1]))


def test_a_segment_is_a_region_of_the_series_in_every_plane(tmp_path):
    ct_series(tmp_path / "ct", 4)
    masks = masks_of(2)
    path = seg(tmp_path / "seg.dcm", masks, [(instance(1), None), (instance(2), None)])
    series = f"{tmp_path}/ct"

    inside = np.zeros((4, *SIZE), dtype=bool)
    inside[1:3] = masks
    volume = open_volume(series)
    labels = labels_in(path, volume)
    for axis in ("axial", "coronal", "sagittal"):
        slices = {index: labels.inside(axis, index).astype(np.float32) for index in range(volume.count(axis))}
        np.testing.assert_array_equal(volume.placed(axis, slices), inside.T)
    np.testing.assert_array_equal(on(path, f"{series}#axial=1"), labels.inside("axial", 1))

    with pytest.warns(UserWarning, match="2 of 4 axial slices have nothing of within"):
        explained = relax.explain_volume(series, encoder, within=path, **FAST)
    np.testing.assert_array_equal(np.isfinite(explained.importance), inside.T)


def test_explain_takes_a_segment_of_the_picture(tmp_path):
    file = written(tmp_path / "ct.dcm", ct(1))
    masks = masks_of(1)
    path = seg(tmp_path / "seg.dcm", masks, [(instance(1), None)])

    explanation = relax.explain(str(file), encoder, within=f"{path}#segment=Lesion", **FAST)

    np.testing.assert_array_equal(np.isfinite(explanation.importance), masks[0])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)).save(tmp_path / "cat.png")
    with pytest.raises(ValueError, match=r"within: .*seg.dcm: belongs to a slice or frame of a medical file"):
        relax.explain(str(tmp_path / "cat.png"), encoder, within=path, **FAST)


def test_fractions_and_other_objects_are_refused_and_whole_fractions_are_not(tmp_path):
    file = str(written(tmp_path / "ct.dcm", ct(1)))
    whole = seg(tmp_path / "a.dcm", masks_of(1) * 255, [(instance(1), None)], kind="FRACTIONAL")
    parts = seg(tmp_path / "b.dcm", masks_of(1) * 100, [(instance(1), None)], kind="FRACTIONAL")

    np.testing.assert_array_equal(on(whole, file), masks_of(1)[0])
    with pytest.raises(ImageError, match="holds fractions, and a region is of two levels: make it BINARY"):
        on(parts, file)
    with pytest.raises(ImageError, match="must be a DICOM SEG; its kind of object is another"):
        Segmentation.open(file)
