"""A slice is the correct plane of the body for any order of the file; maps lie over their source voxel by voxel."""

import gzip
import itertools
import json
import re
import tracemalloc

import numpy as np
import pytest
import torch

import relax
from encoders.folders import Listing
from relax.cli.app import run
from relax.io.errors import ImageError
from relax.io.images import read_image, read_with_record

nib = pytest.importorskip("nibabel", reason="the extra [medical] is not installed")

from nibabel.nifti1 import Nifti1Extension  # noqa: E402
from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform  # noqa: E402

from relax.io.volumes.volume import Volume  # noqa: E402
from relax.io.volumes.writing import write_nifti  # noqa: E402
from relax.questions.volume import explain_volume  # noqa: E402

ORDERS = [
    "".join(side[index] for index in order)
    for order in itertools.permutations(range(3))
    for side in itertools.product("RL", "AP", "SI")
]  # the 48 orders in which a file may store its voxels
OBLIQUE = np.array([[1.9, 0.2, -0.1, -80], [-0.3, 1.4, 0.4, -100], [0.2, -0.5, 2.5, -60], [0, 0, 0, 1.0]])
BODY = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)  # x to the right, y to the front, z to the head


def nifti(path, values, affine=None, *, kind=nib.Nifti1Image, **header):
    image = kind(values, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def stored_as(path, order, values=BODY, **header):
    """The body in a file that stores it in another order, such as "LPS"."""
    canonical = nib.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]))
    image = canonical.as_reoriented(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order)))
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def read_nifti(path, axis=None, index=None, *, volume=None, window=None):
    return Volume.open(path, volume, window).picture(axis, index)


def quarter_means(pixels):
    """A plain encoder: the weighted sum of the means of three quarters, and a 1, beside which it gives a direction."""
    height, width = pixels.shape[-2] // 2, pixels.shape[-1] // 2
    parts = [pixels[..., :height, :width], pixels[..., height:, :width], pixels[..., :height, width:]]
    total = sum(part.mean((-1, -2)) * weight for part, weight in zip(parts, (1, 2, 4), strict=True)) + 1
    return torch.cat([total, torch.ones_like(total)], 1)


FULL_RANGE = (59.5, 119)  # centre and width: 0 is black, 119 white


# Slices


def test_slices_are_shown_by_radiological_convention(tmp_path):
    """Corners by hand: the patient's right is on the left, the front or the head is up."""
    file = nifti(tmp_path / "a.nii", BODY)
    right, front, head = 3, 4, 5

    def corners(axis, index):
        picture = read_nifti(file, axis, index, window=FULL_RANGE).pixels[..., 0] * 119
        return [*picture.shape, picture[0, 0], picture[0, -1], picture[-1, 0]]

    assert corners("axial", 2) == pytest.approx([5, 4, BODY[right, front, 2], BODY[0, front, 2], BODY[right, 0, 2]])
    assert corners("coronal", 1) == pytest.approx([6, 4, BODY[right, 1, head], BODY[0, 1, head], BODY[right, 1, 0]])
    assert corners("sagittal", 0) == pytest.approx([6, 5, BODY[0, front, head], BODY[0, 0, head], BODY[0, front, 0]])
    np.testing.assert_array_equal(read_nifti(file, 1, 1).pixels, read_nifti(file, "coronal", 1).pixels)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_the_file_changes_nothing_and_maps_go_back_into_it(tmp_path, order):
    plain, file = nifti(tmp_path / "a.nii", BODY), stored_as(tmp_path / "b.nii", order)
    assert "".join(nib.aff2axcodes(nib.load(file).affine)) == order

    for axis, count in [("sagittal", 4), ("coronal", 5), ("axial", 6)]:
        pictures = [read_nifti(file, axis, index, window=FULL_RANGE) for index in range(count)]
        for index, picture in enumerate(pictures):
            np.testing.assert_array_equal(picture.pixels, read_nifti(plain, axis, index, window=FULL_RANGE).pixels)
        maps = {index: picture.pixels[..., 0] * 119 for index, picture in enumerate(pictures)}
        back = Volume.open(file, window=FULL_RANGE).placed(axis, maps)
        np.testing.assert_allclose(back, nib.load(file).get_fdata(), atol=1e-4)
        record = pictures[1].how
        stored = np.take(nib.load(file).get_fdata(), record["stored_slice"], axis=record["stored_axis"])
        assert sorted(stored.ravel()) == sorted(np.rint(maps[1]).ravel())


def test_spacing_is_that_of_the_rows_and_columns_shown(tmp_path):
    file = stored_as(tmp_path / "a.nii", "SLP")  # 2 mm left to right, 3 mm back to front, 4 mm feet to head

    assert read_nifti(file, "axial", 0).how["pixel_spacing_mm"] == [3, 2]
    assert read_nifti(file, "coronal", 0).how["pixel_spacing_mm"] == [4, 2]
    assert read_nifti(file, "sagittal", 0).how["pixel_spacing_mm"] == [4, 3]
    assert read_nifti(file, "sagittal", 0).how["square_pixels"] is False
    assert read_nifti(file, "sagittal", 0).how["orientation"] == "SLP"


def test_a_slice_is_named_after_the_file(tmp_path):
    file = nifti(tmp_path / "a.nii.gz", np.stack([BODY, BODY * 2], -1))

    image, record = read_with_record(f"{file}#axial=2&volume=1&window=100,200")

    assert image.shape == (1, 3, 5, 4)
    assert image[0, 0, -1, -1] == pytest.approx(BODY[0, 0, 2] * 2 / 200)
    assert record["asked"] == {"axial": 2, "volume": 1, "window": [100, 200]}
    with pytest.raises(ImageError, match=r"a.nii.gz#axial=2: holds 2 volumes; name one, from 0"):
        read_image(f"{file}#axial=2")
    with pytest.raises(ImageError, match=r"has 6 axial slices; name one, from 0, as in volume.nii.gz#axial=3"):
        read_image(f"{file}#volume=0")
    with pytest.raises(ImageError, match="coronal slice must be from 0 to 4; got 5"):
        read_image(f"{file}#coronal=5&volume=0")
    with pytest.raises(ImageError, match="volume must be from 0 to 1; got 2"):
        read_image(f"{file}#coronal=0&volume=2")
    with pytest.raises(ImageError, match="one slice at a time; got coronal and axial"):
        read_image(f"{file}#coronal=0&axial=0")
    with pytest.raises(ValueError, match="axis must be sagittal, coronal, axial"):
        read_nifti(file, "z", 0, volume=0)


# Windows


def test_the_default_window_is_two_percentiles_of_the_whole_volume(tmp_path):
    """Of 0 ... 10,000 they are 50 and 9,950; every slice has the same, and values beyond are clipped."""
    values = np.append(np.arange(10_001.0), [0] * 2099).reshape(22, 22, 25)
    values.flat[10_001:] = np.nan
    file = nifti(tmp_path / "a.nii", values)

    for index in (0, 7):
        window = read_nifti(file, "axial", index).how["window"]
        assert window["used"] == "percentiles 0.5 and 99.5 of the volume"
        assert (window["low"], window["high"]) == pytest.approx((50, 9950))
    picture = read_nifti(file, "sagittal", 0).pixels[..., 0]
    assert picture[-1, -1] == 0  # the value 0
    assert picture[-11, -5] == pytest.approx((4 * 25 + 10 - 50) / 9900, abs=1e-6)


def test_the_display_range_of_the_header_comes_first_and_the_callers_before_it(tmp_path):
    file = nifti(tmp_path / "a.nii", BODY, cal_min=20, cal_max=60)

    assert read_nifti(file, "axial", 0).how["window"] == {
        "used": "display range of the header (cal_min, cal_max)",
        "low": 20,
        "high": 60,
    }
    assert read_nifti(file, 2, 0).pixels[-1, 0, 0] == 1  # BODY[3, 0, 0] = 90
    assert read_nifti(file, 2, 0).pixels[-1, 2, 0] == pytest.approx((30 - 20) / 40)  # BODY[1, 0, 0] = 30
    assert read_nifti(file, 2, 0, window=(50, 100)).pixels[-1, 2, 0] == pytest.approx(0.3)
    for window in ((0, 0), (0, float("nan")), 1):
        with pytest.raises(ImageError, match="window of a NIfTI volume must be"):
            read_nifti(file, 2, 0, window=window)


def test_stored_numbers_are_scaled(tmp_path):
    """scl_slope 0.5 and scl_inter -10: stored 120 is 50, the middle of 0 to 100."""
    file = nifti(tmp_path / "a.nii", np.full((3, 3, 3), 120, np.int16))
    raw = bytearray(file.read_bytes())
    raw[112:120] = np.array([0.5, -10], "<f4").tobytes()
    file.write_bytes(raw)

    assert read_nifti(file, 2, 0, window=(50, 100)).pixels[0, 0, 0] == pytest.approx(0.5)


def test_values_that_are_not_finite_are_black_and_counted(tmp_path):
    values = BODY.copy()
    values[0, 0, 0], values[3, 4, 0] = np.nan, np.inf
    picture = read_nifti(nifti(tmp_path / "a.nii", values), "axial", 0, window=(0, 10))

    assert picture.pixels[-1, -1, 0] == 0
    assert picture.pixels[0, 0, 0] == 0
    assert picture.how["not_finite"] == 2


def test_a_constant_volume_is_black(tmp_path):
    assert (read_nifti(nifti(tmp_path / "a.nii", BODY * 0 + 7), "axial", 0).pixels == 0).all()


def test_a_mostly_empty_volume_spans_its_lowest_to_highest_value(tmp_path):
    values = np.zeros((10, 10, 10), np.float32)
    values[5, 5, 5] = 8

    picture = read_nifti(nifti(tmp_path / "a.nii", values), "axial", 5)

    assert picture.pixels.max() == 1
    assert "lowest and highest value" in picture.how["window"]["used"]


# What cannot be read


def false_claim(path, shape):
    """A file whose header claims a shape that its data does not have."""
    nifti(path, BODY)
    data = bytearray(path.read_bytes())
    data[40:56] = np.array([len(shape), *shape] + [1] * (7 - len(shape)), "<i2").tobytes()
    path.write_bytes(data)
    return path


def test_hostile_files_are_refused_in_one_line(tmp_path):
    def refused(file, message):
        with pytest.raises(ImageError, match=message) as caught:
            read_image(f"{file}#axial=0")
        assert "\n" not in str(caught.value)

    compressed = nifti(tmp_path / "whole.nii.gz", BODY).read_bytes()
    uncompressed = nifti(tmp_path / "whole.nii", BODY).read_bytes()
    for keep in (0, 3, 100, len(uncompressed) - 5):
        (tmp_path / "cut.nii").write_bytes(uncompressed[:keep])
        refused(tmp_path / "cut.nii", "not a NIfTI file|damaged")
    for keep in (30, len(compressed) // 2, len(compressed) - 9):
        (tmp_path / "cut.nii.gz").write_bytes(compressed[:keep])
        refused(tmp_path / "cut.nii.gz", "not a NIfTI file|damaged")
    (tmp_path / "text.nii").write_text("hello " * 200)
    refused(tmp_path / "text.nii", "not a NIfTI file")
    (tmp_path / "text.nii.gz").write_text("hello " * 200)
    refused(tmp_path / "text.nii.gz", "not a NIfTI file|damaged")

    refused(false_claim(tmp_path / "large.nii", (32767, 32767, 32767)), "32767 x 32767 x 32767 voxels would take")
    refused(false_claim(tmp_path / "claims.nii", (500, 500, 500)), "damaged or truncated")
    refused(false_claim(tmp_path / "negative.nii", (4, -5, 6)), "not a NIfTI file|three axes|damaged")
    refused(false_claim(tmp_path / "flat.nii", (120,)), "a volume has three axes")
    refused(nifti(tmp_path / "five.nii", np.zeros((2, 2, 2, 3, 3), np.float32)), "save one volume as a file of its own")
    refused(nifti(tmp_path / "nan.nii", BODY * np.nan), "has no finite value")
    holes = np.where(np.arange(6) == 0, np.nan, BODY).astype(np.float32)
    refused(nifti(tmp_path / "hole.nii", holes), "axial slice 0 has no finite value")
    refused(
        nifti(tmp_path / "complex.nii", BODY.astype(np.complex64)),
        "must hold one real number, or red, green and blue, per voxel; got ",
    )


def test_a_large_claim_in_a_small_compressed_file_is_refused(tmp_path):
    raw = bytearray(nifti(tmp_path / "a.nii", BODY).read_bytes())
    raw[40:56] = np.array([3, 500, 500, 500, 1, 1, 1, 1], "<i2").tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(raw)))

    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(f"{tmp_path / 'a.nii.gz'}#axial=0")


# Maps of volumes


NOISE = np.random.default_rng(2).uniform(0, 100, (12, 14, 9)).astype(np.float32)


def test_each_slice_is_the_explanation_of_its_picture_and_the_others_are_nan(tmp_path):
    file = stored_as(tmp_path / "a.nii.gz", "PIR", NOISE)
    volume = explain_volume(file, quarter_means, axis="coronal", indices=[2, 9], masks=40, seed=4)

    assert volume.importance.shape == nib.load(file).shape
    canonical = apply_orientation(volume.importance, axcodes2ornt("PIR"))
    assert np.isnan(np.delete(canonical, [2, 9], axis=1)).all()
    for index in (2, 9):
        alone = relax.explain(read_nifti(file, "coronal", index).pixels, quarter_means, masks=40, seed=4)
        np.testing.assert_array_equal(canonical[:, index, :], alone.importance.T[::-1, ::-1])
        provenance = volume.slices[index].provenance
        assert provenance["image"] == f"{file}#coronal={index}"
        assert provenance["read"]["window"]["used"].startswith("percentiles")


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_written_maps_have_the_geometry_of_their_source_and_nothing_else(tmp_path, kind):
    source = kind(NOISE, OBLIQUE)
    source.set_qform(np.diag([2, 2, 2, 1]), 1)
    source.set_sform(OBLIQUE, 4)
    source.header.set_xyzt_units("mm", "sec")
    source.header["descrip"] = "Quagmire, Zebedee"
    source.header["aux_file"], source.header["intent_name"] = "PID-77031", "Zebedee"
    source.header.extensions.append(Nifti1Extension("comment", b"PID-77031 Zebedee"))
    nib.save(source, tmp_path / "a.nii.gz")
    volume = explain_volume(tmp_path / "a.nii.gz", quarter_means, axis="sagittal", indices=slice(3, None, 4), masks=20)

    files = volume.save(tmp_path / "out" / "a")

    assert [file.name for file in files] == [
        "a-importance.nii.gz",
        "a-uncertainty.nii.gz",
        "a-standard_error.nii.gz",
        "a.json",
    ]
    for file, name in zip(files[:3], ("importance", "uncertainty", "standard_error"), strict=True):
        image = nib.load(file)
        assert type(image) is kind
        assert image.get_data_dtype() == np.float32
        np.testing.assert_array_equal(np.asarray(image.dataobj), getattr(volume, name))
        np.testing.assert_array_equal(image.affine, nib.load(tmp_path / "a.nii.gz").affine)
        for form in ("qform", "sform"):
            matrix, code = getattr(nib.load(tmp_path / "a.nii.gz"), f"get_{form}")(coded=True)
            written, written_code = getattr(image, f"get_{form}")(coded=True)
            np.testing.assert_allclose(written, matrix, atol=1e-6)
            assert written_code == code
        np.testing.assert_allclose(image.header.get_zooms(), source.header.get_zooms(), rtol=1e-6)
        assert image.header.get_xyzt_units()[0] == "mm"
        assert not image.header.extensions
        assert not re.search(b"Zebedee|77031", gzip.decompress(file.read_bytes()))
    assert not re.search("Zebedee|77031", files[3].read_text())
    assert [record["slice"] for record in json.loads(files[3].read_text())["slices"]] == [3, 7, 11]
    assert np.isfinite(volume.importance).sum() == 3 * 14 * 9


def test_one_explained_slice_becomes_a_volume(tmp_path):
    file = stored_as(tmp_path / "a.nii.gz", "LPS", NOISE)
    explanation = relax.explain(f"{file}#axial=5", quarter_means, masks=30)

    write_nifti(explanation, file, tmp_path / "map.nii", map="uncertainty")

    image = nib.load(tmp_path / "map.nii")
    expected = explain_volume(file, quarter_means, axis="axial", indices=[5], masks=30)
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), expected.uncertainty)
    np.testing.assert_array_equal(image.affine, nib.load(file).affine)
    with pytest.raises(ValueError, match=r"source must be what was explained.*shows other pixels"):
        write_nifti(explanation, f"{file}#axial=4", tmp_path / "b.nii")
    with pytest.raises(ValueError, match=r"written to a .nii or .nii.gz file; got b.png"):
        write_nifti(explanation, file, tmp_path / "b.png")


def test_an_impossible_slice_is_refused_before_anything_is_encoded(tmp_path):
    file = nifti(tmp_path / "a.nii", NOISE)

    def never(pixels):
        raise AssertionError("encoded")

    with pytest.raises(ImageError, match="axial slice must be from 0 to 8; got 9"):
        explain_volume(file, never, indices=[0, 9])
    with pytest.raises(ValueError, match="indices must name at least one of the 9 axial slices"):
        explain_volume(file, never, indices=slice(20, 30))


def test_the_command_line_explains_a_volume(tmp_path, capsys):
    file, out = nifti(tmp_path / "brain.nii.gz", NOISE), tmp_path / "out"

    assert run(["volume", str(file), "--slices", "1:6:4", "--masks", "10", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("2 axial slices: ")
    values = nib.load(out / "brain-importance.nii.gz").get_fdata()
    assert list(np.flatnonzero(np.isfinite(values).all(axis=(0, 1)))) == [1, 5]

    assert run(["volume", str(file), "--slices", "many", "--out", str(out)]) == 2
    assert "--slices must be all, START:STOP:STEP or numbers with commas; got 'many'" in capsys.readouterr().err
    assert run(["volume", str(file), "--slices", "99", "--out", str(out)]) == 1
    assert "axial slice must be from 0 to 8; got 99" in capsys.readouterr().err
    assert run(["volume", str(tmp_path / "none.nii"), "--out", str(out)]) == 1
    assert "no such file" in capsys.readouterr().err


def test_ctrl_c_writes_the_slices_that_are_done(tmp_path, capsys, monkeypatch):
    from relax.questions import volume

    image_explainer, calls = volume.image_explainer, []

    def interrupted(encoder, settings):
        explain_image = image_explainer(encoder, settings)

        def explain_or_stop(image, progress):
            calls.append(image)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return explain_image(image, progress)

        return explain_or_stop

    monkeypatch.setattr(volume, "image_explainer", interrupted)
    file, out = nifti(tmp_path / "a.nii", NOISE), tmp_path / "out"

    assert run(["volume", str(file), "--masks", "5", "--out", str(out)]) == 130
    assert "stopped; 2 slices are done" in capsys.readouterr().err
    values = nib.load(out / "a-importance.nii.gz").get_fdata()
    assert list(np.flatnonzero(np.isfinite(values).all(axis=(0, 1)))) == [0, 1]


# Display ranges, colours, single slices


@pytest.mark.parametrize("display", [(0, 1), (0, 255), (0, 4e6), (-5000, -4000)])
def test_a_display_range_of_other_data_is_not_used(tmp_path, display):
    """Values run from 1000 to 2190; all of them would be black, or white, or within a thousandth of the range."""
    values = 1000 + 10 * BODY
    file = nifti(tmp_path / "a.nii.gz", values, cal_min=display[0], cal_max=display[1])

    with pytest.warns(UserWarning, match=r"its display range, cal_min \S+ to cal_max \S+, shows nearly all voxels"):
        picture = read_nifti(file, "axial", 2)

    np.testing.assert_array_equal(picture.pixels, read_nifti(nifti(tmp_path / "b.nii", values), "axial", 2).pixels)
    assert picture.how["window"]["used"].startswith("percentiles 0.5 and 99.5 of the volume, since the display range")


@pytest.mark.filterwarnings("error")
def test_a_display_range_that_clips_many_but_not_nearly_all_voxels_is_used(tmp_path):
    file = nifti(tmp_path / "a.nii", BODY, cal_min=110, cal_max=119)

    assert read_nifti(file, "axial", 5).how["window"]["low"] == 110


@pytest.mark.parametrize("names", ["RGB", "RGBA"])
def test_colours_are_divided_by_255(tmp_path, names):
    values = np.random.default_rng(4).integers(0, 256, (4, 5, 6, len(names)), dtype=np.uint8)
    colours = np.ascontiguousarray(values).view([(name, "u1") for name in names])[..., 0]
    file = nifti(tmp_path / "a.nii.gz", colours)

    picture = read_nifti(file, "axial", 2)

    np.testing.assert_allclose(picture.pixels, values[::-1, ::-1, 2].swapaxes(0, 1) / 255, atol=1e-6)
    assert read_image(f"{file}#axial=2").shape == (1, 3, 5, 4)
    assert picture.how["window"]["used"] == "none: colours are shown as stored"
    with pytest.raises(ImageError, match="window is for grey volumes"):
        read_nifti(file, "axial", 2, window=(1, 2))


def test_a_file_of_one_slice_needs_no_number(tmp_path):
    flat = nifti(tmp_path / "flat.nii.gz", BODY[:, :, 2])
    thin = nifti(tmp_path / "thin.nii", BODY[:, 1:2])
    expected = read_nifti(nifti(tmp_path / "a.nii", BODY), "axial", 2, window=FULL_RANGE)

    image, record = read_with_record(f"{flat}#window=59.5,119", channels=1)

    np.testing.assert_array_equal(image[0, 0], expected.pixels[..., 0])
    assert (record["axis"], record["slice"], record["slices"]) == ("axial", 0, 1)
    assert read_nifti(thin).how["axis"] == "coronal"
    with pytest.raises(ImageError, match="has 6 axial slices"):
        read_nifti(tmp_path / "a.nii")


def test_a_map_of_a_file_of_one_slice_is_written_with_its_geometry(tmp_path):
    file = nifti(tmp_path / "flat.nii.gz", NOISE[:, :, 3])
    explanation = relax.explain(file, quarter_means, masks=20)

    write_nifti(explanation, file, tmp_path / "map.nii")

    written = nib.load(tmp_path / "map.nii").get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(written[..., 0], explanation.importance.T[::-1, ::-1])


def test_the_limit_counts_the_unpacked_voxels_of_one_volume(tmp_path, monkeypatch):
    """50 x 50 x 40 voxels, all read at once: 8 bytes to keep each, 40 to read it."""
    file = nifti(tmp_path / "a.nii.gz", np.zeros((50, 50, 40, 3), np.uint8))
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "4799999")
    with pytest.raises(ImageError, match="50 x 50 x 40 voxels would take 5 MB of memory to read"):
        read_nifti(file, "axial", 1, volume=0)

    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "4800000")
    assert read_nifti(file, "axial", 1, volume=0).pixels.shape == (50, 50, 1)


@pytest.mark.parametrize("shape", [(128, 128, 128), (1000, 1000)])
@pytest.mark.parametrize(("dtype", "slope"), [("u1", None), ("i2", 2.0), ("f8", 2.0)])
def test_no_more_is_taken_than_counted_and_not_much_less(tmp_path, monkeypatch, dtype, shape, slope):
    image = nib.Nifti1Image(np.resize(np.arange(100).astype(dtype), shape), np.eye(4))
    image.header.set_slope_inter(slope, None if slope is None else 1.0)
    nib.save(image, tmp_path / "a.nii.gz")
    tracemalloc.start()
    read_nifti(tmp_path / "a.nii.gz", "axial", 0)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", str(taken))
    with pytest.raises(ImageError, match="voxels would take"):
        read_nifti(tmp_path / "a.nii.gz", "axial", 0)
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", str(2 * taken))
    read_nifti(tmp_path / "a.nii.gz", "axial", 0)


# Pairs, Analyze and FreeSurfer


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (nib.Nifti1Pair, "a.img"),
        (nib.Nifti1Pair, "a.hdr"),
        (nib.Nifti2Pair, "a.hdr"),
        (nib.MGHImage, "a.mgz"),
        (nib.MGHImage, "a.mgh"),
    ],
)
def test_other_files_of_volumes_show_what_nifti_shows(tmp_path, kind, name):
    """The same voxels and affine: the same slices, whichever file of a pair is named."""
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    plain = nifti(tmp_path / "plain.nii", BODY, affine)
    nib.save(kind(BODY, affine), tmp_path / name)

    for choice in ("axial=2", "coronal=1&window=40,80", "sagittal=3"):
        np.testing.assert_array_equal(read_image(f"{tmp_path / name}#{choice}"), read_image(f"{plain}#{choice}"))


def test_a_map_of_an_mgz_has_its_geometry(tmp_path):
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    nib.save(nib.MGHImage(np.random.default_rng(0).random((16, 18, 4)).astype(np.float32), affine), tmp_path / "a.mgz")

    explained = explain_volume(tmp_path / "a.mgz", quarter_means, indices=[1], masks=32, cells=2, progress=False)

    written = nib.load(explained.save(tmp_path / "map")[0])
    np.testing.assert_allclose(written.affine, affine)
    assert written.header.get_xyzt_units()[0] == "mm"


def test_an_analyze_pair_says_that_it_states_no_orientation(tmp_path):
    nib.save(nib.AnalyzeImage(BODY.astype(np.int16), np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "a.img")

    picture = read_nifti(tmp_path / "a.hdr", "axial", 2)

    assert picture.how["notes"] == [
        "an Analyze header states no orientation: which side is left is assumed, as nibabel does"
    ]


def test_an_image_without_its_header_and_one_cut_short_are_refused(tmp_path):
    nib.save(nib.Nifti1Pair(BODY, np.eye(4)), tmp_path / "a.img")
    data = (tmp_path / "a.img").read_bytes()
    (tmp_path / "a.img").write_bytes(data[:100])
    with pytest.raises(ImageError, match=r"a\.hdr#axial=1: is damaged or truncated \(its header claims 480 bytes\)"):
        read_image(f"{tmp_path}/a.hdr#axial=1")
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(ImageError, match=r"a\.img#axial=1: "):
        read_image(f"{tmp_path}/a.img#axial=1")


def test_a_pair_is_one_picture_of_a_folder(tmp_path):
    nib.save(nib.Nifti1Pair(BODY[..., :1], np.eye(4)), tmp_path / "a.img")
    (tmp_path / "disk.img").touch()  # which has no header beside it

    listing = Listing(tmp_path).walk()

    assert ([path.name for path in listing.images], [path.name for path in listing.passed]) == (["a.img"], ["disk.img"])
